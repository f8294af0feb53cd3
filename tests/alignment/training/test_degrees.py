"""The head of SPO: it reads the policy's own hidden states, and its gradient reaches the policy."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from alignment.formats import Message, snapshot
from alignment.objectives import State
from alignment.objectives.facts import DEGREES
from alignment.training import Spec, TrainingError, train
from alignment.training.checkpoint import OWN
from alignment.training.errors import BadData, BadSpec, CheckpointRefused
from alignment.training.estimate import estimate
from tests.alignment.objectives.cases import make
from tests.alignment.training.conftest import MakeSpec, examples
from tests.alignment.training.test_others import FULL, LORA, gradient, made, stirred
from tests.alignment.training.test_resume import curve, last, same, stopping_after
from tests.alignment.training.test_run import events_of
from tests.alignment.training.test_step import encoded

SPO: dict[str, Any] = {"name": "spo_degree", "beta": 0.5, "gamma": 2.0}
BOTH = pytest.mark.parametrize("tuning", [FULL, LORA], ids=["full", "lora"])


@BOTH
def test_packs_rows_and_coupling_change_no_gradient(make_spec: MakeSpec, tuning: dict[str, Any]) -> None:
    """One pair at a time or all at once, rows shared or plain, alone or within a coupled loss: one gradient, of the
    head and of the policy, which is not that of DPO."""
    learner, some = stirred(made(make_spec(objective=SPO, tuning=tuning))), encoded(6)
    objective = make(**SPO)
    coupled = make("sum", terms=[{"objective": SPO}, {"objective": {"name": "dr_dpo"}, "weight": 1e-12}])

    before = [torch.full((2,), -30.0)] * 6
    whole = gradient(learner, some, tokens=100_000, rows=True, objective=objective, reference=before)

    module = learner.scoring.scorer.own
    assert module is not None
    head = objective.own_weights(2, 32)
    assert [head, 4 * 33] == [sum(weight.numel() for weight in module.parameters()), head]
    assert whole[-head:].norm() > 1e-3 * whole.norm()
    dpo = make("spo_degree", beta=0.5, gamma=0)
    without = gradient(learner, some, tokens=100_000, rows=True, objective=dpo, reference=before)
    assert (whole - without)[:-head].norm() > 1e-3 * whole.norm()
    for tokens, rows, each in ((16, True, objective), (150, False, objective), (150, True, coupled)):
        found = gradient(learner, some, tokens=tokens, rows=rows, objective=each, reference=before)
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


@BOTH
def test_the_head_reads_the_means_of_the_policys_last_hidden_states(
    make_spec: MakeSpec, tuning: dict[str, Any]
) -> None:
    """Of each response, where its tokens are predicted, by the weights as they are now."""
    learner, some = stirred(made(make_spec(objective=SPO, tuning=tuning))), encoded(4)
    scoring, head = learner.scoring, learner.scoring.scorer.own
    assert head is not None

    batch = scoring.batch(scoring.scores(some, scoring.asked), some, [torch.zeros(2)] * 4)

    told = batch.facts[DEGREES]
    expected = []
    for example in some:
        for answer in example.responses:
            ids = torch.tensor([example.prompt + answer])
            with torch.no_grad():
                states = scoring.scorer.model(ids, output_hidden_states=True).hidden_states[-1][0]
                said = head(states[len(example.prompt) - 1 : -1].mean(0, keepdim=True))
            expected.append(torch.cat([said[f"{DEGREES}.{place}"] for place in range(4)]))
    torch.testing.assert_close(told, torch.stack(expected), rtol=1e-3, atol=1e-4)
    assert told.requires_grad
    assert told.abs().max() > 1e-2


def degraded(folder: Path, *degrees: float, count: int = 12) -> list[dict[str, str]]:
    """A source of pairs in which the rejected response lacks words, and both say how many amounts were taken out."""
    rows = []
    for place, one in enumerate(examples(count, 0)):
        words, degree = str(one.responses[0]["content"]).split(), degrees[place % len(degrees)]
        left = words[: max(1, len(words) - 2 * int(degree))]
        copy: list[Message] = [{**one.responses[0]}, {**one.responses[1], "content": " ".join(left) + " never"}]
        rows.append(replace(one, responses=copy, facts={"aspects": [{"removed": 0.0}, {"removed": degree}]}))
    data = snapshot.write(folder / "snapshots", rows, kind="paired", policy={}, dataset={})
    return [{"path": str(folder / "snapshots" / data.hash)}]


def test_it_learns_how_much_was_taken_out(make_spec: MakeSpec, base: Path, tmp_path: Path) -> None:
    """Degrees of the data: the loss falls, goes on after a stop to the same weights, and the head lies beside them."""
    spec = make_spec(
        objective={**SPO, "degrees": "data", "head_rate": 0.03},
        snapshots=degraded(tmp_path, 1.0, 2.0, 3.0),
        duration={"steps": 9},
        batch={"examples_per_step": 12},
        evaluate={"every_steps": 100, "samples": 0},
    )
    train(spec, tmp_path / "whole")
    stop, hear = stopping_after(4)
    train(spec, tmp_path / "halves", hear, stop)
    train(spec, tmp_path / "halves")

    steps = [event["values"]["loss"] for event in events_of(tmp_path / "whole") if event["type"] == "step"]
    assert steps[0] == pytest.approx(math.log(2) + 4 * math.log(4), abs=1e-3)
    assert steps[-1] < steps[0] - 0.5
    assert curve(tmp_path / "halves") == curve(tmp_path / "whole")
    assert same(last(tmp_path / "halves"), last(tmp_path / "whole"))
    place = next((tmp_path / "whole" / "checkpoints").iterdir())
    assert {tuple(weight.shape) for weight in load_file(place / OWN).values()} == {(4, 32), (4,)}
    assert AutoModelForCausalLM.from_pretrained(place).config.vocab_size > 0


def test_degrees_of_the_data_are_those_that_are_learned(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Each response's own, where the fields give both sides of every pair the same."""
    learner, some = stirred(made(make_spec(objective=SPO))), encoded(2)
    scoring = learner.scoring
    batch = scoring.batch(scoring.scores(some, scoring.asked), some, [torch.zeros(2)] * 2)
    logs = batch.facts[DEGREES].log_softmax(-1)
    facts = {**batch.facts, "aspect:removed": torch.tensor([0.0, 2.0, 1.0, 3.0])}

    found = make(**SPO, degrees="data").loss(replace(batch, facts=facts), State())

    dpo = make("dpo", beta=0.5).loss(batch, State())
    told = torch.stack([logs[0, 0] + logs[1, 2], logs[2, 1] + logs[3, 3]])
    torch.testing.assert_close(found, dpo - 2 * told)


