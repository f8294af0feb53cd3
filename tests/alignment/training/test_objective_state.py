"""What moves in an objective between steps: by the whole batch, once a step, saved with the run and taken up again."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from alignment.objectives import Objective, State
from alignment.training import Spec, train
from alignment.training.errors import BadSpec, StateRefused
from alignment.training.model import load_tokenizer
from alignment.training.prepare import build
from alignment.training.run import run_folder
from alignment.training.step import Learner, evaluate, sequence_logps
from tests.alignment.objectives.cases import make
from tests.alignment.training.conftest import MakeSpec
from tests.alignment.training.test_resume import curve, last, same, stopping_after
from tests.alignment.training.test_step import encoded, nothing

BETA = {"name": "beta_dpo", "filter": 0.3}
LCPO = {"name": "lcpo", "ema": 0.5, "base": {"name": "dpo", "beta": 0.5}}
BOTH = {"name": "sum", "terms": [{"objective": BETA}, {"weight": 0.5, "objective": LCPO}]}
WHOLE = [BETA, LCPO, BOTH, {"name": "dr_dpo"}, {"name": "aot_paired"}, {"name": "aot_unpaired"}]


@pytest.fixture
def learner(spec: Spec) -> Learner:
    return build(spec, load_tokenizer(spec.checkpoint), 10)[0]


def given(learner: Learner, objective: Objective, tokens: int) -> Learner:
    return replace(learner, scoring=replace(learner.scoring, objective=objective, tokens=tokens))


def one_step(learner: Learner, state: State) -> tuple[Tensor, State]:
    """The gradient of a batch of eight pairs, and the state that it leaves."""
    examples = encoded(8)
    draws = torch.Generator().manual_seed(1)
    reference = [
        logps + torch.randn(2, generator=draws) for logps in sequence_logps(learner.scoring, examples, nothing)
    ]
    learner.optimizer.zero_grad(set_to_none=True)
    _, state = learner.backward(examples, reference, state, nothing)
    return torch.cat([one.grad.flatten() for one in learner.parameters if one.grad is not None]), state


@pytest.mark.parametrize("fields", WHOLE, ids=lambda fields: fields["name"])
def test_a_batch_has_one_gradient_and_one_state_whatever_its_packs(learner: Learner, fields: dict[str, Any]) -> None:
    """One pair at a time, a few or all at once: the same pairs are drawn, and everything that moves moves once."""
    objective = make(**fields)
    state = learner.scoring.placed(objective.start())
    begun = State(3, 7, training=True, values=state)

    found = [one_step(given(learner, objective, tokens), begun) for tokens in (16, 150, 100_000)]

    assert found[0][0].norm() > 0
    for gradient, after in found:
        torch.testing.assert_close(gradient, found[0][0], rtol=1e-4, atol=1e-6)
        assert after.values == state
        assert after.moved.keys() == state.keys()
        assert all(not value.requires_grad for value in after.moved.values())
        for name, value in after.moved.items():
            torch.testing.assert_close(value, found[0][1].moved[name], rtol=1e-5, atol=1e-6)
            assert not torch.equal(value, state[name])


def test_an_evaluation_reads_the_state_and_leaves_it(learner: Learner) -> None:
    """Measured twice it says the same, by the values that the last step left; moments count, draws do not."""
    objective = make("beta_dpo", filter=0.5)
    scoring = replace(learner.scoring, objective=objective)
    examples = encoded(6)
    reference = [logps + torch.tensor([-9.0, 0.0]) for logps in sequence_logps(scoring, examples, nothing)]

    def measured(m0: float) -> float:
        values = {"m0": torch.tensor(m0), "sigma": torch.tensor(1.0)}
        found = evaluate(scoring, examples, reference, State(4, values=values), nothing)
        assert values == {"m0": torch.tensor(m0), "sigma": torch.tensor(1.0)}
        return found["eval/loss"]

    assert measured(8.0) == measured(8.0)
    assert measured(8.0) < measured(9.5)


def test_the_next_step_finds_what_the_last_one_left(learner: Learner) -> None:
    """The state that an update returns counts the step and holds what its batch has moved."""
    learner = given(learner, make("lcpo", ema=0.5), 100)
    examples = encoded(4)
    reference = [torch.zeros(2) for _ in examples]

    first = learner.update(examples, reference, learner.scoring.begun(5), nothing).state
    second = learner.update(examples, reference, first, nothing).state

    assert (first.step, first.seed, second.step) == (1, 5, 2)
    assert first.values["eta"] != 0.9
    assert second.values["eta"] != first.values["eta"]


@pytest.fixture
def stateful(make_spec: MakeSpec) -> dict[str, Any]:
    return make_spec(objective=BOTH, duration={"steps": 5}, evaluate={"every_steps": 2, "samples": 0})


def test_a_stopped_run_goes_on_with_what_it_kept(stateful: dict[str, Any], tmp_path: Path) -> None:
    """Stopped and continued, a run with moments, reliabilities and draws has the curve and the weights of a whole one;
    with packs of another size, it has the same curve within rounding."""
    train(stateful, tmp_path / "whole")
    stop, hear = stopping_after(3)
    assert train(stateful, tmp_path / "halves", hear, stop).cancelled
    kept = load_file(next((tmp_path / "halves" / "state" / "3").glob("*.safetensors")))
    train(stateful, tmp_path / "halves")
    train({**stateful, "batch": {"examples_per_step": 4, "tokens_per_pack": 16}}, tmp_path / "packs")

    names = [name for name in kept if name.startswith("objective/")]
    assert sorted(names) == [
        "objective/terms.0.objective/m0",
        "objective/terms.0.objective/sigma",
        "objective/terms.1.objective/eta",
    ]
    assert all(kept[name].dtype == torch.float64 and float(kept[name].abs().min()) > 0 for name in names)
    assert curve(tmp_path / "halves") == curve(tmp_path / "whole")
    assert same(last(tmp_path / "halves"), last(tmp_path / "whole"))
    for name, values in last(tmp_path / "packs").items():
        torch.testing.assert_close(values, last(tmp_path / "whole")[name], rtol=1e-3, atol=1e-5)


def _without(tensors: dict[str, Tensor]) -> None:
    del tensors["objective/terms.1.objective/eta"]


def _more(tensors: dict[str, Tensor]) -> None:
    tensors["objective/else"] = torch.zeros(1)


def _none(tensors: dict[str, Tensor]) -> None:
    tensors["objective/terms.1.objective/eta"] = torch.tensor([float("nan")])


def _words(tensors: dict[str, Tensor]) -> None:
    tensors["objective/terms.0.objective/m0"] = torch.tensor(3)


@pytest.mark.parametrize("change", [_without, _more, _none, _words])
def test_a_state_of_another_objective_is_refused(
    stateful: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Tensor]], None]
) -> None:
    """Values that are missing, too many or no numbers never reach a loss."""
    stop, hear = stopping_after(1)
    train(stateful, tmp_path / "run", hear, stop)
    state = tmp_path / "run" / "state" / "1"
    path = next(state.glob("*.safetensors"))
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    told = json.loads((state / "state.json").read_text())
    told["files"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    (state / "state.json").write_text(json.dumps(told))

    with pytest.raises(StateRefused, match="does not fit"):
        run_folder(tmp_path / "run")


@pytest.mark.parametrize(
    ("parts", "field", "words"),
    [
        ({"objective": BETA, "batch": {"examples_per_step": 1}}, "batch.examples_per_step", "batches of 2"),
        ({"objective": LCPO, "tuning": {"kind": "lora", "dropout": 0.1}}, "tuning.dropout", "twice"),
        ({"objective": BOTH, "tuning": {"kind": "lora", "dropout": 0.1}}, "tuning.dropout", "twice"),
    ],
)
def test_what_an_objective_of_the_batch_cannot_have_is_refused(
    make_spec: MakeSpec, tmp_path: Path, parts: dict[str, Any], field: str, words: str
) -> None:
    """Before any weights are loaded, with the field that decides it."""
    with pytest.raises(BadSpec, match=words) as refused:
        train(make_spec(**parts), tmp_path / "run")

    assert refused.value.field == field
