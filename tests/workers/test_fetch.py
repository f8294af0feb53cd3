"""Downloads from a hub as a worker does them, against an imitation of one on this machine."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from backend import storage, work
from backend.accounts.models import Role
from backend.checkpoints import fetches
from backend.checkpoints.models import Checkpoint, Fetch, Source
from backend.db import transaction
from backend.projects.models import Project
from backend.settings import Settings
from backend.work import State
from tests.conftest import Client
from tests.hub import COMMIT, Manners, serving
from workers import errand, shutdown
from workers.errand import Errand
from workers.tasks import fetch

pytestmark = pytest.mark.usefixtures("warm")
SOME = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def hub(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manners]:
    """The imitation, named by HF_ENDPOINT."""
    manners = Manners.of(tiny)
    with serving(manners) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield manners


@pytest.fixture
def owner(make_client: Callable[..., Client]) -> Client:
    return make_client(Role.owner)


@pytest.fixture
def stranger(make_client: Callable[..., Client]) -> Client:
    """A researcher of another project."""
    with transaction() as session:
        project = Project(name="Elsewhere")
        session.add(project)
    return make_client(Role.researcher, project=project)


def ask(client: Client, **body: str) -> dict[str, Any]:
    answer = client.post("/api/v1/fetches", json={"hub_id": "someone/tiny"} | body)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


@pytest.fixture
def fetched(researcher: Client) -> Callable[..., Fetch]:
    """Asks for a download, runs the worker's task, and gives the row back."""

    def run(**body: str) -> Fetch:
        ask(researcher, **body)
        fetch.work()
        with transaction() as session:
            return session.scalars(select(Fetch).order_by(Fetch.id.desc())).first() or pytest.fail("no row")

    return run


def test_model_becomes_checkpoint(hub: Manners, fetched: Callable[..., Fetch], settings: Settings, tiny: Path) -> None:
    """A branch is pinned to its commit; the files become a registered checkpoint with the hub's id, commit, license."""
    row = fetched(hub_id="someone/tiny")

    assert (row.state, row.reason, row.license) == (State.succeeded, None, "apache-2.0")
    assert row.commit == COMMIT
    assert row.done == row.total > 0
    with transaction() as session:
        checkpoint = session.get_one(Checkpoint, row.checkpoint_id)
    assert (checkpoint.source, checkpoint.hub_id, checkpoint.revision) == (Source.hub, "someone/tiny", COMMIT)
    assert checkpoint.license == "apache-2.0"
    folder = storage.local(checkpoint.path)
    assert (folder / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    assert not list(settings.checkpoints.glob(".*"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"hub_id": "someone/else"}, "no model"),
        ({"hub_id": "someone/tiny", "revision": "v9"}, "no revision"),
    ],
)
def test_unknown(
    hub: Manners, fetched: Callable[..., Fetch], settings: Settings, body: dict[str, str], words: str
) -> None:
    """A model or revision that does not exist is said so, with what to do."""
    row = fetched(**body)

    assert row.state == State.failed
    assert words in (row.reason or "")
    assert row.remedy
    assert not list(settings.checkpoints.glob(".*"))


