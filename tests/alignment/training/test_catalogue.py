"""Every objective and every loss of the other kinds of run trains, unasked: data and checkpoints are made of what it
declares to need."""

import math
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment.formats import Message, snapshot
from alignment.objectives import feeding
from alignment.objectives.facts import FACTS, find
from alignment.training import Spec, train
from alignment.training.data import Wanted, read
from alignment.training.errors import BadSpec
from alignment.training.kinds import KINDS, LOSSES
from alignment.training.requirements import require_supported
from alignment.training.spec import Source
from tests.alignment.objectives.cases import FIELDS
from tests.alignment.training.conftest import TEXT, sentence
from tests.alignment.training.test_resume import curve, last, same
from tests.alignment.training.test_run import events_of, of_type, weights
from tests.checkpoints import make_llama

STEPS, PAUSE = 4, 2
ROWS = 4
WEIGHED = {"wpo": "its weights have no gradient, and grow as the policy comes to say what it is taught"}
"""Objectives whose value may rise while they are learned, and why; their margin is what has to grow."""
Feed = Callable[[str], dict[str, Any]]


def written(name: str, **parts: Any) -> dict[str, Any]:
    """A spec with that objective, whose folders need not be there."""
    objective = LOSSES[name]
    return {
        "kind": next(kind for kind, told in KINDS.items() if name in told.losses),
        "checkpoint": "none",
        "snapshots": [{"path": "none"}],
        "objective": {"name": name, **FIELDS.get(name, {})},
        "third": dict.fromkeys(objective.usual_needs().third, "none"),
        **parts,
    }


def refusal(name: str) -> BadSpec | None:
    """Why training does not supply what the objective needs, before it looks at data or checkpoints."""
    try:
        require_supported(Spec.model_validate(written(name)))
    except BadSpec as refused:
        return refused
    return None


REFUSED = [name for name in LOSSES if refusal(name)]
TRAINED = [name for name in LOSSES if name not in REFUSED]


def facts_of(kind: str, count: int, better_first: bool) -> dict[str, Any]:
    """All that data may say of an example with so many responses; a list begins with its worst, a pair with its best.

    Scores are graded relevance and win rates are probabilities, so that every paper allows them.
    """
    each = [0.9 - 0.6 * place / max(count - 1, 1) for place in range(count)]
    scores = each if better_first else each[::-1]
    names = {"helpfulness", *FACTS}
    one: dict[str, Any] = {
        "weight": 0.5,
        "rationale": "the first one is kinder",
        "annotator": "ann",
        "soft_label": 0.8,
        "scores": scores,
        "aspects": [dict.fromkeys(names, score) for score in scores],
    }
    more: dict[str, dict[str, Any]] = {
        "ranked": {"ranks": [1.0 + sum(other > own for other in scores) for own in scores]},
        "paired": {"margin": 0.5, "empty_chosen": "thank you", "empty_rejected": "never"},
    }
    return one | more.get(kind, {})


def rows(kind: str) -> list[snapshot.Example]:
    """Training examples of a kind, told apart by how their responses begin: thanks are better than refusals."""
    rng = random.Random(7)
    found = []
    for place in range(ROWS):
        answers: list[Message] = [
            {"role": "assistant", "content": f"{begins} {sentence(rng, 2, 5)}"}
            for begins in ("thank you", "sorry", "never")
        ]
        given = {
            "paired": [answers[0], answers[2]],
            "ranked": answers[::-1],
            "unpaired": [answers[2 * (place % 2)]],
            "demonstrations": answers[:1],
        }[kind]
        if kind == "paired":
            for answer in given:
                answer["content"] = f"<think>warm</think> {answer['content']}"
        if kind == "ranked":
            for answer in given:
                answer["content"] += f"\n{sentence(rng, 1, 3)}"  # a second step
        facts = facts_of(kind, len(given), better_first=kind == "paired")
        if kind == "unpaired":
            facts["desirable"] = place % 2 == 0
        prompt: list[Message] = [{"role": "user", "content": sentence(rng, 2, 5)}]
        found.append(snapshot.Example(f"{kind}-{place}", "train", prompt, given, facts))
    return found


