"""The command line. Every command imports what it needs when it runs, so that `--help` is quick."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

app = typer.Typer(
    help="Align language models with human preferences: label, train, compare blind, label again.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Data = Annotated[Path | None, typer.Option(help="Folder for everything Plumbline stores (PLUMBLINE_DATA).")]
Host = Annotated[str | None, typer.Option(help="Address to bind (PLUMBLINE_HOST).")]
Port = Annotated[int | None, typer.Option(help="Port to bind (PLUMBLINE_PORT).")]


@app.command()
def up(
    data: Data = None,
    host: Host = None,
    port: Port = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nobody outside of this machine (PLUMBLINE_OFFLINE).")
    ] = False,
) -> None:
    """Run everything on this machine until Ctrl-C: databases, web server, workers."""
    _set(DATA=data, HOST=host, PORT=port, OFFLINE=True if offline else None)
    with _plain_troubles():
        from plumbline import terminal

        terminal.run()


@app.command()
def web(host: Host = None, port: Port = None) -> None:
    """Run the web server alone. DATABASE_URL and REDIS_URL must be set."""
    _set(HOST=host, PORT=port)
    with _plain_troubles():
        from plumbline import parts

        parts.web()


@app.command()
def worker(
    queue: Annotated[
        Literal["light", "generate", "train"],
        typer.Argument(help="train: runs. generate: evaluations and the arena alone. light: these and all the rest."),
    ],
    beat: Annotated[
        bool, typer.Option("--beat", help="Also ring for waiting work and sweep up; one worker does.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Processes of a light or generate worker.")] = 3,
    generate: Annotated[
        bool, typer.Option("--generate/--no-generate", help="Whether a light worker also loads models that answer.")
    ] = True,
    data: Data = None,
    storage: Annotated[
        str | None, typer.Option(help="Shared folder or s3://bucket/prefix of large files (PLUMBLINE_STORAGE).")
    ] = None,
) -> None:
    """Run one worker on this machine. DATABASE_URL and REDIS_URL must be set, and with several machines
    PLUMBLINE_STORAGE: each machine takes what it can do. One GPU, one run: start a train worker for each GPU, with
    CUDA_VISIBLE_DEVICES."""
    _set(DATA=data, STORAGE=storage)
    with _plain_troubles():
        from plumbline import parts

        parts.worker(queue, beat=beat, concurrency=concurrency, generate=generate)


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema; at the first start also make the admin and the Tour project."""
    with _plain_troubles():
        from backend.settings import get_settings
        from plumbline.first_start import prepare
        from plumbline.services import borrowed, check_services
        from plumbline.terminal import say, show_admin

        check_services(get_settings())
        with borrowed(get_settings()):
            show_admin(prepare(get_settings(), say))
        typer.echo("The database has the newest schema.")


@app.command()
def health(web: Annotated[bool, typer.Option("--web", help="Also ask the web server.")] = False) -> None:
    """Exit with 0 when the servers this part works with answer (a container's health check)."""
    with _plain_troubles():
        from plumbline import parts

        parts.health(web=web)


@app.command()
def check(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
    data: Data = None,
) -> None:
    """Say what is misconfigured and how to mend it, while the program runs or not. Exits with 1 when there is a
    problem; changes nothing."""
    _set(DATA=data)
    with _plain_troubles():
        from plumbline.check import terminal

        raise typer.Exit(terminal.run(as_json=as_json))


@app.command("reset-password")
def reset_password(name: Annotated[str, typer.Argument(help="Who has lost the password.")], data: Data = None) -> None:
    """Give somebody a new random password, shown once. Their sessions end, their API tokens are revoked."""
    _set(DATA=data)
    with _plain_troubles():
        from plumbline.recovery import reset

        typer.echo(f"The new password of {name.lower()} is {reset(name)}")


