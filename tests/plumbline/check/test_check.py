"""`plumbline check`: what is wrong is named with its remedy, whether the program runs or not; no secret is shown."""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from backend import presence
from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.db import get_engine, transaction
from backend.presets.machine import Gpu
from backend.projects.models import Project
from backend.secrets import seal
from backend.secrets import service as secrets
from backend.secrets.models import SecretKind
from backend.secrets.schemas import SecretIn
from backend.settings import Settings, get_settings
from plumbline.check import machine, ways
from plumbline.check.said import Level, Said
from plumbline.check.scene import survey
from plumbline.check.terminal import CHECKS, look
from plumbline.cli import app
from plumbline.embedded import Embedded, holder
from tests.backend.identities.provider import CLIENT, serving
from tests.people import add_person

HIDDEN = "do-not-show-this"
NOWHERE = {"DATABASE_URL": f"postgresql://me:{HIDDEN}@127.0.0.1:1/x", "REDIS_URL": f"redis://:{HIDDEN}@127.0.0.1:1/0"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is not asked, and no proxy is named."""
    monkeypatch.setenv("PLUMBLINE_OFFLINE", "1")
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Runs the command in this process with exactly these settings."""

    def invoke(*arguments: str, **variables: str) -> Result:
        for name in os.environ:
            if name in NOWHERE or (name.startswith("PLUMBLINE") and name != "PLUMBLINE_OFFLINE"):
                monkeypatch.delenv(name)
        monkeypatch.setenv("PLUMBLINE_PORT", str(free_port()))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        return CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": "200"})

    yield invoke
    monkeypatch.undo()
    get_settings.cache_clear()


def findings(done: Result) -> dict[str, dict[str, str]]:
    return {found["check"]: found for found in json.loads(done.stdout)["findings"]}


def with_settings(**changes: object) -> Settings:
    return get_settings().model_copy(update=changes)


def one(name: str, settings: Settings) -> Said:
    """What a single check says."""
    with survey(settings) as scene:
        said = CHECKS[name](scene)
    assert said is not None
    return said


def test_before_the_first_start_nothing_is_made(tmp_path: Path, call: Callable[..., Result]) -> None:
    """A machine that is only set up is fine, and stays as it was: no folder, no key, no database."""
    done = call(PLUMBLINE_DATA=str(tmp_path / "data"))
    assert done.exit_code == 0, done.output
    assert "the first start makes it" in done.stdout
    assert "0 to mend" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_nobody_runs_is_looked_into_and_left(tmp_path: Path, call: Callable[..., Result]) -> None:
    """Its database is started for the moment, with what it holds: here none of the tables yet. Afterwards nobody
    holds the folder."""
    with Embedded(tmp_path / "data", fsync=False, valkey=False):
        pass
    done = call("--json", PLUMBLINE_DATA=str(tmp_path / "data"))
    found = findings(done)
    assert done.exit_code == 0
    assert "PostgreSQL 18" in found["database"]["found"]
    assert (found["schema"]["level"], found["schema"]["found"]) == ("warning", "The database is empty.")
    assert "admins" not in found
    assert holder(tmp_path / "data") is None


def test_a_folder_in_use_is_not_started_twice(servers: Embedded, clean: None, call: Callable[..., Result]) -> None:
    """The database of the program that runs is asked, not a second one on the same files; without a worker that is a
    problem, and the exit status says so."""
    before = servers.lock.path.read_text()
    done = call("--json", PLUMBLINE_DATA=str(servers.folder))
    found = findings(done)
    assert done.exit_code == 1
    assert "of the running program answers" in found["database"]["found"]
    assert found["schema"]["level"] == "ok"
    assert (found["workers"]["level"], found["admins"]["level"]) == ("problem", "problem")
    assert found["workers"]["remedy"].startswith("Start `plumbline worker light --beat`")
    assert servers.lock.path.read_text() == before


def test_the_web_server_is_asked_where_it_was_started(
    tmp_path: Path, call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the port that the running program tells of, which need not be that of the settings."""
    monkeypatch.setattr(ways, "answers", lambda settings, *_: settings.port == 18731)
    with Embedded(tmp_path / "data", postgres=False, valkey=False) as folder:
        folder.lock.tell(host="127.0.0.1", port=18731)
        done = call("--json", PLUMBLINE_DATA=str(tmp_path / "data"))
    assert findings(done)["web server"]["found"].startswith("It answers on port 18731")


def test_servers_that_are_away_are_named_without_their_passwords(tmp_path: Path, call: Callable[..., Result]) -> None:
    """Both problems come at once, each with its remedy, and neither form shows an address or a password."""
    key = "sk-" + "s" * 30
    more = {"PLUMBLINE_SECRET_KEY": key, "PLUMBLINE_ADMIN_PASSWORD": HIDDEN, "PLUMBLINE_METRICS_TOKEN": HIDDEN}
    more |= {"PLUMBLINE_OIDC_CLIENT_SECRET": HIDDEN, "PLUMBLINE_OIDC_ISSUER": f"https://me:{HIDDEN}@id.example"}
    for arguments in ([], ["--json"]):
        done = call(*arguments, PLUMBLINE_DATA=str(tmp_path / "data"), **NOWHERE, **more)
        assert done.exit_code == 1
        assert "that DATABASE_URL names does not answer" in done.stdout
        assert "that REDIS_URL names does not answer" in done.stdout
        assert "PLUMBLINE_OIDC_CLIENT_ID is missing" in done.stdout
        assert "must hold 32 bytes in base64" in done.stdout
        assert HIDDEN not in done.output
        assert key not in done.output
        assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("DATABASE_URL", f"nonsense {HIDDEN}", "database"),
        ("DATABASE_URL", f"mysql://me:{HIDDEN}@127.0.0.1/x", "database"),
        ("REDIS_URL", f"nonsense {HIDDEN}", "broker"),
        ("REDIS_URL", f"http://{HIDDEN}", "broker"),
        ("REDIS_URL", f"unix:///nowhere/{HIDDEN}", "broker"),
    ],
    ids=["words", "another kind", "no redis", "http", "no socket"],
)
def test_addresses_that_are_none(
    tmp_path: Path, call: Callable[..., Result], name: str, value: str, check: str
) -> None:
    """What cannot be an address is a problem of its own check, in a sentence that does not repeat it."""
    done = call("--json", PLUMBLINE_DATA=str(tmp_path / "data"), **{name: value})
    assert findings(done)[check]["level"] == "problem"
    assert HIDDEN not in done.output


def test_a_healthy_instance(settings: Settings, clean: None, tmp_path: Path) -> None:
    """With people, workers and an owner there is nothing to mend, and every finding is one or two sentences."""
    with transaction() as session:
        admin = add_person(session, Role.admin, "ada")
        add_person(session, Role.owner, "grace")
        accounts.reset_password(session, admin)
    assert settings.redis_url is not None
    with presence.connect(settings.redis_url) as redis:
        presence.announce(redis, ("generate", "light", "train"), beat=True)
    found = look(with_settings(data=tmp_path, port=free_port()))
    assert [name for name, said in found.items() if said.level is Level.problem] == []
    assert "every queue is served (generate, light, train)" in found["workers"].found
    assert "agree" in found["clock"].found
    assert all(said.found.endswith(".") for said in found.values())
    assert all(said.remedy for said in found.values() if said.level is not Level.ok)


def test_workers(settings: Settings, clean: None) -> None:
    """A queue without a worker, no beat and two beats are told apart; who falls silent is forgotten."""
    assert settings.redis_url is not None
    with presence.connect(settings.redis_url) as redis:
        presence.announce(redis, ("generate", "light"), beat=False)
        assert "beat" in one("workers", settings).found
        presence.announce(redis, ("generate", "light"), beat=True)
        said = one("workers", settings)
        assert (said.level, said.found) == (Level.warning, "No worker serves train (1 alive): that work waits.")
        redis.set(presence.PREFIX + "other:1", '{"queues": ["train"], "beat": true}', ex=60)
        assert one("workers", settings).found.startswith("2 workers carry the beat")
        presence.leave(redis)
        redis.delete(presence.PREFIX + "other:1")
        assert one("workers", settings).level is Level.problem


def test_schema_and_clock(settings: Settings, clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older and a newer schema are told apart, and without the tables nothing is read from them; a clock that is
    far off is a problem."""
    with get_engine().begin() as connection:
        now = connection.scalar(text("SELECT version_num FROM alembic_version"))
    try:
        for version, words in (("0003", "plumbline migrate"), ("9999", "a newer one")):
            with get_engine().begin() as connection:
                connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
            said = one("schema", settings)
            assert said.level is Level.problem
            assert words in (said.remedy or "")
            assert "admins" not in look(settings)
    finally:
        with get_engine().begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": now})
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 300)
    assert "300 seconds apart" in one("clock", settings).found


def test_secrets_that_do_not_open(settings: Settings, clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many cannot be opened is told, not what they hold; a key that is missing is not made anew."""
    with transaction() as session:
        ada = add_person(session, Role.owner, "ada")
        project = session.query(Project).first()
        assert project is not None
        secrets.put(session, project, ada, "hub", SecretIn(kind=SecretKind.hub, value=HIDDEN))
    assert one("secret key", settings).found == "The key opens all 1 stored secrets."
    path = settings.data / seal.FILE
    kept = path.read_bytes()
    try:
        path.unlink()
        said = one("secret key", settings)
        assert said.level is Level.problem
        assert not path.exists()
        path.write_text("A" * 43 + "=")
        path.chmod(0o600)
        assert one("secret key", settings).found.startswith("1 of 1 stored secrets cannot be opened")
        path.chmod(0o644)
        assert one("secret key", settings).remedy == "Run: chmod 600 secret.key"
    finally:
        path.write_bytes(kept)
        path.chmod(0o600)


def test_people_and_projects(settings: Settings, clean: None) -> None:
    """No admin, a password that stands in the environment or was never changed, a project without an owner and a
    person without a project are each found."""
    assert one("admins", settings).level is Level.problem
    assert one("projects", settings).found.startswith("Projects without a member: ")
    with transaction() as session:
        ada, _ = accounts.add(session, "ada", admin=True, password=HIDDEN)
        add_person(session, Role.researcher, "grace")
        accounts.add(session, "[bold]nobody[/bold]")
    said = one("first password", with_settings(admin_password=HIDDEN))
    assert "still stands in PLUMBLINE_ADMIN_PASSWORD" in said.found
    assert "No change of ada's password" in one("first password", with_settings(admin_password="another")).found
    assert one("projects", settings).found.startswith("Projects without an owner: ")
    assert one("people", settings).found.endswith("[bold]nobody[/bold].")
    with transaction() as session:
        session.get_one(User, ada.id).active = False
    assert one("admins", settings).level is Level.problem


@pytest.mark.parametrize(
    ("changes", "proxies", "cookies", "named"),
    [
        ({}, None, Level.ok, Level.ok),
        ({"allowed_hosts": ("bench.example.org",)}, None, Level.warning, Level.ok),
        ({"secure_cookies": True}, None, Level.warning, Level.ok),
        ({"allowed_hosts": ("a.example",), "secure_cookies": True}, None, Level.ok, Level.ok),
        ({"allowed_hosts": ("a.example",), "secure_cookies": True, "host": "10.0.0.2"}, None, Level.ok, Level.warning),
        ({"allowed_hosts": ("a.example",), "secure_cookies": True}, "10.0.0.0/8, ::1", Level.ok, Level.ok),
        ({}, "*", Level.ok, Level.problem),
        ({}, "10.0.0.1,*", Level.ok, Level.problem),
        ({}, "my proxy", Level.ok, Level.warning),
    ],
    ids=["local", "plain http", "https for nobody", "https", "proxy unnamed", "proxy", "all", "some and all", "words"],
)
def test_cookies_and_proxies(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    proxies: str | None,
    cookies: Level,
    named: Level,
) -> None:
    """How people come, what protects their sign-in, and whose word on their addresses is believed fit together."""
    if proxies is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", proxies)
    with survey(with_settings(**changes)) as scene:
        said = ways.proxies(scene)
        assert (ways.cookies(scene).level, said.level if said else None) == (cookies, named)


def test_a_sign_in_provider(settings: Settings) -> None:
    """One that answers under its own name is fine, save when it gives accounts to everybody; one that is away, calls
    itself otherwise, or is not named whole is a problem."""
    with serving() as provider:
        named = {"offline": False, "oidc_issuer": provider.issuer, "oidc_client_id": CLIENT}
        assert one("sign-in provider", with_settings(**named)).level is Level.ok
        assert one("sign-in provider", with_settings(**named, oidc_accounts="created")).level is Level.warning
        assert one("sign-in provider", with_settings(**named | {"offline": True})).found.endswith("stays offline.")
        aside = one("sign-in provider", with_settings(**named | {"oidc_issuer": provider.issuer + "/"}))
        assert (aside.level, "by another address" in aside.found) == (Level.problem, True)
        half = one("sign-in provider", with_settings(**named | {"oidc_client_id": None}))
        assert half.remedy == "Set PLUMBLINE_OIDC_CLIENT_ID, or unset the others."
    away = one("sign-in provider", with_settings(**named | {"oidc_issuer": "http://127.0.0.1:1"}))
    assert (away.level, away.found) == (Level.problem, "The sign-in provider does not answer now.")


def test_folder_disk_and_storage(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the folder's place, a folder open to all, a nearly full disk and a storage that is not there."""
    (tmp_path / "file").write_text("")
    assert one("data folder", with_settings(data=tmp_path)).level is Level.ok
    tmp_path.chmod(0o755)
    assert "chmod" in (one("data folder", with_settings(data=tmp_path)).remedy or "")
    with survey(settings) as scene:
        scene.settings = with_settings(data=tmp_path / "file")
        assert machine.data_folder(scene).level is Level.problem
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 20}))
    assert one("disk", settings).level is Level.problem
    assert one("storage", with_settings(storage=str(tmp_path / "nowhere"))).level is Level.warning
    assert not (tmp_path / "nowhere").exists()


