"""Models that are asked at every step: the reference by its distributions, and third checkpoints."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from alignment.objectives import REFERENCE, Batch, Needs, Objective, OtherValue, State, beside
from alignment.objectives.adpa import ADPA
from alignment.objectives.tdpo2 import TDPO2
from alignment.training import Spec, TrainingError, train
from alignment.training.encode import Encoded
from alignment.training.model import load_tokenizer
from alignment.training.prepare import build
from alignment.training.scorer import Scorer
from alignment.training.step import Learner, evaluate
from alignment.training.structure import plain
from tests.alignment.training.conftest import Another, MakeSpec
from tests.alignment.training.test_run import events_of, of_type, weights
from tests.alignment.training.test_step import encoded, nothing
from tests.checkpoints import make_llama

LORA = {"kind": "lora", "rank": 4, "alpha": 64}
FULL = {"kind": "full"}
KL = beside(REFERENCE, OtherValue.KL)


def made(given: dict[str, Any]) -> Learner:
    spec = Spec.model_validate(given)
    return build(spec, load_tokenizer(spec.checkpoint), 10)[0]


def stirred(learner: Learner) -> Learner:
    """The same after all that is trained has moved: policy and reference differ, and masks differ by token."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in learner.parameters:
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return learner


def gradient(
    learner: Learner,
    examples: list[Encoded],
    *,
    tokens: int,
    rows: bool,
    objective: Objective,
    reference: list[Tensor] | None = None,
) -> Tensor:
    """The gradient of a step in packs of so many tokens, in shared rows or plain ones: of the model, then of what the
    objective trains beside it."""
    scoring = replace(learner.scoring, tokens=tokens, objective=objective)
    if not rows:
        others = {name: replace(other, structure=plain("")) for name, other in scoring.others.items()}
        scoring = replace(scoring, structure=plain(""), others=others)
    learner.optimizer.zero_grad(set_to_none=True)
    replace(learner, scoring=scoring).backward(examples, reference, State(), nothing)
    zeros = [torch.zeros_like(parameter) for parameter in learner.parameters]
    found = [zero if one.grad is None else one.grad for one, zero in zip(learner.parameters, zeros, strict=True)]
    return torch.cat([one.flatten() for one in found])


def logits_of(model: Any, example: Encoded) -> Tensor:
    """Logits wherever a response token of an example is predicted, as plain sequences give them."""
    found = []
    for answer in example.responses:
        with torch.no_grad():
            whole = model(torch.tensor([example.prompt + answer])).logits[0]
        found.append(whole[len(example.prompt) - 1 : -1])
    return torch.cat(found)