@app.command()
def train(
    spec: Annotated[
        Path | None,
        typer.Argument(help="A run spec in YAML; with --report it may be left out.", exists=True, dir_okay=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for events and checkpoints.")] = Path("run"),
    report: Annotated[str | None, typer.Option(help="Address of a run to train for a server, from its page.")] = None,
    token: Annotated[
        str | None, typer.Option(help="The run's token.", envvar="PLUMBLINE_REPORT_TOKEN", show_envvar=True)
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="With --report: folder or hub id of the checkpoint, instead of the server's.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="With --report: the same for the reference.")] = None,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="With --report: send the token unprotected.")
    ] = False,
) -> None:
    """Train as a run spec says, with no server; or, with --report, train a server's run on this machine."""
    if report is None:
        if spec is None or checkpoint or reference:
            _fail("Name a spec to train by, or with --report the run of a server.")
        with _plain_troubles():
            from plumbline.training import run

            raise typer.Exit(run(spec, out))
    if not token:
        _fail("The token of the run is missing: set PLUMBLINE_REPORT_TOKEN.")
    with _plain_troubles():
        from plumbline import report as reporting

        raise typer.Exit(
            reporting.run(
                report, token, out, spec=spec, checkpoint=checkpoint, reference=reference, allow_http=allow_http
            )
        )


@app.command()
def verify(
    trajectory: Annotated[
        Path | None,
        typer.Argument(help="A recorded run; without it a published one of Qwen2.5-0.5B-Instruct.", dir_okay=False),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A local copy of its model.", exists=True, file_okay=False)] = None,
    data: Annotated[
        Path | None, typer.Option(help="A local copy of its data, as JSON lines.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Take a run that another trainer recorded again, and print how far apart the losses and gradients are. Exits with
    0 when they are the same within the record's tolerance, with 2 when not."""
    with _plain_troubles():
        from plumbline.verify import run

        raise typer.Exit(run(trajectory, model, data))


@app.command("convert-config")
def convert_config(
    file: Annotated[Path, typer.Argument(help="YAML, JSON or a saved command line; - reads standard input.")],
    devices: Annotated[int, typer.Option(min=1, help="Processes it was meant for, where the file does not say.")] = 1,
) -> None:
    """Turn a configuration of TRL or LLaMA-Factory into a run spec, and tell what became of each value."""
    if str(file) != "-" and not file.is_file():
        _fail(f"{file} is no file.")
    from plumbline import convert_config as converting

    raise typer.Exit(converting.run(file, devices))


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint's folder.", exists=True, file_okay=False)],
    out: Annotated[Path, typer.Option(help="New folder to write.")],
    adapter: Annotated[bool, typer.Option("--adapter", help="Write the LoRA adapter alone, not merged.")] = False,
    dtype: Annotated[Literal["as_trained", "bf16"], typer.Option(help="Numbers of the weights.")] = "as_trained",
    base: Annotated[
        str | None, typer.Option(help="With --adapter: the base's hub id, or a folder, for those who load it.")
    ] = None,
) -> None:
    """Write a checkpoint for others, with no server: weights, tokenizer, template, card; compared before it counts."""
    with _plain_troubles():
        from plumbline.exporting import run

        raise typer.Exit(run(checkpoint, out, "adapter" if adapter else "merged", dtype, base))


@app.command()
def tour(
    url: Annotated[str | None, typer.Option(help="A running Plumbline; without it a private one is started.")] = None,
    token: Annotated[str | None, typer.Option(help="An API token for it.", envvar="PLUMBLINE_TOKEN")] = None,
    pairs: Annotated[int, typer.Option(min=50, help="Toy pairs to import.")] = 1600,
    label: Annotated[int, typer.Option(min=1, help="Pairs to label by the true preference.")] = 40,
    prompts: Annotated[int, typer.Option(min=2, max=1000, help="Held-out prompts to evaluate on.")] = 200,
) -> None:
    """Walk the whole loop without a browser: import, label, train, evaluate, report."""
    with _plain_troubles():
        from plumbline.loop import Size
        from plumbline.tour import walk

        walk(url, token, Size(pairs, label, prompts))


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="The archive to write, or with --verify to read.")],
    data: Data = None,
    verify: Annotated[bool, typer.Option("--verify", help="Only read an archive and check all of it.")] = False,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Also the key of stored tokens: keep such an archive locked away.")
    ] = False,
) -> None:
    """Write database, snapshots, checkpoints and waiting uploads into one archive, while the program runs or not."""
    _set(DATA=data)
    with _plain_troubles():
        from plumbline.backup import terminal

        terminal.verify(target) if verify else terminal.back_up(target, secrets=with_secrets)


@app.command()
def restore(
    archive: Annotated[Path, typer.Argument(help="What `plumbline backup` wrote.", exists=True, dir_okay=False)],
    data: Data = None,
) -> None:
    """Bring a backup back into an empty data folder (and an empty DATABASE_URL, where one is named); or, with a copy
    that an upgrade made, go back to the database of before it."""
    _set(DATA=data)
    with _plain_troubles():
        from plumbline.backup import terminal

        terminal.bring_back(archive)


@app.command()
def version() -> None:
    """Say which version this is."""
    from importlib.metadata import version as installed

    typer.echo(f"plumbline {installed('plumbline')}")


def _set(**options: object) -> None:
    """Options are settings: afterwards the environment says so to this process and those it starts."""
    for name, value in options.items():
        if value is not None:
            os.environ[f"PLUMBLINE_{name}"] = str(value)


@contextmanager
def _plain_troubles() -> Iterator[None]:
    """Turn the errors that are meant for people into a sentence and exit status 1. Before all else libraries learn what
    they may not ask."""
    from pydantic import ValidationError

    from alignment.parts import said
    from backend import offline
    from backend.errors import AppError
    from backend.settings import Settings
    from plumbline.embedded import AlreadyRunning
    from plumbline.servers import ServerFailed
    from plumbline.services import Trouble

    try:
        offline.tell_libraries(Settings())
        yield
    except (AlreadyRunning, ServerFailed, Trouble) as trouble:
        _fail(str(trouble))
    except AppError as error:
        _fail(f"{error.detail} {error.remedy or ''}".strip())
    except ValidationError as error:
        if error.title != "Settings":
            raise
        for found in error.errors():
            name = "_".join(str(part) for part in found["loc"]).upper()
            _fail(f"The setting {name if name.endswith('_URL') else 'PLUMBLINE_' + name} is wrong: {said(found)}.")
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}. The data folder can be changed with PLUMBLINE_DATA.")


def _fail(sentence: str) -> NoReturn:
    typer.secho(sentence, fg="red", err=True)
    sys.exit(1)
