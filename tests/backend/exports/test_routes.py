"""Routes of exports: who may, what is refused, what is shown, what is deleted."""

import shutil
import uuid
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from backend import work
from backend.accounts.models import Role
from backend.audit.models import AuditEvent
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint, CheckpointKind, Source
from backend.db import transaction
from backend.exports import pushes, service
from backend.exports.models import Export, Push
from backend.projects.models import Project
from backend.secrets import service as secrets
from backend.secrets.schemas import SecretIn
from backend.work import State
from tests.conftest import Client
from tests.exporting import Trained

API = "/api/v1"
ROUTES = [
    ("POST", "/exports"),
    ("GET", "/exports"),
    ("GET", "/exports/{id}"),
    ("POST", "/exports/{id}/cancel"),
    ("DELETE", "/exports/{id}"),
    ("GET", "/exports/{id}/archive"),
    ("GET", "/exports/{id}/files/README.md"),
    ("POST", "/exports/{id}/pushes"),
    ("GET", "/pushes"),
    ("GET", "/pushes/{push}"),
    ("POST", "/pushes/{push}/cancel"),
]
PUSH = {"repo_id": "me/tiny", "secret": "hub"}


def ask(client: Client, method: str, route: str, export: Export, push: Push | None = None) -> int:
    body = PUSH if route.endswith("pushes") else {"checkpoint_id": str(export.checkpoint_id)}
    path = route.format(id=export.id, push=push.id if push else uuid.uuid4())
    return client.request(method, API + path, json=body if method == "POST" else None).status_code


@pytest.fixture
def token(researcher: Client, done: Export) -> None:
    """A hub's token among the project's secrets."""
    with transaction() as session:
        project = session.get_one(Project, done.project_id)
        body = SecretIn.model_validate({"kind": "hub", "value": "hf_secretvalue"})
        secrets.put(session, project, researcher.user, "hub", body)


@pytest.fixture
def pushed(researcher: Client, done: Export, token: None) -> Push:
    """A queued upload of the finished export."""
    answer = researcher.post(f"{API}/exports/{done.id}/pushes", json=PUSH)
    assert answer.status_code == 202, answer.text
    with transaction() as session:
        return session.get_one(Push, uuid.UUID(answer.json()["id"]))


def test_signed_out_and_annotators(anonymous: Client, annotator: Client, done: Export) -> None:
    """Exports are for researchers, every route of them."""
    for method, route in ROUTES:
        assert ask(anonymous, method, route, done) == 401, route
        assert ask(annotator, method, route, done) == 403, route


def test_another_project(make_client: Callable[..., Client], done: Export, pushed: Push, place: Path) -> None:
    """A researcher of another project meets nothing of this one's, and changes nothing."""
    with transaction() as session:
        elsewhere = Project(name="Elsewhere")
        session.add(elsewhere)
        session.flush()
    stranger = make_client(Role.researcher, project=elsewhere)

    for method, route in ROUTES:
        if "{" in route or method == "POST":
            assert ask(stranger, method, route, done, pushed) == 404, route
    assert stranger.get(f"{API}/exports").json()["items"] == stranger.get(f"{API}/pushes").json()["items"] == []
    assert (place / "README.md").exists()


def test_asking(researcher: Client, trained: Trained) -> None:
    """An export is queued with its name and size; asked for twice, it is told that it is being made."""
    body = {"checkpoint_id": str(trained.adapter.id), "kind": "adapter", "dtype": "bf16"}

    made = researcher.post(f"{API}/exports", json=body)
    again = researcher.post(f"{API}/exports", json=body)

    assert made.status_code == 202
    found = made.json()
    assert (found["state"], found["kind"], found["dtype"]) == ("queued", "adapter", "bf16")
    assert (found["name"], found["base"]) == ("small-run-step-4-adapter", "someone/tiny")
    assert found["total"] > 0
    assert (again.status_code, again.json()["export_id"]) == (409, found["id"])
    with transaction() as session:
        noted = session.scalars(select(AuditEvent).where(AuditEvent.action == "export")).one()
    assert noted.noun_id == trained.adapter.id


REFUSED: list[tuple[dict[str, str], int, str]] = [
    ({"kind": "adapter"}, 422, "whole weights"),
    ({"kind": "gguf"}, 422, "kind"),
    ({"dtype": "int4"}, 422, "dtype"),
    ({"checkpoint_id": str(uuid.uuid4())}, 404, "no such checkpoint"),
    ({"path": "/etc"}, 422, "path"),
]