@pytest.fixture(scope="module")
def smallest(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A model of one layer, and another with other weights, to be whatever third checkpoint is asked for."""
    folder = tmp_path_factory.mktemp("smallest")
    return {
        name: make_llama(folder / name, [TEXT], hidden=16, layers=1, heads=1, seed=seed)
        for seed, name in enumerate(("base", "other"))
    }


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A snapshot of each kind of data that holds responses."""
    folder = tmp_path_factory.mktemp("sources")
    made = {}
    for kind in ("paired", "ranked", "unpaired", "demonstrations"):
        manifest = snapshot.write(folder, rows(kind), kind=kind, policy={}, dataset={})
        made[kind] = folder / manifest.hash
    return made


@pytest.fixture
def feed(smallest: Mapping[str, Path], sources: Mapping[str, Path]) -> Feed:
    """A spec whose data fill the roles of an objective, all of them in every step."""

    def fed(name: str) -> dict[str, Any]:
        needs = LOSSES[name].usual_needs()
        missing, chosen = needs.roles - feeding.FORMED.keys(), []
        for kind in feeding.kinds(needs.roles):
            if missing & feeding.fed(needs.roles, kind):
                chosen.append(Source(path=sources[kind]))
                missing -= feeding.fed(needs.roles, kind)
        assert not missing
        wanted = Wanted(name, needs.roles)
        count = sum(1 + needs.goals for _ in read(chosen, wanted))
        return written(
            name,
            checkpoint=str(smallest["base"]),
            snapshots=[{"path": str(source.path)} for source in chosen],
            third={model: str(smallest["other"]) for model in needs.third},
            optimizer={"learning_rate": 3e-3, "warmup_ratio": 0, "schedule": "constant"},
            batch={"examples_per_step": count},
            duration={"steps": STEPS},
            evaluate={"every_steps": STEPS, "samples": 0},
            keep={"state": PAUSE},
        )

    return fed


def test_the_data_of_these_tests_hold_every_fact() -> None:
    """A fact that is new to the catalogue is one that the examples here must have."""
    pair, ranking = (facts_of(kind, count, True) for kind, count in (("paired", 2), ("ranked", 3)))

    assert [name for name, fact in FACTS.items() if fact.take(pair) is None] == []
    assert all(fact.take(ranking) is not None for fact in (FACTS["score"], FACTS["rank"]))


@pytest.mark.parametrize("name", TRAINED)
def test_every_objective_trains(name: str, feed: Feed, smallest: Mapping[str, Path], tmp_path: Path) -> None:
    """A few steps on the data that it asks for: every number is finite, weights move, the loss of the same examples
    falls or their margin grows, and one that was cut off and goes on has the curve and weights of a whole one."""

    def cut_off(event: dict[str, Any]) -> None:
        if event["type"] == "step" and event["step"] == PAUSE + 1 and event["examples"]:
            shutil.copytree(tmp_path / "whole", tmp_path / "cut off")

    spec = feed(name)

    summary = train(spec, tmp_path / "whole", cut_off)

    taken = curve(tmp_path / "whole")
    losses = [taken[step]["loss"] for step in sorted(taken) if "loss" in taken[step]]
    assert len(losses) == STEPS == summary.step
    assert all(math.isfinite(value) for values in taken.values() for value in values.values() if value is not None)
    margins = [taken[step].get("rewards/margins", 0.0) for step in (1, STEPS)]
    assert margins[0] < margins[1] if name in WEIGHED else losses[-1] < losses[0]
    before, after = weights(smallest["base"]), last(tmp_path / "whole")
    assert all(values.isfinite().all() for values in after.values())
    assert any(not torch.equal(before[key], after[key]) for key in before.keys() & after.keys())

    train(spec, tmp_path / "cut off")
    assert [event["step"] for event in of_type(events_of(tmp_path / "cut off"), "resumed")] == [PAUSE]
    assert curve(tmp_path / "cut off") == taken
    assert same(last(tmp_path / "cut off"), after)


@pytest.mark.parametrize("name", REFUSED)
def test_what_training_cannot_supply_is_refused_by_the_need(name: str) -> None:
    """An objective whose loss is here and whose loop or data are not says what it would need."""
    needs = LOSSES[name].usual_needs()
    beyond = [words for role, words in feeding.UNFED.items() if role in needs.roles]
    beyond += [fact for fact in needs.facts if find(fact) is None]

    refused = refusal(name)

    assert refused is not None
    assert refused.field == "objective.name"
    assert beyond
    assert all(words in refused.detail for words in beyond)
