"""Downloads from a hub, against a small imitation of one on this machine."""

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from backend import work
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint, Fetch, Source
from backend.db import transaction
from backend.settings import Settings
from backend.work import State
from tests.conftest import Client
from workers import shutdown
from workers.hub import Refused, choose
from workers.tasks import fetch

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves the files of one folder as the model `someone/tiny`."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/someone/tiny/revision/"):
            revision = path.rpartition("/")[2]
            if revision in ("main", COMMIT):
                self._send(json.dumps(self._info()).encode(), body=body)
            else:
                self._missing("RevisionNotFound")
        elif path.startswith(f"/someone/tiny/resolve/{COMMIT}/"):
            self._send((self.server.folder / path.rpartition("/")[2]).read_bytes(), body=body)
        else:
            self._missing("RepoNotFound")

    def _info(self) -> dict[str, object]:
        files = [{"rfilename": file.name, "size": file.stat().st_size} for file in sorted(self.server.folder.iterdir())]
        return {"id": "someone/tiny", "sha": COMMIT, "siblings": files, "tags": [], "private": False}

    def _send(self, content: bytes, *, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def hub(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The imitation, named by HF_ENDPOINT."""
    with Hub(tiny) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server
        server.shutdown()


@pytest.fixture
def fetched(researcher: Client) -> Callable[..., Fetch]:
    """Asks for a download, runs the worker's task, and gives the row back."""

    def run(**body: str) -> Fetch:
        answer = researcher.post("/api/v1/fetches", json=body)
        assert answer.status_code == 202, answer.text
        fetch.work()
        with transaction() as session:
            return session.scalars(select(Fetch).order_by(Fetch.id.desc())).first() or pytest.fail("no row")

    return run


def test_model_becomes_checkpoint(hub: Hub, fetched: Callable[..., Fetch], settings: Settings, tiny: Path) -> None:
    """A branch is pinned to its commit; the files become a registered checkpoint with the hub's id and that commit."""
    row = fetched(hub_id="someone/tiny")

    assert (row.state, row.reason) == (State.succeeded, None)
    assert row.commit == COMMIT
    assert row.done == row.total > 0
    with transaction() as session:
        checkpoint = session.get_one(Checkpoint, row.checkpoint_id)
    assert (checkpoint.source, checkpoint.hub_id, checkpoint.revision) == (Source.hub, "someone/tiny", COMMIT)
    assert (Path(checkpoint.path) / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    assert not list(settings.checkpoints.glob(".*"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"hub_id": "someone/else"}, "no model"),
        ({"hub_id": "someone/tiny", "revision": "v9"}, "no revision"),
    ],
)
def test_unknown(hub: Hub, fetched: Callable[..., Fetch], settings: Settings, body: dict[str, str], words: str) -> None:
    """A model or revision that does not exist is said so, with what to do."""
    row = fetched(**body)

    assert row.state == State.failed
    assert words in (row.reason or "")
    assert row.remedy
    assert not list(settings.checkpoints.glob(".*"))


def test_off_line(fetched: Callable[..., Fetch], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a way to the hub the reason names it and the remedy a way without it."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    row = fetched(hub_id="someone/tiny")

    assert row.state == State.failed
    assert "http://127.0.0.1:9 cannot be reached" in (row.reason or "")
    assert "allowed folder" in (row.remedy or "")


def test_a_worker_that_is_told_to_stop_hands_over(
    hub: Hub, fetched: Callable[..., Fetch], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that nobody cancelled goes back into the queue, and leaves nothing half done."""
    told = iter([False])  # asked before a row is taken; from then on the worker has its SIGTERM
    monkeypatch.setattr(shutdown, "asked", lambda: next(told, True))

    row = fetched(hub_id="someone/tiny")

    assert (row.state, row.reason, row.done) == (State.queued, None, 0)
    assert not list(settings.checkpoints.glob(".*"))


def test_a_download_outlives_a_short_outage(
    hub: Hub, fetched: Callable[..., Fetch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away for a moment while files arrive costs nothing."""
    pulse, away = fetch._pulse, iter([True])

    def faltering(fetch_id: uuid.UUID, arriving: Path, said: dict[str, object]) -> bool:
        if next(away, False):
            raise OperationalError("SELECT", None, Exception("away"))
        return pulse(fetch_id, arriving, said)

    monkeypatch.setattr(fetch, "_pulse", faltering)

    assert fetched(hub_id="someone/tiny").state == State.succeeded


def test_a_download_that_was_swept_registers_nothing(
    hub: Hub, fetched: Callable[..., Fetch], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that slept until somebody was told of the end adds no checkpoint when it wakes up."""

    def asleep(fetch_id: uuid.UUID, _arriving: Path, _said: object) -> bool:
        with transaction() as session:
            work.finish(session.get_one(Fetch, fetch_id), State.failed, "The worker was lost.")
        return False

    monkeypatch.setattr(fetch, "_pulse", asleep)

    row = fetched(hub_id="someone/tiny")

    assert (row.state, row.reason, row.checkpoint_id) == (State.failed, "The worker was lost.", None)
    with transaction() as session:
        assert session.scalars(select(Checkpoint)).all() == []
    assert not list(settings.checkpoints.glob(f"*{row.id}*"))


def test_a_killed_worker_leaves_nothing(researcher: Client, settings: Settings) -> None:
    """After kill -9 the sweep ends the download with the reason and removes what had arrived."""
    asked = researcher.post("/api/v1/fetches", json={"hub_id": "someone/tiny"}).json()
    folder, said = checkpoints.arriving(uuid.UUID(asked["id"]))
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"half")
    said.write_text("{}")
    with transaction() as session:
        taken = work.claim(session, Fetch)
        assert taken is not None
        taken.pid = 2**22 + 1  # no process has this number
    with transaction() as session:
        assert checkpoints.sweep(session) == 1

    assert researcher.get(f"/api/v1/fetches/{asked['id']}").json()["state"] == "failed"
    assert not list(settings.checkpoints.glob(".*"))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["config.json", "pytorch_model.bin", "tokenizer.json"], "pickle"),
        (["config.json", "tokenizer.json"], "no safetensors"),
        (["config.json", "model.safetensors"], "no tokenizer"),
        (["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"], "adapter"),
        (["README.md"], "config.json"),
        (["sub/config.json", "sub/model.safetensors", "../tokenizer.json"], "config.json"),
    ],
)
def test_refused_before_download(names: list[str], words: str) -> None:
    """What cannot become a checkpoint is refused by its list of files, before anything large is fetched."""
    with pytest.raises(Refused) as refused:
        choose(names)

    assert words in refused.value.reason


def test_only_what_is_needed() -> None:
    """Neither pickles nor code nor anything outside the top folder is fetched."""
    names = [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "pytorch_model.bin",
        "modeling.py",
        "a/b.json",
        ".git",
    ]

    assert choose(names) == ["config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.parametrize("hub_id", ["../../etc", "a/b/c", "https://evil.example/x", "a b", "", "-x/y", "a/..", "a\n"])
def test_hostile_ids(researcher: Client, hub_id: str) -> None:
    """An id that is no hub id is refused at the door, and nothing is queued."""
    answer = researcher.post("/api/v1/fetches", json={"hub_id": hub_id})

    assert answer.status_code == 422
    with transaction() as session:
        assert session.scalars(select(Fetch)).all() == []
