"""Unwanted answers weigh the odds of their prompt: found once by how the reference reads prompts, and kept."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from alignment.formats import Message, snapshot
from alignment.objectives.facts import WANTED_PROMPT
from alignment.training import Spec, train
from alignment.training.errors import BadData, BadSpec
from alignment.training.events import Events
from alignment.training.matching import MATCHING, embedded, fitted, matched, name
from alignment.training.prepare import Prepared, prepare
from alignment.training.ranks import Ranks
from alignment.training.state import States
from alignment.training.stop import Stop
from tests.alignment.training.conftest import MakeSpec, sentence
from tests.alignment.training.test_facts import steps_of
from tests.alignment.training.test_resume import curve, last, same, stopping_after

BCO: dict[str, Any] = {"name": "bco", "beta": 0.1, "matching": {"kind": "prompts", "min_ratio": 0.1, "max_ratio": 20}}


def thumbs(count: int = 20) -> list[snapshot.Example]:
    """Wanted answers to prompts about cats, unwanted ones to prompts about dogs, and a few of each to the other."""
    rng, found = random.Random(4), []
    for place in range(count):
        wanted, cats = place % 2 == 0, (place % 2 == 0) != (place % 10 == 9)
        prompt: list[Message] = [
            {"role": "user", "content": f"{'the cat' if cats else 'dogs ran'} {sentence(rng, 2, 4)}"}
        ]
        answer: Message = {"role": "assistant", "content": f"{'thank you' if wanted else 'never'} {sentence(rng)}"}
        split: Any = "train" if place < count - 4 else "validation"
        found.append(snapshot.Example(str(place), split, prompt, [answer], {"desirable": wanted}))
    return found


def spec_of(make_spec: MakeSpec, folder: Path, rows: list[snapshot.Example], **parts: Any) -> dict[str, Any]:
    made = snapshot.write(folder / "thumbs", rows, kind="unpaired", policy={}, dataset={})
    source = {"path": str(folder / "thumbs" / made.hash)}
    return make_spec(
        **{
            "snapshots": [source],
            "objective": BCO,
            "batch": {"examples_per_step": 8},
            "duration": {"steps": 3},
            **parts,
        }
    )


def prepared(spec: dict[str, Any], folder: Path, run: Path | None = None) -> Prepared:
    chosen = Spec.model_validate(spec)
    with Events(folder / "events.jsonl") as events:
        return prepare(chosen, events, Stop(), states=States(run / "state") if run else None)


def test_prompts_are_read_as_the_model_reads_them(base: Path, make_spec: MakeSpec, tmp_path: Path) -> None:
    """What stands for a prompt is the mean of its last hidden states, however prompts share rows."""
    ready = prepared(spec_of(make_spec, tmp_path, thumbs()), tmp_path)
    some = [*ready.examples.train[:5], ready.examples.validation[0]]

    found = embedded(ready.learner.scoring, some, lambda: None)

    model = AutoModel.from_pretrained(base)
    for one, state in zip(some, found, strict=True):
        with torch.no_grad():
            hidden = model(torch.tensor([one.prompt])).last_hidden_state[0]
        np.testing.assert_allclose(state, hidden.mean(0).numpy(), atol=1e-4)
    assert ready.learner.scoring.structure.shared
    assert AutoTokenizer.from_pretrained(base).decode(some[0].prompt)


def test_the_regression_tells_classes_by_their_density_and_not_by_their_number() -> None:
    """On one normal variable with means -1 and 1 the odds at x are e^2x, although one class is nine times as large."""
    drawn = np.random.default_rng(0)
    states = np.concatenate([drawn.normal(1, 1, (9000, 1)), drawn.normal(-1, 1, (1000, 1))]).astype(np.float32)
    labels = np.arange(10_000) < 9000
    asked = np.array([[-1.0], [0.0], [0.5]], dtype=np.float32)

    found = fitted(states, labels, asked)

    assert np.log(found / (1 - found)) == pytest.approx([-2, 0, 1], abs=0.25)


def test_unwanted_answers_weigh_the_odds_of_their_prompts(make_spec: MakeSpec, tmp_path: Path) -> None:
    """At policy == reference the first loss is log 2 times the batch's weights; a run that goes on keeps them."""
    rows = thumbs()
    spec = spec_of(make_spec, tmp_path, rows, batch={"examples_per_step": 16}, keep={"state": 1}, duration={"steps": 4})

    train(spec, tmp_path / "whole")
    stop, hear = stopping_after(2)
    train(spec, tmp_path / "cut", hear, stop)
    known = json.loads((tmp_path / "cut" / MATCHING).read_text())
    train(spec, tmp_path / "cut")

    ready = prepared(spec, tmp_path, tmp_path / "cut")
    weights = []
    for one in ready.examples.train:
        probability = known[name(one)]
        odds = min(max(probability / (1 - probability), 0.1), 20)
        weights.append(1.0 if rows[int(one.example.id)].facts["desirable"] else odds)
    losses = [step["values"]["loss"] for step in steps_of(tmp_path / "whole")]
    assert losses[0] == pytest.approx(math.log(2) * sum(weights) / len(weights), rel=1e-4)
    assert losses[-1] < losses[0]
    assert len({round(weight, 3) for weight in weights}) > 2
    assert all(one.values(WANTED_PROMPT) == (known[name(one)],) for one in ready.examples.train)
    assert json.loads((tmp_path / "whole" / MATCHING).read_text()) == known
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert same(last(tmp_path / "cut"), last(tmp_path / "whole"))


def test_answers_of_one_kind_alone_are_refused(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Where all training answers are wanted there is nothing to tell apart, and the run says so."""
    rows = [row for row in thumbs(40) if row.facts["desirable"]]

    with pytest.raises(BadData, match="unwanted answers") as refused:
        train(spec_of(make_spec, tmp_path, rows), tmp_path / "out")

    assert refused.value.field == "snapshots"


@pytest.mark.parametrize(
    ("matching", "field"),
    [
        ({"kind": "none", "min_ratio": 0.5}, "objective.matching.none.min_ratio"),
        ({"kind": "prompts", "min_ratio": 0}, "objective.matching.prompts.min_ratio"),
        ({"kind": "prompts", "min_ratio": 2}, "objective.matching.prompts.min_ratio"),
        ({"kind": "prompts", "max_ratio": 0.5}, "objective.matching.prompts.max_ratio"),
        ({"kind": "answers"}, "objective.matching"),
        ("prompts", "objective.matching"),
    ],
)
def test_a_matching_that_means_nothing_is_refused(
    matching: Any, field: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """Clips that exclude 1, an option of the other kind, and unknown kinds are refused at their field."""
    with pytest.raises(BadSpec) as refused:
        train(make_spec(objective={"name": "bco", "matching": matching}), tmp_path / "out")

    assert refused.value.field == field


def test_a_model_that_is_sharded_is_refused(make_spec: MakeSpec, tmp_path: Path) -> None:
    """It gives no hidden states outside of its own pass, and the run says what to choose instead."""
    spec = spec_of(make_spec, tmp_path, thumbs())
    whole = prepared(spec, tmp_path)
    scoring = replace(whole.learner.scoring, ranks=Ranks(torch.device("cpu"), sharded=True))

    with Events(tmp_path / "more.jsonl") as events, pytest.raises(BadSpec, match="sharded") as refused:
        matched(Spec.model_validate(spec), scoring, whole.tokenizer, whole.examples, None, events, lambda: None)

    assert refused.value.field == "parallel"
