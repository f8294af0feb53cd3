"""Chat templates that are given to weights without one: tried in a sandbox, kept beside the folder."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend import storage
from backend.accounts.models import Role
from backend.checkpoints import places
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.projects.models import Project
from tests.backend.checkpoints.conftest import Maker
from tests.conftest import Client

SOME = "00000000-0000-7000-8000-000000000000"
GOOD = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
BARE = json.dumps({"eos_token": {"content": "</end>"}})


@pytest.fixture
def bare(make_folder: Maker) -> Path:
    """A folder of weights without a chat template."""
    return make_folder("bare", tokenizer_config__json=BARE)


def register(client: Client, folder: Path, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/checkpoints", json={"folder": str(folder)} | body)
    return dict(answer.json()) | {"code": answer.status_code}


def give(client: Client, checkpoint_id: str, template: str = GOOD) -> dict[str, Any]:
    answer = client.post(f"/api/v1/checkpoints/{checkpoint_id}/chat-template", json={"chat_template": template})
    return dict(answer.json()) | {"code": answer.status_code}


def try_out(client: Client, template: str, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/chat-templates/check", json={"chat_template": template} | body)
    return dict(answer.json()) | {"code": answer.status_code}


def test_rights(
    anonymous: Client, annotator: Client, researcher: Client, make_client: Callable[..., Client], bare: Path
) -> None:
    """Signed out 401, annotators 403, and another project's checkpoint is not there."""
    made = register(researcher, bare)
    with transaction() as session:
        project = Project(name="Elsewhere")
        session.add(project)
    stranger = make_client(Role.researcher, project=project)

    for client, code in ((anonymous, 401), (annotator, 403)):
        assert give(client, made["id"])["code"] == code
        assert try_out(client, GOOD)["code"] == code
    assert give(stranger, made["id"])["code"] == 404
    assert try_out(stranger, GOOD, checkpoint_id=made["id"])["code"] == 404


def test_given_later(researcher: Client, bare: Path) -> None:
    """Weights without a template are registered, say so, and can be given one; their folder stays as it was."""
    before = {path.name: path.read_bytes() for path in bare.iterdir()}
    made = register(researcher, bare)
    assert (made["code"], made["chat_template"]) == (201, "missing")

    assert give(researcher, made["id"])["chat_template"] == "given"
    assert {path.name: path.read_bytes() for path in bare.iterdir()} == before
    with transaction() as session:
        row = session.get_one(Checkpoint, uuid.UUID(made["id"]))
        links = places.chain(session, row)
        with storage.using() as use:
            shown = places.place(links, use)
    assert (shown / "chat_template.jinja").read_text() == GOOD
    assert (shown / "config.json").read_bytes() == before["config.json"]
    assert give(researcher, made["id"], GOOD + " ")["chat_template"] == "given"  # nothing was made with the first


def test_given_at_once(researcher: Client, bare: Path) -> None:
    """A template can come with the folder; the special tokens are those of its tokenizer."""
    tried = try_out(researcher, GOOD, folder=str(bare))
    assert tried["samples"][1]["text"] == "<|user|>What is the sea?<|assistant|>The sea is wide.</end>"
    assert tried["warnings"] == []

    assert register(researcher, bare, chat_template=GOOD)["chat_template"] == "given"


def test_not_over_its_own(researcher: Client, make_folder: Maker) -> None:
    """A checkpoint with a template of its own keeps it."""
    made = register(researcher, make_folder())

    assert made["chat_template"] == "own"
    assert give(researcher, made["id"])["code"] == 409


def test_nothing_runs_without(researcher: Client, bare: Path, make_folder: Maker) -> None:
    """Until it is given, the checkpoint is refused as contestant and as base, with what to do."""
    made, other = register(researcher, bare), register(researcher, make_folder())
    body = {"prompt": "Hello", "checkpoints": [made["id"], other["id"]]}
    refused = researcher.post("/api/v1/arena/battles", json=body).json()

    assert (refused["field"], refused["remedy"]) == ("checkpoints.0", "Give it one on its page.")
    found = researcher.post("/api/v1/runs/preflight", json={"checkpoint_id": made["id"], "name": "x"}).json()
    assert "errors" in found


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for messages", "Line 1"),
        ("{{ messages ~ 'a' * 10000000000 }}", "too much memory"),
        ("hello", "never reads"),
    ],
)
def test_refused(researcher: Client, bare: Path, template: str, words: str) -> None:
    """A template that breaks or eats the machine is refused, and neither it nor the checkpoint is kept."""
    made = register(researcher, bare, chat_template=template)

    assert (made["code"], made["field"]) == (422, "chat_template"), made
    assert words in made["detail"]
    assert made["remedy"]
    assert researcher.get("/api/v1/checkpoints").json()["items"] == []


@pytest.mark.slow
def test_without_an_end(researcher: Client) -> None:
    """A template that never comes to an end is stopped, and the server goes on."""
    loop = "{{ messages }}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"

    assert "end" in try_out(researcher, loop)["detail"]


def test_bodies(researcher: Client) -> None:
    """Nothing, too much, and a folder outside the roots are refused at the door."""
    assert try_out(researcher, "")["code"] == 422
    assert try_out(researcher, "x" * 64_001)["code"] == 422
    assert try_out(researcher, GOOD, folder="/etc")["code"] == 403
    assert try_out(researcher, GOOD, checkpoint_id=SOME)["code"] == 404
