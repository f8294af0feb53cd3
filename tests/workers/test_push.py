"""Uploads to a hub, against a small imitation of one on this machine."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from backend.checkpoints.hub_errors import Refused
from backend.db import transaction
from backend.exports import service
from backend.exports.models import Export, Push
from backend.projects.models import Project
from backend.secrets import service as secrets
from backend.secrets.schemas import SecretIn
from backend.settings import Settings
from backend.work import State
from tests import exporting
from tests.conftest import Client
from tests.uploads_hub import READ, WRITE, UploadsHub, serving
from workers import pusher, shutdown
from workers.tasks import push

# The library hands files to its client in a way that is going out of fashion; it warns, and sends them.
pytestmark = pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")

CARD = "---\nlicense: mit\n---\n\n# Tiny\n"
FILES = {
    "README.md": CARD.encode(),
    "config.json": b"{}",
    "model.safetensors": bytes(range(256)) * 300,
    "additional_chat_templates/tool.jinja": b"{{ x }}",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadsHub]:
    """The imitation, named by HF_ENDPOINT; plain LFS, as the worker's process is told."""
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", WRITE)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _seconds: None)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_upload(hub: UploadsHub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new private repository holds the same bytes under one commit, which is said at the end."""
    pusher.upload(folder, "me/tiny", private=True)

    assert hub.repos["me/tiny"] == {"private": True, "files": FILES}
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [words["bytes"] for words in said[:-1]][-1] == sum(map(len, FILES.values()))
    assert said[-1] == {"done": True, "commit": "d" * 40, "url": f"{hub.url}/me/tiny"}


def test_parts(hub: UploadsHub, folder: Path) -> None:
    """A large file goes in parts where the hub wants that, and arrives whole."""
    hub.part_bytes = 30_000
    pusher.upload(folder, "me/tiny", private=False)

    assert hub.repos["me/tiny"] == {"private": False, "files": FILES}
    assert len(hub.puts) == 3


def test_again(hub: UploadsHub, folder: Path) -> None:
    """Weights of an earlier upload that are no part of this one go; other files of people stay; nothing goes twice."""
    others = {"model-00001-of-00002.safetensors": b"old", "model.safetensors.index.json": b"{}", "notes.txt": b"mine"}
    hub.add("me/tiny", private=True, files=others)

    pusher.upload(folder, "me/tiny", private=True)
    pusher.upload(folder, "me/tiny", private=True)

    assert hub.repos["me/tiny"]["files"] == FILES | {"notes.txt": b"mine"}
    assert len(hub.puts) == 1


def test_a_public_repository_is_not_private(hub: UploadsHub, folder: Path) -> None:
    """Who wants it private does not find it in a repository that everybody can see."""
    hub.add("me/tiny", private=False)

    with pytest.raises(Refused, match="everybody can see"):
        pusher.upload(folder, "me/tiny", private=True)
    assert (hub.repos["me/tiny"]["files"], hub.blobs) == ({}, {})


@pytest.mark.parametrize(("token", "words"), [(READ, "does not let this token write"), ("hf_wrong", "does not know")])
def test_a_token_without_rights(
    hub: UploadsHub, folder: Path, monkeypatch: pytest.MonkeyPatch, token: str, words: str
) -> None:
    """It is said that the token lacks rights, and which to make; the token itself is not said."""
    monkeypatch.setenv("HF_TOKEN", token)
    hub.add("me/tiny", private=True)

    for repo_id in ("me/tiny", "me/new"):
        with pytest.raises(Refused, match=words) as refused:
            pusher.upload(folder, repo_id, private=True)
        assert "write access" in refused.value.remedy
        assert token not in refused.value.reason + refused.value.remedy
    assert (hub.repos["me/tiny"]["files"], hub.blobs, list(hub.repos)) == ({}, {}, ["me/tiny"])


def test_cut_off(hub: UploadsHub, folder: Path) -> None:
    """A connection that breaks in mid-file leaves a repository without a file; the next upload succeeds."""
    hub.break_at = 1000
    with pytest.raises(Refused, match=r"broke off|could not be uploaded"):
        pusher.upload(folder, "me/tiny", private=True)
    assert hub.repos["me/tiny"]["files"] == {}

    hub.break_at = None
    pusher.upload(folder, "me/tiny", private=True)
    assert hub.repos["me/tiny"]["files"] == FILES


def test_busy(hub: UploadsHub, folder: Path) -> None:
    """A hub that asks for a pause for too long is named so."""
    hub.busy = 100

    with pytest.raises(Refused, match="pause"):
        pusher.upload(folder, "me/tiny", private=True)


def test_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a way to the hub its address is named."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    with pytest.raises(Refused, match=r"127\.0\.0\.1:9 cannot be reached"):
        pusher.upload(folder, "me/tiny", private=True)


def add_export(settings: Settings, tiny: Path, adapter: Path, user_of: Client) -> Export:
    """A finished export with the files above, and a hub's token among the project's secrets."""
    trained = exporting.add_trained(tiny, adapter)
    asked = user_of.post("/api/v1/exports", json={"checkpoint_id": str(trained.adapter.id)}).json()
    place = settings.data / service.key(uuid.UUID(asked["id"]))
    for name, content in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    with transaction() as session:
        row = session.get_one(Export, uuid.UUID(asked["id"]))
        row.files = [{"name": name, "size": len(content), "sha256": "0" * 64} for name, content in FILES.items()]
        row.state, row.bytes = State.succeeded, sum(map(len, FILES.values()))
        body = SecretIn.model_validate({"kind": "hub", "value": WRITE})
        secrets.put(session, session.get_one(Project, row.project_id), user_of.user, "hub", body)
        return row


@pytest.fixture(scope="session")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exporting.adapter_folder(tiny, tmp_path_factory.mktemp("adapter"))


def test_from_asking_to_the_hub(
    hub: UploadsHub,
    researcher: Client,
    settings: Settings,
    tiny: Path,
    adapter: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked for over HTTP, uploaded by the worker's process with the project's token, shown with its commit."""
    monkeypatch.delenv("HF_TOKEN")
    row = add_export(settings, tiny, adapter, researcher)
    asked = researcher.post(f"/api/v1/exports/{row.id}/pushes", json={"repo_id": "me/tiny", "secret": "hub"}).json()

    told = iter([False])  # a worker that gets its SIGTERM hands over
    with monkeypatch.context() as patch:
        patch.setattr(shutdown, "asked", lambda: next(told, True))
        push.work()
    assert researcher.get(f"/api/v1/pushes/{asked['id']}").json()["state"] == "queued"

    push.work()

    found = researcher.get(f"/api/v1/pushes/{asked['id']}").json()
    assert (found["state"], found["reason"]) == ("succeeded", None)
    assert (found["commit"], found["url"]) == ("d" * 40, f"{hub.url}/me/tiny")
    assert found["done"] == found["total"] > 0
    assert hub.repos["me/tiny"] == {"private": True, "files": FILES}


def test_a_secret_that_has_gone(researcher: Client, settings: Settings, tiny: Path, adapter: Path) -> None:
    """A token that was deleted after the upload was asked for ends it with that reason, before anything is sent."""
    row = add_export(settings, tiny, adapter, researcher)
    researcher.post(f"/api/v1/exports/{row.id}/pushes", json={"repo_id": "me/tiny", "secret": "hub"})
    with transaction() as session:
        secrets.delete(session, session.get_one(Project, row.project_id), researcher.user, "hub")

    push.work()

    with transaction() as session:
        found = session.query(Push).one()
    assert (found.state, "no secret called" in (found.reason or "")) == (State.failed, True)