def test_refused(researcher: Client, trained: Trained) -> None:
    """What cannot be exported is refused at the door with the reason."""
    for body, status, words in REFUSED:
        answer = researcher.post(f"{API}/exports", json={"checkpoint_id": str(trained.base.id)} | body)
        assert (answer.status_code, words in answer.json()["detail"]) == (status, True), body


def test_a_reward_model_is_refused_with_the_reason(researcher: Client, trained: Trained) -> None:
    """It cannot be compared by what it writes; people are told where its folder lies and what loads it."""
    with transaction() as session:
        row = session.get_one(Checkpoint, trained.adapter.id)
        row.kind, row.path = CheckpointKind.reward_model, "runs/7/checkpoints/4"

    answer = researcher.post(f"{API}/exports", json={"checkpoint_id": str(trained.adapter.id)})

    assert (answer.status_code, answer.json()["field"]) == (422, "checkpoint_id")
    assert "compared with its checkpoint by the text" in answer.json()["detail"]
    assert "in the storage under runs/7/checkpoints/4" in answer.json()["remedy"]


def test_weights_gone(researcher: Client, trained: Trained) -> None:
    with transaction() as session:
        session.get_one(Checkpoint, trained.base.id).path = "/nowhere"

    answer = researcher.post(f"{API}/exports", json={"checkpoint_id": str(trained.base.id)})

    assert (answer.status_code, answer.json()["title"]) == (422, "Weights gone")


def test_no_weights_here(researcher: Client, trained: Trained) -> None:
    """A model that an endpoint serves cannot be written down; weights without a chat template are given one first."""
    with transaction() as session:
        row = session.get_one(Checkpoint, trained.base.id)
        row.source, row.endpoint, row.path = Source.endpoint, {"url": "http://127.0.0.1:9"}, "http://127.0.0.1:9"
    served = researcher.post(f"{API}/exports", json={"checkpoint_id": str(trained.base.id)})
    with transaction() as session:
        session.get_one(Checkpoint, trained.adapter.id).own_template = False
    bare = researcher.post(f"{API}/exports", json={"checkpoint_id": str(trained.adapter.id)})

    assert (served.status_code, "its weights are not here" in served.json()["detail"]) == (422, True)
    assert (bare.status_code, "no chat template" in bare.json()["detail"]) == (422, True)


