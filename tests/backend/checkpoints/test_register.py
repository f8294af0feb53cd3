"""POST /api/v1/checkpoints and GET /api/v1/checkpoint-folders: what may be registered from disk."""

import json
import pickle
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.projects.models import Project
from backend.settings import Settings
from tests.backend.checkpoints.conftest import Maker, config, header, weights
from tests.conftest import Client

SOME = "00000000-0000-7000-8000-000000000000"
PATHS = ["/checkpoints", f"/checkpoints/{SOME}", f"/checkpoints/{SOME}/lineage", "/checkpoint-folders", "/fetches"]


def register(client: Client, folder: object, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/checkpoints", json={"folder": str(folder)} | body)
    return dict(answer.json()) | {"status": answer.status_code}


@pytest.mark.parametrize("path", PATHS)
def test_signed_out(anonymous: Client, path: str) -> None:
    """Nobody reads checkpoints without signing in."""
    assert anonymous.get(f"/api/v1{path}").status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_annotators_may_not(annotator: Client, path: str) -> None:
    """Checkpoints are for researchers."""
    assert annotator.get(f"/api/v1{path}").status_code == 403


def test_nobody_else_registers(anonymous: Client, annotator: Client) -> None:
    """Registering and downloading need a researcher too."""
    for client, status in ((anonymous, 401), (annotator, 403)):
        assert client.post("/api/v1/checkpoints", json={"folder": "x"}).status_code == status
        assert client.post("/api/v1/fetches", json={"hub_id": "a/b"}).status_code == status
        assert client.post(f"/api/v1/fetches/{SOME}/cancel").status_code == status


def test_missing(researcher: Client) -> None:
    """An id of nothing is 404."""
    for path in (f"/checkpoints/{SOME}", f"/checkpoints/{SOME}/lineage", f"/fetches/{SOME}"):
        assert researcher.get(f"/api/v1{path}").status_code == 404
    assert researcher.post(f"/api/v1/fetches/{SOME}/cancel").status_code == 404


def test_facts_are_read(researcher: Client, make_folder: Maker) -> None:
    """Parameters, architecture and context come from config and header, without loading weights."""
    made = register(researcher, make_folder())

    assert made["status"] == 201
    assert (made["name"], made["source"], made["toy"]) == ("good", "folder", False)
    assert (made["architecture"], made["parameters"], made["max_tokens"]) == ("LlamaForCausalLM", 48, 128)
    assert made["available"] is True
    assert researcher.get("/api/v1/checkpoints").json()["items"][0]["id"] == made["id"]


def test_twice(researcher: Client, make_folder: Maker) -> None:
    """The same folder is registered once; the same request with its key gives the same row."""
    folder = make_folder()
    first = researcher.post("/api/v1/checkpoints", json={"folder": str(folder)}, headers={"idempotency-key": "k"})
    again = researcher.post("/api/v1/checkpoints", json={"folder": str(folder)}, headers={"idempotency-key": "k"})

    assert first.json()["id"] == again.json()["id"]
    assert register(researcher, folder)["status"] == 409


def test_weights_gone(researcher: Client, make_folder: Maker) -> None:
    """A checkpoint whose folder was removed is still listed, and says so."""
    folder = make_folder()
    made = register(researcher, folder)
    folder.rename(folder.parent / ".hidden")

    assert researcher.get(f"/api/v1/checkpoints/{made['id']}").json()["available"] is False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"without": ("model.safetensors",)}, "safetensors"),
        ({"without": ("model.safetensors",), "pytorch_model__bin": pickle.dumps({})}, "pickle"),
        ({"without": ("tokenizer.json",)}, "tokenizer"),
        ({"config__json": config(auto_map={"AutoModel": "modeling.X"})}, "code of its own"),
        ({"config__json": "{"}, "JSON"),
        ({"config__json": "[]"}, "config.json"),
        ({"config__json": "[" * 100_000}, "JSON"),
        ({"config__json": config(architectures=["BertModel"])}, "does not generate"),
        ({"config__json": config(text_config=[])}, "text_config"),
        ({"config__json": config(num_hidden_layers="x")}, "num_hidden_layers"),
        ({"config__json": config(hidden_size=10**30)}, "hidden_size"),
        ({"config__json": config(vocab_size={"a": 1})}, "vocab_size"),
        ({"config__json": b" " * (51 << 20)}, "larger than any"),
        ({"model__safetensors": header(shape=[10**30])}, "model.safetensors"),
        ({"model__safetensors": header(shape="ab")}, "model.safetensors"),
        ({"model__safetensors": header(shape=[-4, -4])}, "model.safetensors"),
        ({"adapter_config__json": "{}"}, "adapter"),
        ({"model__safetensors": b""}, "model.safetensors"),
        ({"model__safetensors": b"\xff" * 64}, "model.safetensors"),
        ({"model__safetensors": b"\x02\0\0\0\0\0\0\0[]"}, "model.safetensors"),
        ({"model__safetensors__index__json": json.dumps({"weight_map": {"a": "model-2.safetensors"}})}, "missing"),
        ({"model__safetensors__index__json": json.dumps({"weight_map": {"a": "../x.safetensors"}})}, "missing"),
        ({"model__safetensors__index__json": json.dumps({"weight_map": {"a": "x" * 300}})}, "cannot be read"),
    ],
)
def test_unfit(researcher: Client, make_folder: Maker, change: dict[str, Any], words: str) -> None:
    """An unusable folder is refused with the reason and a remedy, and shown with it in the list; nothing is stored."""
    folder = make_folder("bad", **change)
    made = register(researcher, folder)

    assert made["status"] == 422, made
    assert words in made["detail"]
    assert made["field"] == "folder"
    assert made["remedy"]
    listed = researcher.get("/api/v1/checkpoint-folders").json()["items"]
    assert [(row["folder"], row["reason"]) for row in listed] == [(str(folder), made["detail"])]
    assert researcher.get("/api/v1/checkpoints").json()["items"] == []