def test_a_gpu_that_torch_cannot_use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the driver lists and what PyTorch makes of it are told apart."""
    monkeypatch.setattr(machine, "gpus", lambda: (Gpu("Example 9000", 1 << 34),))
    for told, level, words in (
        ({"version": "2.0", "cuda": None, "usable": False}, Level.warning, "built without CUDA"),
        ({"version": "2.0", "cuda": "12.8", "usable": False}, Level.warning, "cannot use it"),
        ({"version": "2.0", "cuda": "12.8", "usable": True}, Level.ok, "computes on Example 9000"),
        (None, Level.problem, "cannot be started"),
    ):
        monkeypatch.setattr(machine, "_torch", lambda told=told: told)
        said = one("gpu", settings)
        assert (said.level, words in said.found) == (level, True)


def test_versions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package is a problem, another version than the tested one a warning that names both."""
    real = machine._installed
    monkeypatch.setattr(machine, "_installed", lambda name: None if name == "celery" else real(name))
    said = one("packages", settings)
    assert (said.level, said.found) == (Level.problem, "Packages are missing: celery.")
    monkeypatch.setattr(machine, "_installed", lambda name: "0.1" if name == "celery" else real(name))
    said = one("packages", settings)
    assert said.level is Level.warning
    assert "celery 0.1 instead of " in said.found