@pytest.mark.parametrize("tuning", [FULL, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("rows", [True, False], ids=["shared", "plain"])
def test_what_the_reference_says_is_what_the_starting_checkpoint_says(
    make_spec: MakeSpec, base: Path, tuning: dict[str, Any], rows: bool
) -> None:
    """Log-probabilities and divergences equal those of full logits; LoRA needs no second model for them."""
    learner = stirred(made(make_spec(objective={"name": "tdpo2"}, tuning=tuning)))
    reference = AutoModelForCausalLM.from_pretrained(base)
    examples = encoded(4)
    scoring = learner.scoring if rows else replace(learner.scoring, structure=plain(""))

    scores = scoring.scores(examples, scoring.asked)

    theirs = torch.cat([logits_of(reference, example) for example in examples]).log_softmax(1)
    ours = torch.cat([logits_of(scoring.scorer.model, example) for example in examples]).log_softmax(1)
    target = torch.tensor([token for example in examples for answer in example.responses for token in answer])
    expected = (theirs.exp() * (theirs - ours)).sum(1)
    assert expected.mean() > 0.01
    torch.testing.assert_close(scores.tokens[KL], expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(
        scores.tokens[beside(REFERENCE, OtherValue.LOGPS)],
        theirs[torch.arange(len(target)), target],
        rtol=1e-4,
        atol=1e-4,
    )
    assert set(scoring.others) == (set() if tuning == LORA else {REFERENCE})


class Together(TDPO2):
    """TDPO2 as one number of the whole batch, for this test only."""

    needs: ClassVar[Needs] = TDPO2.needs._replace(coupled=True)

    def loss(self, batch: Batch, state: State) -> Tensor:
        return super().loss(batch, state).mean()


class TaughtTogether(ADPA):
    """ADPA as one number of the whole batch, for this test only."""

    needs: ClassVar[Needs] = ADPA.needs._replace(coupled=True)

    def loss(self, batch: Batch, state: State) -> Tensor:
        return super().loss(batch, state).mean()


@pytest.mark.parametrize("tuning", [FULL, LORA], ids=["full", "lora"])
def test_the_gradient_does_not_depend_on_packs_rows_or_coupling(make_spec: MakeSpec, tuning: dict[str, Any]) -> None:
    """One pair at a time or all at once, rows shared or plain, each example alone or all coupled: one gradient."""
    learner = stirred(made(make_spec(objective={"name": "tdpo2"}, tuning=tuning)))
    examples = encoded(6)
    objective, bare = TDPO2(beta=0.5, alpha=1.0), TDPO2(beta=0.5, alpha=0.0)
    whole = gradient(learner, examples, tokens=100_000, rows=True, objective=objective)
    without = gradient(learner, examples, tokens=100_000, rows=True, objective=bare)

    assert (whole - without).norm() > 1e-3 * whole.norm()
    for tokens, rows, each in (
        (16, True, objective),
        (150, False, objective),
        (150, True, Together(**dict(objective))),
    ):
        found = gradient(learner, examples, tokens=tokens, rows=rows, objective=each)
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)
    for other in learner.scoring.others.values():
        assert all(parameter.grad is None for parameter in other.scorer.parameters())


def test_two_teachers_say_the_same_in_every_pack(make_spec: MakeSpec, another: Another) -> None:
    """What third checkpoints expect of the policy reaches the right tokens, in one pack, many, or coupled."""
    third = {"teacher": str(another("aligned", 0.05)), "teacher_reference": str(another("before", 0.05))}
    learner = made(make_spec(objective={"name": "adpa"}, third=third))
    examples, objective = encoded(6), ADPA(gamma=5.0)

    whole = gradient(learner, examples, tokens=100_000, rows=True, objective=objective)
    without = gradient(learner, examples, tokens=100_000, rows=True, objective=ADPA(gamma=0.0))
    assert (whole - without).norm() > 1e-3 * whole.norm()
    for tokens, rows, each in ((16, True, objective), (150, False, objective), (150, True, TaughtTogether(gamma=5.0))):
        torch.testing.assert_close(
            gradient(learner, examples, tokens=tokens, rows=rows, objective=each), whole, rtol=1e-4, atol=1e-5
        )


def test_a_folder_that_is_named_twice_is_loaded_once(make_spec: MakeSpec, another: Another) -> None:
    """A guide that is also the reference takes the memory of one model."""
    folder = str(another("other", 0.05))
    learner = made(make_spec(objective={"name": "tgdpo"}, third={"guide": folder}, reference=folder))

    assert learner.scoring.others["guide"] is learner.scoring.others[REFERENCE]


@pytest.mark.parametrize("tuning", [FULL, LORA], ids=["full", "lora"])
def test_an_untrained_policy_earns_exactly_nothing(make_spec: MakeSpec, tuning: dict[str, Any]) -> None:
    """Policy and reference are asked in the same pass: rewards are 0 and the loss log 2, without any noise."""
    learner = made(make_spec(objective={"name": "tdpo1"}, tuning=tuning))

    told = evaluate(learner.scoring, encoded(5), None, State(), nothing)

    assert told["eval/rewards/chosen"] == told["eval/rewards/rejected"] == 0.0
    assert told["eval/loss"] == pytest.approx(math.log(2), abs=1e-7)


def test_a_model_without_a_linear_head_is_compared_by_its_own_logits(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where logits are no projection, policy and reference give them themselves: the same gradient."""
    examples, objective = encoded(3), TDPO2(beta=0.5, alpha=1.0)
    spec = make_spec(objective={"name": "tdpo2"}, tuning=LORA)
    expected = gradient(stirred(made(spec)), examples, tokens=1000, rows=False, objective=objective)

    monkeypatch.setattr("alignment.training.scorer._bend", lambda _: None)
    learner = stirred(made(spec))
    assert isinstance(learner.scoring.scorer, Scorer)

    found = gradient(learner, examples, tokens=1000, rows=False, objective=objective)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def losses(run: Path) -> list[float]:
    return [event["values"]["loss"] for event in of_type(events_of(run), "step") if event["examples"]]


@pytest.mark.parametrize("tuning", [FULL, LORA], ids=["full", "lora"])
def test_tdpo2_trains(make_spec: MakeSpec, base: Path, tmp_path: Path, tuning: dict[str, Any]) -> None:
    """A whole run: it starts at log 2, its loss falls, weights move, and small packs give the same curve."""
    rate = {"learning_rate": 1e-2 if tuning == LORA else 3e-3, "warmup_ratio": 0, "schedule": "constant"}
    spec = make_spec(objective={"name": "tdpo2", "beta": 0.5}, tuning=tuning, optimizer=rate, duration={"steps": 10})
    small = {**spec, "batch": {"examples_per_step": 4, "tokens_per_pack": 40}}

    summary = train(spec, tmp_path / "run")
    train(small, tmp_path / "small")

    found = losses(tmp_path / "run")
    assert found[0] == pytest.approx(math.log(2), abs=1e-7)
    assert found[-1] < 0.9 * found[0]
    # Gradients are equal (above); ten steps of Adam make of their rounding what the machine's arithmetic makes of it.
    assert losses(tmp_path / "small") == pytest.approx(found, rel=1e-2)
    assert summary.checkpoint is not None
    before, after = weights(base), weights(summary.checkpoint)
    assert tuning == LORA or any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("tuning", [FULL, LORA], ids=["full", "lora"])
def test_tgdpo_trains_with_a_guide_that_a_run_has_made(
    make_spec: MakeSpec, tmp_path: Path, tuning: dict[str, Any]
) -> None:
    """DPO's checkpoint, an adapter too, guides the next run from the same start; the guide changes the curve."""
    rate = {"learning_rate": 1e-2 if tuning == LORA else 3e-3, "warmup_ratio": 0, "schedule": "constant"}
    spec = make_spec(tuning=tuning, optimizer=rate, duration={"steps": 6})
    guide = train(spec, tmp_path / "dpo").checkpoint
    assert guide is not None
    guided = {**spec, "objective": {"name": "tgdpo", "beta": 0.1, "alpha": 10}, "third": {"guide": str(guide)}}

    train(guided, tmp_path / "tgdpo")
    train({**guided, "objective": {"name": "tgdpo", "beta": 0.1, "alpha": 0}}, tmp_path / "dpo-again")

    found = losses(tmp_path / "tgdpo")
    assert found[0] == pytest.approx(math.log(2), abs=1e-7)
    assert found[-1] < found[0]
    assert losses(tmp_path / "dpo-again") == pytest.approx(losses(tmp_path / "dpo"), abs=1e-4)
    assert found[1:] != pytest.approx(losses(tmp_path / "dpo")[1:], abs=1e-4)


def test_a_reference_of_its_own_is_asked_beside_adapters(make_spec: MakeSpec, another: Another, tmp_path: Path) -> None:
    """A run of adapters that names another reference is measured against that one."""
    other = another("reference", 0.05)
    spec = make_spec(objective={"name": "tdpo2"}, tuning=LORA, reference=str(other), duration={"steps": 1})

    train(spec, tmp_path / "run")

    assert losses(tmp_path / "run")[0] != pytest.approx(math.log(2), abs=1e-4)


def refused(spec: dict[str, Any], out: Path) -> TrainingError:
    with pytest.raises(TrainingError) as stopped:
        train(spec, out)
    assert stopped.value.exit_code == 64
    return stopped.value


@pytest.mark.parametrize(
    ("objective", "third", "words"),
    [
        ("tgdpo", {}, "TGDPO needs another checkpoint as its guide"),
        ("adpa", {"teacher": "x"}, "ADPA needs another checkpoint as its teacher_reference"),
        ("dpo", {"guide": "x"}, "DPO asks for no checkpoint named 'guide'"),
    ],
)
def test_third_checkpoints_must_be_those_that_the_objective_asks_for(
    make_spec: MakeSpec, tmp_path: Path, objective: str, third: dict[str, str], words: str
) -> None:
    """A missing one is named before anything is loaded, and one that nobody asks for is no silent extra."""
    error = refused(make_spec(objective={"name": objective}, third=third), tmp_path / "run")

    assert error.field == "third"
    assert words in error.detail


def test_third_checkpoints_must_read_text_as_the_policy_does(
    make_spec: MakeSpec, another: Another, tmp_path: Path
) -> None:
    """Another tokenizer, another size of the vocabulary or a folder without weights is refused with its name."""
    foreign, wider = make_llama(tmp_path / "foreign", ["zebras quilt jumpers"] * 9), another("wider", 0.0)
    model = AutoModelForCausalLM.from_pretrained(wider)
    model.resize_token_embeddings(model.config.vocab_size + 8)
    model.save_pretrained(wider)
    empty = shutil.copytree(wider, tmp_path / "empty")
    (empty / "model.safetensors").unlink()

    for folder, words in ((foreign, "tokenizer"), (wider, "predicts"), (empty, "")):
        spec = make_spec(objective={"name": "dckd"}, third={"teacher": str(folder)})
        error = refused(spec, tmp_path / f"run-{folder.name}")
        assert (error.code, error.field) == ("checkpoint_refused", "third")
        assert words in error.detail
    guided = make_spec(objective={"name": "tgdpo"}, third={"guide": str(wider)}, duration={"steps": 1})
    train(guided, tmp_path / "log-probabilities-alone")