@pytest.mark.parametrize(("degree", "words"), [(4.0, "degrees are 0, 1, 2 and 3"), (1.5, "1.5 was removed")])
def test_degrees_that_are_none_are_refused(degree: float, words: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    """By the example that has one."""
    with pytest.raises(BadData, match=words):
        train(make_spec(objective={**SPO, "degrees": "data"}, snapshots=degraded(tmp_path, degree)), tmp_path / "run")


def test_what_the_head_cannot_use_is_refused(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data without degrees, fields that would change nothing, and architectures that do not show what is read."""
    with pytest.raises(BadData, match="has no removed"):
        train(make_spec(objective={**SPO, "degrees": "data"}), tmp_path / "one")
    with pytest.raises(BadSpec, match="would change nothing"):
        train(make_spec(objective={**SPO, "degrees": "data", "deg_l": 2}), tmp_path / "two")
    monkeypatch.setattr("alignment.training.scorer._bend", lambda _: None)
    with pytest.raises(CheckpointRefused, match="no projection") as refused:
        made(make_spec(objective=SPO))
    assert refused.value.field == "objective"


def test_two_modules_of_their_own_are_refused_and_one_is_estimated(make_spec: MakeSpec, tmp_path: Path) -> None:
    """A sum may hold one head or one mask; its weights are among those that are trained."""
    both = {"name": "sum", "terms": [{"objective": SPO}, {"objective": {"name": "sparsepo"}}]}
    plain, headed = (estimate(Spec.model_validate(make_spec(objective=one)), 12) for one in ({"name": "dpo"}, SPO))

    with pytest.raises(TrainingError):
        train(make_spec(objective=both), tmp_path / "run")
    assert headed.trainable - plain.trainable == 4 * 33