def test_off_line(hub: Manners, researcher: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that must ask no hub says so and names the way without a hub, whatever the server was told."""
    ask(researcher, hub_id="someone/tiny")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fetch.work()
    with transaction() as session:
        row = session.scalars(select(Fetch)).one()

    assert row.state == State.failed
    assert "HF_HUB_OFFLINE" in (row.reason or "")
    assert "allowed folder" in (row.remedy or "")
    assert hub.asked == []


@pytest.mark.parametrize(
    "lie", [{"stated_sizes": {"model.safetensors": 1000}}, {"served": {"model.safetensors": b"x"}}]
)
def test_a_lie_leaves_nothing(
    hub: Manners, fetched: Callable[..., Fetch], settings: Settings, lie: dict[str, object]
) -> None:
    """What a hub that lies about sizes has sent is thrown away, and no checkpoint comes of it."""
    for name, value in lie.items():
        setattr(hub, name, value)
    row = fetched(hub_id="someone/tiny")

    assert (row.state, row.checkpoint_id) == (State.failed, None)
    assert "states" in (row.reason or "")
    assert not list(settings.checkpoints.glob(".*"))


def test_a_pickle_is_refused(hub: Manners, fetched: Callable[..., Fetch]) -> None:
    """A model that is published as a pickle only is refused with the reason, and none of it fetched."""
    hub.files["pytorch_model.bin"] = hub.files.pop("model.safetensors")
    row = fetched(hub_id="someone/tiny")

    assert "pickles" in (row.reason or "")
    assert not any("/resolve/" in one.path for one in hub.asked)


def test_a_pickle_by_another_name_is_refused(hub: Manners, fetched: Callable[..., Fetch], settings: Settings) -> None:
    """A file that is called safetensors and is none becomes no checkpoint."""
    hub.files["model.safetensors"] = b"\x80\x04\x95" + b"x" * 5000
    row = fetched(hub_id="someone/tiny")

    assert row.state == State.failed
    assert "model.safetensors in someone/tiny is damaged" in (row.reason or "")
    assert not list(settings.checkpoints.glob(f"*{row.id}*"))


def test_the_secret_opens_a_gated_model(hub: Manners, researcher: Client, owner: Client) -> None:
    """The project's hub token is shown to the hub; without it the remedy is the license and a token."""
    hub.token, hub.gated = "hf_letmein_please_123", "manual"
    first = ask(researcher)
    fetch.work()
    refused = researcher.get(f"/api/v1/fetches/{first['id']}").json()
    assert "gated" in refused["reason"]
    assert "Accept the license" in refused["remedy"]

    assert owner.put("/api/v1/secrets/hub", json={"kind": "hub", "value": hub.token}).status_code == 200
    assert researcher.post(f"/api/v1/fetches/{first['id']}/resume", json={"secret": "hub"}).status_code == 202
    fetch.work()

    assert researcher.get(f"/api/v1/fetches/{first['id']}").json()["state"] == "succeeded"
    assert {one.token for one in hub.asked if one.server == "store"} == {None}


def test_a_secret_that_is_gone(hub: Manners, researcher: Client, owner: Client) -> None:
    """A secret must be there when it is named, and is missed with a sentence when it is gone by then."""
    answer = researcher.post("/api/v1/fetches", json={"hub_id": "someone/tiny", "secret": "hub"})
    assert (answer.status_code, answer.json()["field"]) == (422, "secret")

    owner.put("/api/v1/secrets/hub", json={"kind": "hub", "value": "hf_letmein_please_123"})
    asked = ask(researcher, secret="hub")
    owner.delete("/api/v1/secrets/hub")
    fetch.work()

    row = researcher.get(f"/api/v1/fetches/{asked['id']}").json()
    assert (row["state"], "no secret" in row["reason"]) == ("failed", True)


def test_a_worker_that_is_told_to_stop_hands_over(
    hub: Manners, fetched: Callable[..., Fetch], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that nobody cancelled goes back into the queue; the next worker uses what has arrived."""
    told = iter([False])  # asked before a row is taken; from then on the worker has its SIGTERM
    monkeypatch.setattr(shutdown, "asked", lambda: next(told, True))
    row = fetched(hub_id="someone/tiny")
    assert (row.state, row.reason, row.checkpoint_id) == (State.queued, None, None)

    folder, _ = fetches.arriving(row.id)
    half = hub.files["model.safetensors"]
    (folder / "model.safetensors.part").write_bytes(half[: len(half) // 2])
    hub.asked.clear()
    monkeypatch.setattr(shutdown, "asked", lambda: False)
    fetch.work()

    assert f"bytes={len(half) // 2}-" in {one.range for one in hub.asked}
    with transaction() as session:
        assert session.get_one(Fetch, row.id).state is State.succeeded
    assert not list(settings.checkpoints.glob(".*"))


def test_cancelled(hub: Manners, researcher: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that is cancelled while it runs ends as cancelled and leaves nothing; cancelling again answers it."""
    asked = ask(researcher)
    pulse = Errand._pulse

    def cancelling(self: Errand[Fetch], said: dict[str, Any]) -> bool:
        assert researcher.post(f"/api/v1/fetches/{asked['id']}/cancel").json()["state"] == "stopping"
        return pulse(self, said)

    monkeypatch.setattr(Errand, "_pulse", cancelling)
    hub.busy = ["300"]  # so that it is under way
    fetch.work()

    row = researcher.get(f"/api/v1/fetches/{asked['id']}").json()
    assert (row["state"], row["reason"]) == ("cancelled", "Cancelled. Nothing was kept.")
    assert researcher.post(f"/api/v1/fetches/{asked['id']}/cancel").json()["state"] == "cancelled"
    assert not list(settings.checkpoints.glob(".*"))


def test_cancelled_before_it_began(hub: Manners, researcher: Client) -> None:
    """A queued download is cancelled at once; one that has succeeded is not."""
    asked = ask(researcher)
    assert researcher.post(f"/api/v1/fetches/{asked['id']}/cancel").json()["state"] == "cancelled"
    done = ask(researcher)
    fetch.work()

    assert hub.asked
    assert researcher.post(f"/api/v1/fetches/{done['id']}/cancel").status_code == 409
    assert researcher.post(f"/api/v1/fetches/{done['id']}/resume", json={}).status_code == 409


def test_cancelling_and_going_on_need_rights(
    anonymous: Client, annotator: Client, researcher: Client, stranger: Client
) -> None:
    """Signed out, without the role, and from another project: nothing happens to a download."""
    asked = ask(researcher)
    for action, body in (("cancel", None), ("resume", {})):
        path = f"/api/v1/fetches/{asked['id']}/{action}"
        assert anonymous.post(path, json=body).status_code == 401
        assert annotator.post(path, json=body).status_code == 403
        assert stranger.post(path, json=body).status_code == 404
    assert researcher.get(f"/api/v1/fetches/{asked['id']}").json()["state"] == "queued"


def test_a_failed_download_goes_on(hub: Manners, researcher: Client, settings: Settings) -> None:
    """What had arrived when the hub went away is kept, and used when somebody lets the download go on."""
    weights = hub.files["model.safetensors"]
    asked = ask(researcher)
    hub.busy = ["90000"]
    fetch.work()
    row = researcher.get(f"/api/v1/fetches/{asked['id']}").json()
    assert (row["state"], "asks to wait" in row["reason"]) == ("failed", True)
    folder, _ = fetches.arriving(uuid.UUID(asked["id"]))
    (folder / "model.safetensors.part").write_bytes(weights[:1000])

    assert researcher.post(f"/api/v1/fetches/{asked['id']}/resume", json={}).json()["state"] == "queued"
    fetch.work()

    assert researcher.get(f"/api/v1/fetches/{asked['id']}").json()["state"] == "succeeded"
    assert "bytes=1000-" in {one.range for one in hub.asked}
    assert not list(settings.checkpoints.glob(".*"))


def test_a_download_outlives_an_outage_at_its_end(
    hub: Manners, fetched: Callable[..., Fetch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away exactly when the checkpoint is to be registered is waited for."""
    monkeypatch.setattr(errand, "PULSE_SECONDS", 0.05)
    away = iter([True, True])
    register = fetch._register

    def faltering(session: Session, *rest: Any) -> None:
        if next(away, False):
            raise OperationalError("INSERT", None, Exception("away"))
        register(session, *rest)

    monkeypatch.setattr(fetch, "_register", faltering)

    row = fetched(hub_id="someone/tiny")
    assert (row.state, row.checkpoint_id is not None) == (State.succeeded, True)


def test_a_download_that_was_stored_and_not_registered(hub: Manners, researcher: Client, tiny: Path) -> None:
    """A worker killed between storing and registering costs no second download."""
    asked = ask(researcher)
    storage.put(tiny, f"checkpoints/{asked['id']}")
    fetch.work()

    assert researcher.get(f"/api/v1/fetches/{asked['id']}").json()["state"] == "succeeded"
    assert hub.asked == []


def test_a_download_outlives_a_short_outage(
    hub: Manners, fetched: Callable[..., Fetch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away for a moment while files arrive costs nothing."""
    away, open_one = iter([True]), transaction

    @contextmanager
    def faltering() -> Iterator[Session]:
        if next(away, False):
            raise OperationalError("SELECT", None, Exception("away"))
        with open_one() as session:
            yield session

    monkeypatch.setattr("workers.errand.transaction", faltering)

    assert fetched(hub_id="someone/tiny").state == State.succeeded


def test_a_download_that_was_swept_registers_nothing(
    hub: Manners, fetched: Callable[..., Fetch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that slept until somebody was told of the end adds no checkpoint when it wakes up."""

    def asleep(self: Errand[Fetch], _said: object) -> bool:
        with transaction() as session:
            work.finish(session.get_one(Fetch, self.row_id), State.failed, "The worker was lost.")
        return False

    monkeypatch.setattr(Errand, "_pulse", asleep)

    row = fetched(hub_id="someone/tiny")

    assert (row.state, row.reason, row.checkpoint_id) == (State.failed, "The worker was lost.", None)
    with transaction() as session:
        assert session.scalars(select(Checkpoint)).all() == []


def killed(asked: dict[str, Any]) -> None:
    """A worker took the download and is no more."""
    with transaction() as session:
        taken = work.claim(session, Fetch)
        assert taken is not None
        assert str(taken.id) == asked["id"]
        taken.pid = 2**22 + 1  # no process has this number


def test_a_killed_worker_is_followed_by_another(hub: Manners, researcher: Client) -> None:
    """After kill -9 the sweep queues the download again, and what had arrived is used."""
    asked = ask(researcher)
    folder, _ = fetches.arriving(uuid.UUID(asked["id"]))
    folder.mkdir(parents=True)
    (folder / "model.safetensors.part").write_bytes(hub.files["model.safetensors"][:500])
    killed(asked)
    with transaction() as session:
        assert fetches.sweep(session) == 1
    fetch.work()

    assert researcher.get(f"/api/v1/fetches/{asked['id']}").json()["state"] == "succeeded"
    assert "bytes=500-" in {one.range for one in hub.asked}


def test_a_download_that_kills_its_workers_ends(researcher: Client, settings: Settings) -> None:
    """After so many killed workers the download fails; a cancelled one is not queued again; old parts are removed."""
    asked = ask(researcher)
    killed(asked)
    with transaction() as session:
        session.get_one(Fetch, uuid.UUID(asked["id"])).attempts = fetches.MOST_ATTEMPTS
    for name in (f".arriving-{SOME}", f".arriving-{asked['id']}", ".arriving-else"):
        (settings.checkpoints / name).mkdir(parents=True)
    with transaction() as session:
        fetches.sweep(session)
    assert researcher.get(f"/api/v1/fetches/{asked['id']}").json()["state"] == "failed"
    assert sorted(path.name for path in settings.checkpoints.glob(".*")) == sorted(
        [".arriving-else", f".arriving-{asked['id']}"]
    )

    with transaction() as session:
        session.get_one(Fetch, uuid.UUID(asked["id"])).finished_at = work.now() - 2 * fetches.KEPT
    with transaction() as session:
        fetches.sweep(session)
    assert [path.name for path in settings.checkpoints.glob(".*")] == [".arriving-else"]
    (settings.checkpoints / ".arriving-else").rmdir()


@pytest.mark.parametrize("hub_id", ["../../etc", "a/b/c", "https://evil.example/x", "a b", "", "-x/y", "a/..", "a\n"])
def test_hostile_ids(researcher: Client, hub_id: str) -> None:
    """An id that is no hub id is refused at the door, and nothing is queued."""
    answer = researcher.post("/api/v1/fetches", json={"hub_id": hub_id})

    assert answer.status_code == 422
    with transaction() as session:
        assert session.scalars(select(Fetch)).all() == []
