"""Texts beside pairs are sequences of their own: rationales after a request, answers without traces."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignment.formats import snapshot
from alignment.objectives import Role
from alignment.training import Spec, kept, structure, train
from alignment.training.encode import Encoded
from alignment.training.errors import BadData, BadSpec
from alignment.training.events import Events
from alignment.training.prepare import Prepared, prepare
from alignment.training.stop import Stop
from alignment.training.told import REQUEST
from tests.alignment.training.conftest import MakeSnapshot, MakeSpec, examples, sentence
from tests.alignment.training.test_facts import steps_of

RATIONALE: dict[str, Any] = {"name": "rationale_dpo", "gamma": 0.01}
BVPO: dict[str, Any] = {"name": "bvpo"}
Change = Callable[[Any], object]


def reasoned(count: int = 8, validation: int = 2) -> list[snapshot.Example]:
    """Pairs with a rationale, and with traces in their texts beside a pair that has none."""
    rng, rows = random.Random(5), examples(count, validation)
    for row in rows:
        row.facts = {"rationale": f"please {sentence(rng)}"}
        row.facts |= {"empty_chosen": f"thank you {sentence(rng)}", "empty_rejected": f"sorry {sentence(rng)}"}
        for answer in row.responses:
            answer["content"] = f"<think>{sentence(rng)}</think> {answer['content']}"
    return rows


def prepared(spec: dict[str, Any], folder: Path) -> Prepared:
    with Events(folder / "events.jsonl") as events:
        return prepare(Spec.model_validate(spec), events, Stop())


def test_a_rationale_is_learned_after_the_request_for_it(
    base: Path, make_snapshot: MakeSnapshot, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """At policy == reference the loss is log 2 less gamma times log pi(rationale | request), as the model has it."""
    rows = reasoned()
    spec = make_spec(
        snapshots=[{"path": str(make_snapshot(rows))}],
        objective=RATIONALE,
        batch={"examples_per_step": 8},
        duration={"steps": 4},
    )
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModelForCausalLM.from_pretrained(base)
    terms = []
    for row in (row for row in rows if row.split == "train"):
        question = REQUEST.format(rejected=row.responses[1]["content"])
        asked: Any = [*row.prompt, row.responses[0], {"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
        ids, told = (
            tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in (prompt, row.facts["rationale"] + tokenizer.eos_token)
        )
        with torch.no_grad():
            logits = model(torch.tensor([ids + told])).logits[0, len(ids) - 1 : -1].log_softmax(-1)
        terms.append(float(logits.gather(1, torch.tensor(told)[:, None]).sum()))

    train(spec, tmp_path / "out")

    losses = [step["values"]["loss"] for step in steps_of(tmp_path / "out")]
    assert losses[0] == pytest.approx(math.log(2) - 0.01 * sum(terms) / len(terms), rel=1e-4)
    assert losses[-1] < losses[0] - 0.01


def test_empty_traces_answer_the_pairs_own_prompt(
    make_snapshot: MakeSnapshot, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """BVPO's second pair shares the prompt of the first; it trains, and its loss falls from log 2."""
    spec = make_spec(
        snapshots=[{"path": str(make_snapshot(reasoned()))}],
        objective=BVPO,
        length={"max_response_tokens": 64},
        batch={"examples_per_step": 8},
        duration={"steps": 4},
    )

    one = prepared(spec, tmp_path).examples.train[0]
    train(spec, tmp_path / "out")

    losses = [step["values"]["loss"] for step in steps_of(tmp_path / "out")]
    assert one.roles == (Role.CHOSEN, Role.REJECTED, Role.EMPTY_CHOSEN, Role.EMPTY_REJECTED)
    assert len(one.parts) == 1
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[-1] < losses[0] - 0.05


def test_prompts_of_their_own_are_scored_alike_in_rows_that_are_shared_and_in_plain_ones(
    make_snapshot: MakeSnapshot, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """A rationale sees its request and nothing of the pair's row, wherever it stands among the responses."""
    spec = make_spec(snapshots=[{"path": str(make_snapshot(reasoned()))}], objective=RATIONALE)
    ready = prepared(spec, tmp_path)
    scoring = ready.learner.scoring
    some = [_last_moved(one) if place % 2 else one for place, one in enumerate(ready.examples.train[:4])]

    with torch.no_grad():
        together = scoring.scores(some).logps
        alone = replace(scoring, structure=structure.plain("")).scores(some).logps

    assert scoring.structure.shared
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)


def _last_moved(one: Encoded) -> Encoded:
    """The same example with its rationale between chosen and rejected."""
    chosen, rejected, rationale = one.responses
    roles = (Role.CHOSEN, Role.RATIONALE, Role.REJECTED)
    return replace(one, responses=(chosen, rationale, rejected), roles=roles, asides={1: one.asides[2]})


