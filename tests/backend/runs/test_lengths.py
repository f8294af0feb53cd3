"""The estimate before a launch knows how many tokens the run will read, from some of its examples."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from backend import storage
from backend.checkpoints.models import Checkpoint
from backend.datasets import service as datasets
from backend.datasets.models import Snapshot
from backend.db import transaction
from backend.projects import service as projects
from backend.runs import lengths
from tests import loop
from tests.backend.runs.conftest import Body
from tests.conftest import Client


def estimate(client: Client, body: object) -> dict[str, Any]:
    told = client.post("/api/v1/runs/preflight", json=body).json()
    assert told["errors"] == []
    found: dict[str, Any] = told["estimate"]
    return found


CHATML = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
WITHOUT_END = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.mark.parametrize("template", [None, CHATML, WITHOUT_END], ids=["own", "chatml", "without_end"])
def test_tokens_are_told_before_a_launch(
    template: str | None, researcher: Client, body: Body, real: Checkpoint
) -> None:
    """Those that the run will count: of every example that is seen, with what the chat template writes around its
    texts and their ends; a shared prompt is computed once, and what is cut is not counted."""
    from transformers import AutoTokenizer

    from alignment.chat import ending
    from alignment.training.data import Example
    from alignment.training.encode import Encoder
    from alignment.training.spec import Length

    if template is not None:
        (Path(real.path) / "chat_template.jinja").write_text(template)
    tokenizer = AutoTokenizer.from_pretrained(real.path)
    encoder = Encoder(tokenizer, ending(tokenizer), Length(), None)
    pairs: list[Any] = loop.pairs(60)
    items = [Example(str(n), "train", one.prompt, tuple(one.responses)) for n, one in enumerate(pairs)]
    found = encoder.encode(items, lambda: None).train
    seen = 10 * body()["batch"]["examples_per_step"]

    def told(prompt: int, response: int) -> dict[str, Any]:
        length = {"max_prompt_tokens": prompt, "max_response_tokens": response}
        return estimate(researcher, body(checkpoint_id=str(real.id), duration={"steps": 10}, length=length))

    whole, cut = told(512, 512), told(2, 1)

    assert whole["tokens"] == pytest.approx(seen * sum(one.tokens for one in found) / 60, rel=0.01)
    assert whole["tokens_computed"] == pytest.approx(seen * sum(one.shared_tokens for one in found) / 60, rel=0.01)
    assert cut["tokens"] == seen * 2 * (2 + 1)
    assert 0 < whole["memory_error"] < 1


@pytest.mark.parametrize(
    ("written", "content", "found"),
    [
        ("yes", "yes", "yes</s>"),
        ("yes<|end|>", "yes", "yes<|end|>"),
        ("<call>time</call><|end|>", "", "<call>time</call><|end|>"),
    ],
    ids=["none", "its own", "a call alone"],
)
def test_an_end_is_counted_once(written: str, content: str, found: str) -> None:
    """The run's own where the template writes none."""
    assert lengths._ended(written, {"content": content}, "</s>") == found


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('Not so.') }}", "{{ cycler() }}", "{{ 'x' * 99999 }}" + CHATML]
)
def test_a_template_that_refuses_an_example_has_no_tokens_told(
    template: str, researcher: Client, body: Body, real: Checkpoint
) -> None:
    """The rest of the estimate is there all the same; so it is where a template writes too much to be counted."""
    (Path(real.path) / "chat_template.jinja").write_text(template)
    told = estimate(researcher, body(checkpoint_id=str(real.id)))

    assert told["tokens"] is None
    assert told["memory_bytes"] > 0


def test_a_checkpoint_whose_tokenizer_cannot_be_read_has_no_tokens_told(researcher: Client, body: Body) -> None:
    """The rest of the estimate is there all the same."""
    told = estimate(researcher, body())
    assert (told["tokens"], told["tokens_computed"]) == (None, None)
    assert told["memory_bytes"] > 0


def test_texts_beside_a_pair_are_counted_too(researcher: Client, body: Body, real: Checkpoint) -> None:
    """A rationale is a sequence of its own, after the prompt and both answers."""
    items = loop.pairs(60)
    for item in items:
        item.facts["rationale"] = "The first one is friendly and tells what was asked for."
    with transaction() as session:
        dataset = datasets.create_from_items(session, projects.default(session), "With reasons", items)
    sent = {"checkpoint_id": str(real.id), "dataset_id": str(dataset.id), "duration": {"steps": 10}}
    dpo = estimate(researcher, body(**sent))
    more = estimate(researcher, body(**sent, objective={"name": "rationale_dpo"}))

    assert more["tokens"] > 1.8 * dpo["tokens"]
    assert more["memory_bytes"] >= dpo["memory_bytes"]


def test_a_damaged_snapshot_is_no_server_error(researcher: Client, body: Body, real: Checkpoint) -> None:
    """The rest of the pre-flight is answered."""
    run = researcher.post("/api/v1/runs", json=body(checkpoint_id=str(real.id))).json()
    with transaction() as session:
        place = Path(storage.shown(session.get_one(Snapshot, uuid.UUID(run["snapshot_id"])).path))
    (place / "examples.parquet").write_bytes(b"no parquet")
    sent = body(checkpoint_id=str(real.id)) | {"snapshot_id": run["snapshot_id"]}
    del sent["dataset_id"]
    answer = researcher.post("/api/v1/runs/preflight", json=sent)

    assert answer.status_code == 200
    assert answer.json()["estimate"]["tokens"] is None


def test_tokens_are_those_of_the_whole_dataset(
    researcher: Client, body: Body, real: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few items that are looked at lie all over it, and where their texts are long, fewer of them do: a file whose long
    texts come last is not told as short."""
    items: list[Any] = loop.pairs(60)
    for item in items[30:]:
        item.prompt[0]["content"] *= 20
    with transaction() as session:
        dataset = datasets.create_from_items(session, projects.default(session), "Short ones first", items)
    sent = body(
        checkpoint_id=str(real.id),
        dataset_id=str(dataset.id),
        length={"max_prompt_tokens": 1024, "max_response_tokens": 64},
    )
    whole = estimate(researcher, sent)["tokens"]
    monkeypatch.setattr(lengths, "LOOKED_AT", 20)
    some = estimate(researcher, sent)["tokens"]
    monkeypatch.setattr(lengths, "CHARACTERS", 10_000)
    fewer = estimate(researcher, sent)["tokens"]

    assert some == pytest.approx(whole, rel=0.02)
    assert fewer == pytest.approx(whole, rel=0.1)