def test_cut_off(researcher: Client, make_folder: Maker) -> None:
    """Weights that were not copied to their end are refused before a run would fail on them."""
    folder = make_folder()
    weights(folder / "model.safetensors", cut=4)

    assert "cut off" in register(researcher, folder)["detail"]


def test_symbolic_links(researcher: Client, make_folder: Maker, root: Path, tmp_path: Path) -> None:
    """No link is followed: neither a linked folder, nor one on the way, nor a linked file in the folder."""
    outside = make_folder("inside").rename(tmp_path / "outside")
    (root / "linked").symlink_to(outside)
    (root / "way").symlink_to(tmp_path)
    good = make_folder("good")
    (good / "extra.json").symlink_to(outside / "config.json")

    assert register(researcher, root / "linked")["status"] == 403
    assert register(researcher, root / "way" / "outside")["status"] == 403
    assert "symbolic link" in register(researcher, good)["detail"]
    assert [row["name"] for row in researcher.get("/api/v1/checkpoint-folders").json()["items"]] == ["good"]


@pytest.mark.parametrize(
    "asked",
    [
        "/etc",
        "/",
        ".",
        "..",
        "../outside",
        "good/../../outside",
        "{root}/../outside",
        "{root}",
        "{root}/",
        "{root}//../outside",
        "~",
        "~root",
        "file:///etc",
        "{root}/" + "x" * 4000,
        "é" * 200,
        "{root}/" + "x/" * 2000,
        "circle",
        "{root}/circle/good",
        "{root}\x00/good",
        "%2e%2e/outside",
        "..%2foutside",
        "good\\..\\..\\outside",
        "{root}-secret",
        "\u2024\u2024/outside",
    ],
)
def test_traversal(researcher: Client, make_folder: Maker, root: Path, asked: str) -> None:
    """Nothing outside the allowed folders can be registered or even learned about."""
    make_folder("good")
    outside = make_folder("other").rename(root.parent / "outside")
    outside.rename(root.parent / "outside")
    (root.parent / "models-secret").mkdir(exist_ok=True)
    (root / "circle").symlink_to(root / "circle")

    made = register(researcher, asked.replace("{root}", str(root)))

    assert made["status"] in (403, 404, 422)
    assert "outside" not in made["detail"]
    assert researcher.get("/api/v1/checkpoints").json()["items"] == []


@pytest.mark.parametrize("asked", ["good", "deep/er/good"])
def test_relative_to_root(researcher: Client, make_folder: Maker, asked: str) -> None:
    """A folder may be named relative to a root; the list finds it up to three levels down."""
    folder = make_folder(asked)

    assert [row["folder"] for row in researcher.get("/api/v1/checkpoint-folders").json()["items"]] == [str(folder)]
    assert register(researcher, asked)["status"] == 201


@pytest.mark.parametrize(
    "where", ["checkpoints/{}", "runs/{}/checkpoints/7", "checkpoints/.arriving-{}", "exports/{}", "cache/{}"]
)
def test_what_is_kept_for_another_project(
    make_client: Callable[..., Client],
    make_folder: Maker,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """Downloads, products of runs, exports and copies lie below a root, too: for other projects they are not there."""
    monkeypatch.setattr(settings, "checkpoint_roots", (settings.data,))
    key = where.format(uuid.uuid4())
    place = settings.data / key
    place.parent.mkdir(parents=True, exist_ok=True)
    make_folder("fetched").rename(place)
    with transaction() as session:
        other = Project(name="Elsewhere")
        session.add(other)
        session.flush()
        whole = {"name": "Gated", "source": "hub", "architecture": "Llama", "parameters": 48}
        session.add(Checkpoint(project_id=other.id, path=key, **whole))
    theirs, stranger = make_client(Role.researcher, project=other), make_client(Role.researcher)

    assert stranger.get("/api/v1/checkpoint-folders").json()["items"] == []
    assert register(stranger, place) == register(stranger, "/etc")
    asked = {"chat_template": "{{ messages }}", "folder": str(place)}
    assert stranger.post("/api/v1/chat-templates/check", json=asked).status_code == 403
    assert ".arriving" in key or register(theirs, place)["title"] == "Already registered"
    shutil.rmtree(place)


def test_same_answer_for_missing_and_forbidden(researcher: Client, root: Path) -> None:
    """Outside the roots, existing and missing folders cannot be told apart."""
    assert register(researcher, "/etc") == register(researcher, "/no/such/folder")


def test_root_reached_by_link(
    researcher: Client, make_folder: Maker, root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The admin may name a root through a link; folders in it are then named either way."""
    make_folder("good")
    alias = root.parent / "alias"
    alias.symlink_to(root)
    monkeypatch.setattr(settings, "checkpoint_roots", (alias,))

    assert register(researcher, alias / "good")["status"] == 201
