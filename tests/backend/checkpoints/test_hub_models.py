"""GET /api/v1/hub/models: what people are told of a model before they download it."""

import json
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.backend.checkpoints.conftest import config
from tests.conftest import Client
from tests.hub import COMMIT, Manners, serving

TEMPLATE = json.dumps({"chat_template": "{{ messages }}"}).encode()
PATH = "/api/v1/hub/models"


@pytest.fixture
def manners(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manners]:
    """A hub named by HF_ENDPOINT, with a model that could be fetched."""
    found = Manners(
        {
            "config.json": config().encode(),
            "tokenizer.json": b"{}",
            "tokenizer_config.json": TEMPLATE,
            "model.safetensors": b"x" * 1000,
            "pytorch_model.bin": b"y",
            "modeling.py": b"z",
        }
    )
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serving(found) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        yield found


def look(client: Client, hub_id: str = "someone/tiny", **query: str) -> dict[str, Any]:
    answer = client.get(PATH, params={"hub_id": hub_id} | query)
    return dict(answer.json()) | {"code": answer.status_code}


def test_rights(anonymous: Client, annotator: Client) -> None:
    """Nobody looks at a hub without signing in, and annotators have no business there."""
    assert look(anonymous)["code"] == 401
    assert look(annotator)["code"] == 403


def test_what_is_told(manners: Manners, researcher: Client) -> None:
    """License, size by file, architecture, template, access and room on the disk are known before the download."""
    told = look(researcher)

    assert (told["code"], told["commit"], told["revision"]) == (200, COMMIT, "main")
    assert (told["license"], told["gated"], told["token"]) == ("apache-2.0", False, False)
    assert (told["architecture"], told["parameters"], told["chat_template"]) == ("LlamaForCausalLM", 12345, True)
    assert {file["name"]: file["bytes"] for file in told["files"]}["model.safetensors"] == 1000
    assert told["bytes"] == sum(file["bytes"] for file in told["files"])
    assert (told["left_out"], told["refusal"]) == (2, None)
    assert told["free_bytes"] > 0
    assert not any("model.safetensors" in one.path for one in manners.asked)


def test_the_token_of_the_environment(manners: Manners, researcher: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a secret of the project the hub is shown HF_TOKEN."""
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_machine")
    manners.token, manners.gated = "hf_of_the_machine", "auto"
    told = look(researcher)

    assert (told["gated"], told["token"], told["refusal"]) == (True, True, None)


def test_gated_without_a_token(manners: Manners, researcher: Client) -> None:
    """The list and the license of a gated model are shown with the reason why it cannot be fetched yet."""
    manners.token, manners.gated = "hf_needed", "manual"
    told = look(researcher)

    assert (told["code"], told["architecture"], told["chat_template"]) == (200, "LlamaForCausalLM", None)
    assert "gated" in told["refusal"]
    assert "Accept the license" in told["remedy"]


class Case(NamedTuple):
    """A way for a model not to be usable."""

    change: dict[str, Any]
    words: str


@pytest.mark.parametrize(
    "case",
    [
        Case({"stated_sizes": {"model.safetensors": 10**15}}, "stay reserved"),
        Case({"files": {"config.json": config(architectures=["BertModel"]).encode()}}, "does not generate"),
        Case({"files": {"config.json": config(auto_map={"AutoModel": "x.Y"}).encode()}}, "code of its own"),
        Case({"files": {"config.json": b"[" * 100_000}}, "readable JSON"),
        Case({"files": {"config.json": b"[]"}}, "no table"),
    ],
)
def test_refusals_are_shown_beside_the_facts(manners: Manners, researcher: Client, case: Case) -> None:
    """What keeps a model from being fetched is told before the download, with the facts that are known."""
    for name, value in case.change.items():
        getattr(manners, name).update(value)
    told = look(researcher)

    assert told["code"] == 200, told
    assert case.words in told["refusal"]
    assert told["remedy"]
    assert told["license"] == "apache-2.0"


def test_a_tight_disk_is_a_warning(manners: Manners, researcher: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that fits and leaves little is a warning, not a refusal."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 30))
    told = look(researcher)

    assert told["refusal"] is None
    assert "will be left" in " ".join(told["warnings"])


def test_a_missing_template_is_a_warning(manners: Manners, researcher: Client) -> None:
    """A model without a chat template can be fetched, and one has to be given."""
    manners.files["tokenizer_config.json"] = b"{}"
    told = look(researcher)

    assert (told["chat_template"], told["refusal"]) == (False, None)
    assert "chat template" in " ".join(told["warnings"])


def test_a_license_that_is_not_stated(manners: Manners, researcher: Client) -> None:
    """Silence about the license is told, not taken for a free one."""
    manners.card = {}
    told = look(researcher)

    assert told["license"] is None
    assert "license" in " ".join(told["warnings"])


@pytest.mark.parametrize(
    ("change", "query", "code", "words"),
    [
        ({}, {"hub_id": "someone/else"}, 422, "no model"),
        ({}, {"revision": "v9"}, 422, "no revision"),
        ({"busy": ["60"]}, {}, 429, "60 seconds"),
        ({"errors": [500]}, {}, 503, "error of its own"),
        ({"files": {"config.json": b"{}", "pytorch_model.bin": b""}}, {}, 422, "pickle"),
        ({"stated_sizes": {"model.safetensors": "big"}}, {}, 422, "does not state"),
        ({}, {"secret": "missing"}, 422, "no secret"),
    ],
)
def test_no_model(
    manners: Manners, researcher: Client, change: dict[str, Any], query: dict[str, str], code: int, words: str
) -> None:
    """What cannot be told has a reason of its own and says what to do."""
    for name, value in change.items():
        setattr(manners, name, value)
    told = look(researcher, **query)

    assert told["code"] == code, told
    assert words in told["detail"]
    assert told["remedy"]


@pytest.mark.parametrize("hub_id", ["../../etc", "a/b/c", "https://evil.example/x", "a b", "", "-x/y", "a/..", "a\n"])
def test_hostile_ids(manners: Manners, researcher: Client, hub_id: str) -> None:
    """An id that is no hub id is refused at the door, and no hub is asked."""
    assert look(researcher, hub_id)["code"] == 422
    assert manners.asked == []