def test_no_room(researcher: Client, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without room is said before anything is queued."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("alignment.export.plan.shutil.disk_usage", lambda _folder: usage(10, 9, 1))

    answer = researcher.post(f"{API}/exports", json={"checkpoint_id": str(trained.base.id)})

    assert (answer.status_code, answer.json()["title"]) == (507, "Disk full")
    assert "are free" in answer.json()["detail"]
    assert researcher.get(f"{API}/exports").json()["items"] == []


def test_finished(researcher: Client, done: Export) -> None:
    """A finished export shows its files, the size of its archive and the commands that serve it."""
    found = researcher.get(f"{API}/exports?checkpoint_id={done.checkpoint_id}").json()["items"][0]

    assert found["available"]
    assert [file["name"] for file in found["files"]] == ["README.md", "a/b.jinja", "empty", "model.safetensors"]
    assert found["commands"][0] == {
        "title": "vLLM",
        "language": "bash",
        "text": "vllm serve ./small-run-step-4 --served-model-name small-run-step-4",
    }


def test_deleting(researcher: Client, done: Export, place: Path) -> None:
    """Deleting frees the disk, is noted, and what is gone is 404."""
    assert researcher.delete(f"{API}/exports/{done.id}").status_code == 204

    assert not place.exists()
    assert researcher.get(f"{API}/exports/{done.id}").status_code == 404
    assert researcher.delete(f"{API}/exports/{done.id}").status_code == 404


def test_not_deleted_at_work(researcher: Client, trained: Trained, done: Export, pushed: Push, place: Path) -> None:
    """What is being made or uploaded is not deleted under the worker's hands."""
    other = researcher.post(f"{API}/exports", json={"checkpoint_id": str(trained.base.id)}).json()

    assert researcher.delete(f"{API}/exports/{other['id']}").status_code == 409
    assert researcher.delete(f"{API}/exports/{done.id}").status_code == 409
    assert place.exists()
    assert researcher.post(f"{API}/pushes/{pushed.id}/cancel").json()["state"] == "cancelled"
    assert researcher.delete(f"{API}/exports/{done.id}").status_code == 204
    kept = researcher.get(f"{API}/pushes/{pushed.id}").json()
    assert (kept["export_id"], kept["checkpoint_id"]) == (None, str(done.checkpoint_id))


def test_files_gone(researcher: Client, done: Export, place: Path) -> None:
    """Files that somebody removed are told, not served as nothing."""
    shutil.rmtree(place)

    assert not researcher.get(f"{API}/exports/{done.id}").json()["available"]
    for path in ("archive", "files/README.md"):
        answer = researcher.get(f"{API}/exports/{done.id}/{path}")
        assert (answer.status_code, answer.json()["title"]) == (404, "Files gone")


def test_unfinished(researcher: Client, trained: Trained) -> None:
    """An export that is not finished has nothing to download or upload; cancelled while queued, it ends at once."""
    made = researcher.post(f"{API}/exports", json={"checkpoint_id": str(trained.base.id)}).json()

    assert researcher.get(f"{API}/exports/{made['id']}/archive").status_code == 404
    assert researcher.post(f"{API}/exports/{made['id']}/pushes", json=PUSH).status_code == 404
    assert researcher.post(f"{API}/exports/{made['id']}/cancel").json()["state"] == "cancelled"


def test_upload_needs_a_hub_token(researcher: Client, done: Export, token: None) -> None:
    """Without the secret, or with one of another kind, nothing is queued."""
    answer = researcher.post(f"{API}/exports/{done.id}/pushes", json=PUSH | {"secret": "other"})

    assert (answer.status_code, answer.json()["field"]) == (422, "secret")
    assert researcher.get(f"{API}/pushes").json()["items"] == []


def test_hostile_repositories(researcher: Client, done: Export, token: None) -> None:
    """What is no repository's name is refused at the door."""
    for repo_id in ("tiny", "a/b/c", "../x/y", "me/", "/me", "me/ti ny", "me/tiny\n", "https://evil/x", "me/..", ""):
        answer = researcher.post(f"{API}/exports/{done.id}/pushes", json=PUSH | {"repo_id": repo_id})
        assert (answer.status_code, answer.json()["field"]) == (422, "repo_id"), repo_id


def test_upload_twice(researcher: Client, done: Export, pushed: Push) -> None:
    """Private unless somebody says otherwise; two uploads to one repository do not run at once."""
    assert pushed.private
    again = researcher.post(f"{API}/exports/{done.id}/pushes", json=PUSH)

    assert (again.status_code, again.json()["title"]) == (409, "Already under way")


def test_killed_workers_are_swept(researcher: Client, trained: Trained, done: Export, pushed: Push) -> None:
    """Work of a process that is gone ends as failed, and what it had written goes."""
    researcher.post(f"{API}/exports", json={"checkpoint_id": str(trained.base.id)})
    with transaction() as session:
        taken = work.claim(session, Export)
        sent = work.claim(session, Push)
        assert taken is not None
        assert sent is not None
        taken.pid = sent.pid = 2**22 + 1  # no process has this number
    half = service.making(taken.id)
    (half / "files").mkdir(parents=True)
    (half / "files" / "model.safetensors").write_bytes(b"half")
    elsewhere = service.making(done.id)  # left on this machine by a worker whose export another machine has ended
    elsewhere.mkdir()
    with transaction() as session:
        service.clear(session)
    assert half.exists()
    assert not elsewhere.exists()
    with transaction() as session:
        assert (service.sweep(session), pushes.sweep(session)) == (1, 1)

    assert researcher.get(f"{API}/exports/{taken.id}").json()["state"] == State.failed
    assert researcher.get(f"{API}/pushes/{pushed.id}").json()["state"] == State.failed
    assert not half.exists()


def test_an_exported_checkpoint_stays(trained: Trained, done: Export, tmp_path: Path) -> None:
    """A run that deletes its checkpoint's folder keeps the row that an export refers to."""
    with transaction() as session:
        path = session.get_one(Checkpoint, done.checkpoint_id).path
        checkpoints.forget_product(session, trained.run.id, path)

    with transaction() as session:
        assert session.get(Checkpoint, done.checkpoint_id) is not None
