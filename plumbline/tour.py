"""`plumbline tour`: the whole loop without a browser, through the HTTP API, in the toy world where truth is known."""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from alignment.toyworld import BEST_REWARD
from backend.logs import configure
from backend.settings import get_settings
from plumbline.client import Client, PlumblineError
from plumbline.loop import Loop, LoopFailed, Report, Size
from plumbline.services import Trouble
from plumbline.up import Interrupted, Stack, stopping_on_signals

POLL_SECONDS = 0.5
console = Console(highlight=False)


class TourStopped(Trouble):
    """The tour was interrupted."""


def walk(url: str | None, token: str | None, size: Size) -> None:
    """Walk the loop against the server at `url`, or a private one meanwhile, and show what came of it."""
    if url is not None:
        if token is None:
            raise Trouble("A token is needed for a running server: make one on the Account page, pass it as --token.")
        show(_walk(url, token, size, lambda: None))
        return
    with private_program() as (address, made, tend):
        show(_walk(address, made, size, tend))


def _walk(url: str, token: str, size: Size, tend: Callable[[], None]) -> Report:
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress, connect(url, token) as client:
        bars: dict[str, TaskID] = {}

        def tell(stage: str, share: float | None, note: str) -> None:
            """One bar per stage; the one before is full when the next begins."""
            tend()
            if stage not in bars:
                for bar in bars.values():
                    progress.update(bar, completed=1.0, total=1.0)
                bars[stage] = progress.add_task(stage, total=None, note=note)
            progress.update(bars[stage], completed=share, total=None if share is None else 1.0, note=note)

        report = Loop(client, size, tell).walk()
        for bar in bars.values():
            progress.update(bar, completed=1.0, total=1.0)
        return report


def connect(url: str, token: str) -> Client:
    """A client that looks often, because somebody watches.  Raises LoopFailed."""
    try:
        return Client(url, token, poll_seconds=POLL_SECONDS)
    except PlumblineError as error:
        raise LoopFailed(str(error)) from error


@contextmanager
def private_program() -> Iterator[tuple[str, str, Callable[[], None]]]:
    """A whole Plumbline in a folder and on a port of its own: its address, a token, and what keeps it running.

    Nothing of it is left afterwards.
    """
    folder = Path(tempfile.mkdtemp(prefix="plumbline-tour-"))
    password = secrets.token_urlsafe(12)
    settings = {"DATA": str(folder / "data"), "PORT": str(_free_port()), "ADMIN_PASSWORD": password}
    try:
        with _only_these(settings):
            stack = Stack(get_settings())
            with stopping_on_signals(stack.children), stack:
                from plumbline.first_start import prepare

                configure("tour", stack.settings)
                console.print("Starting a private Plumbline for the tour …")
                prepare(stack.settings)
                stack.serve()
                yield stack.address, _token(stack.address, password), stack.tend
    except Interrupted as error:
        raise TourStopped("The tour was stopped; nothing of it is left.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _only_these(settings: dict[str, str]) -> Iterator[None]:
    """Meanwhile the environment configures a private program, whatever was set for another; then it is as before.

    That this machine is to stay offline holds for both.
    """
    before = dict(os.environ)
    for name in list(os.environ):
        if name in {"DATABASE_URL", "REDIS_URL"} or (name.startswith("PLUMBLINE_") and name != "PLUMBLINE_OFFLINE"):
            del os.environ[name]
    os.environ.update({f"PLUMBLINE_{name}": value for name, value in settings.items()})
    get_settings.cache_clear()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _token(address: str, password: str) -> str:
    with Client(address, name="admin", password=password) as client:
        return client.account.make_token("tour").token


def show(report: Report) -> None:
    """The table at the end."""
    table = Table(title="The loop, walked")
    table.add_column("Stage")
    table.add_column("Seconds", justify="right")
    table.add_column("What came of it")
    for stage in report.stages:
        table.add_row(stage.name, f"{stage.seconds:.1f}", stage.result)
    console.print(table)
    console.print(
        "Win rate of the trained checkpoint against its base, by the toy world's truth: "
        f"[bold]{report.rate:.1%}[/bold] "
        f"({report.level:.0%} interval {report.low:.1%} to {report.high:.1%}, n = {report.n} held-out prompts)"
    )
    console.print(
        f"Mean true reward {report.base_reward:.2f} before, {report.reward:.2f} after, {BEST_REWARD:.2f} at best: "
        f"[bold]{report.share:.1%}[/bold] of what could be gained"
    )