def test_an_example_counts_every_prompt_that_it_has() -> None:
    """Tokens of sequences, tokens of a shared row and the longest sequence count the rationale's own prompt."""
    row = examples(1, 0)[0]
    plain = Encoded(_example(row), [5] * 4, ([6] * 2, [7] * 3, [8] * 6))
    aside = replace(plain, asides={2: [9] * 10})

    assert [len(part.responses) for part in aside.parts] == [2, 1]
    assert (plain.tokens, plain.shared_tokens, plain.longest) == (23, 15, 10)
    assert (aside.tokens, aside.shared_tokens, aside.longest) == (29, 25, 16)
    assert kept.key(aside) != kept.key(plain)


def _example(row: snapshot.Example) -> Any:
    from alignment.training.data import Example

    return Example(row.id, "train", [], tuple(dict(one) for one in row.responses))


REFUSED: list[tuple[str, dict[str, Any], Change, str]] = [
    ("none", RATIONALE, lambda row: row.facts.pop("rationale"), "has no rationale"),
    ("blank", RATIONALE, lambda row: row.facts.update(rationale=" \n"), "has no rationale"),
    ("calls", RATIONALE, lambda row: row.responses[0].update(tool_calls=[{"name": "f"}]), "calls of tools"),
    ("no twin", BVPO, lambda row: row.facts.pop("empty_rejected"), "has no rejected answer without a trace"),
    ("same", BVPO, lambda row: row.facts.update(empty_rejected=row.facts["empty_chosen"]), "the same answer twice"),
    ("no trace", BVPO, lambda row: row.responses[1].update(content="never"), "no reasoning in its rejected answer"),
]


@pytest.mark.parametrize(
    ("objective", "change", "words"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_an_example_without_its_text_is_refused_by_name(
    objective: dict[str, Any],
    change: Change,
    words: str,
    make_snapshot: MakeSnapshot,
    make_spec: MakeSpec,
    tmp_path: Path,
) -> None:
    """What lacks a rationale, a trace or the pair without traces is named, before weights are loaded."""
    rows = reasoned()
    change(rows[3])
    spec = make_spec(snapshots=[{"path": str(make_snapshot(rows))}], objective=objective)

    with pytest.raises(BadData, match=words) as refused:
        train(spec, tmp_path / "out")

    assert rows[3].id in refused.value.detail
    assert refused.value.field == "snapshots.0.path"
    assert refused.value.remedy


def test_a_template_that_writes_no_traces_is_refused(
    make_snapshot: MakeSnapshot, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """Reasoning that the template leaves out would make both pairs pairs without traces."""
    rows: list[Any] = list(reasoned())
    for row in rows:
        for answer in row.responses:
            answer.update(content="well", reasoning=f"because {answer['content']}")
        row.responses[1]["content"] = "never"
    spec = make_spec(snapshots=[{"path": str(make_snapshot(rows))}], objective=BVPO)

    with pytest.raises(BadData, match="leaves out the reasoning"):
        train(spec, tmp_path / "out")


def test_texts_beside_a_pair_do_not_go_with_pairs_that_are_turned_round(make_spec: MakeSpec, tmp_path: Path) -> None:
    """A rationale speaks for one order, and the pairs of reward-augmented DPO come in both."""
    terms = [{"objective": RATIONALE}, {"objective": {"name": "ra_dpo"}}]

    with pytest.raises(BadSpec, match="one order only") as refused:
        train(make_spec(objective={"name": "sum", "terms": terms}), tmp_path / "out")

    assert refused.value.field == "objective.name"


def test_a_file_brings_rationales_in_a_column_or_beside_its_labels(make_spec: MakeSpec, tmp_path: Path) -> None:
    """From lines of JSON to a run: a `rationale` of the row, or what an annotator said who prefers the same side."""
    rng, lines = random.Random(2), []
    for place in range(40):
        answers = [{"role": "assistant", "content": f"{word} {sentence(rng)}"} for word in ("thank", "never")]
        label = {"value": {"strength": 2}, "source": "person", "annotator": "ann", "rationale": "it is thankful"}
        row: dict[str, Any] = {"prompt": [{"role": "user", "content": sentence(rng)}], "responses": answers}
        row["labels"] = [label if place % 2 else {"value": {"strength": 1}}]
        row["facts"] = {} if place % 2 else {"rationale": "it says thanks"}
        lines.append(json.dumps(row))
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    spec = make_spec(
        snapshots=[{"path": str(tmp_path / "pairs.jsonl"), "format": "native"}],
        objective=RATIONALE,
        duration={"steps": 1},
    )

    ready = prepared(spec, tmp_path)

    said = {one.example.responses[2]["content"] for one in ready.examples.train}
    assert said == {"it is thankful", "it says thanks"}
