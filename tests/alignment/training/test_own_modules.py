"""What an objective trains beside the model: one gradient whatever the packs, a rate of its own, saved and resumed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from alignment.objectives import REFERENCE, Objective, OtherValue, State, beside, own
from alignment.objectives.sparsepo import SparsePO
from alignment.training import Spec, TrainingError, recompute, train
from alignment.training.batches import auto_tokens
from alignment.training.checkpoint import OWN
from alignment.training.errors import CheckpointRefused
from alignment.training.estimate import estimate
from alignment.training.folder import inspect
from alignment.training.footprint import HEAP_CPU
from alignment.training.step import Learner, evaluate
from alignment.training.structure import plain
from tests.alignment.objectives.cases import make
from tests.alignment.training.conftest import Another, MakeSpec
from tests.alignment.training.test_others import FULL, LORA, gradient, made, stirred
from tests.alignment.training.test_resume import curve, last, same, stopping_after
from tests.alignment.training.test_step import encoded, nothing

BOTH = pytest.mark.parametrize("tuning", [FULL, LORA], ids=["full", "lora"])
ACTIVITY = beside(REFERENCE, OtherValue.ACTIVITY)


@BOTH
@pytest.mark.parametrize("mask", ["independent", "common", "activation"])
def test_packs_rows_and_coupling_change_no_gradient(make_spec: MakeSpec, tuning: dict[str, Any], mask: str) -> None:
    """One pair at a time or all at once, rows shared or plain, alone or as a part of a coupled loss: one gradient, of
    the model and of the masks."""
    fields: dict[str, Any] = {"name": "sparsepo", "beta": 0.5, "mask": mask}
    fields |= {} if mask == "activation" else {"l1_u": 0.01, "l1_d": 0.02}
    learner, examples = stirred(made(make_spec(objective=fields, tuning=tuning))), encoded(6)
    objective = make(**fields)
    coupled = make("sum", terms=[{"objective": fields}, {"objective": {"name": "dr_dpo"}, "weight": 1e-12}])
    dpo = make("dpo", beta=0.5)

    whole = gradient(learner, examples, tokens=100_000, rows=True, objective=objective)

    assert (whole - gradient(learner, examples, tokens=100_000, rows=True, objective=tdpo1())).norm() > 0
    masks = sum(weight.numel() for weight in own_parameters(learner))
    assert masks == objective.own_weights(2, 32) == {"independent": 2, "common": 1, "activation": 0}[mask] * 197
    assert masks == 0 or whole[-masks:].norm() > 1e-3 * whole.norm()
    assert dpo.own_modules(2, 32) is None
    for tokens, rows, each in ((16, True, objective), (150, False, objective), (150, True, coupled)):
        found = gradient(learner, examples, tokens=tokens, rows=rows, objective=each)
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


def tdpo1() -> Objective:
    return make("tdpo1", beta=0.5)


def own_parameters(learner: Learner) -> list[Tensor]:
    module = learner.scoring.scorer.own
    return [] if module is None else list(module.parameters())


@BOTH
def test_masks_read_the_reference_after_each_layer(make_spec: MakeSpec, base: Path, tuning: dict[str, Any]) -> None:
    """What modules are given are the hidden states of the starting checkpoint where a response token is predicted,
    whatever the policy has become."""
    learner, examples = stirred(made(make_spec(objective={"name": "sparsepo"}, tuning=tuning))), encoded(4)
    scoring = learner.scoring
    given: list[Tensor] = []
    assert scoring.scorer.own is not None
    scoring.scorer.own.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))

    scores = scoring.scores(examples, scoring.asked)

    model, expected = AutoModelForCausalLM.from_pretrained(base), []
    layers = [torch.empty(0)] * 2
    for place, layer in enumerate(model.model.layers):
        layer.register_forward_hook(lambda _, __, output, place=place: layers.__setitem__(place, output))
    for example in examples:
        for answer in example.responses:
            with torch.no_grad():
                model(torch.tensor([example.prompt + answer]))
            expected.append(torch.stack([layer[0, len(example.prompt) - 1 : -1] for layer in layers], dim=1))
    torch.testing.assert_close(given[0], torch.cat(expected), rtol=1e-3, atol=1e-5)
    assert scores.tokens[own("kl_mask")].shape == scores.response.shape
    assert not torch.equal(scores.tokens[own("kl_mask")], scores.tokens[own("reward_mask")])


@BOTH
def test_the_activation_mask_is_what_the_reference_computes(
    make_spec: MakeSpec, base: Path, tuning: dict[str, Any]
) -> None:
    """Attention, feed-forward network and output of each layer and the logits, each by the mean of its values, from its
    mean over the response in standard deviations, all averaged."""
    learner = stirred(made(make_spec(objective={"name": "sparsepo", "mask": "activation"}, tuning=tuning)))
    examples, scoring = encoded(4), learner.scoring

    scores = scoring.scores(examples, scoring.asked)

    model, seen, expected = AutoModelForCausalLM.from_pretrained(base), [], []
    for layer in model.model.layers:
        for module in (layer, layer.self_attn, layer.mlp):
            module.register_forward_hook(
                lambda _, __, output: seen.append(output[0] if isinstance(output, tuple) else output)
            )
    for example in examples:
        for answer in example.responses:
            seen.clear()
            with torch.no_grad():
                logits = model(torch.tensor([example.prompt + answer])).logits
            parts = [part[0, len(example.prompt) - 1 : -1].double().mean(1) for part in (*seen, logits)]
            assert len(parts) == 7
            means = torch.stack(parts)
            spread = means.std(1, correction=0, keepdim=True)
            expected.append(((means - means.mean(1, keepdim=True)) / spread).nan_to_num().mean(0))
    torch.testing.assert_close(scores.tokens[ACTIVITY].double(), torch.cat(expected), rtol=1e-3, atol=2e-3)


def test_a_model_without_a_linear_head_gives_the_same_masks(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where logits are no projection, their mean and the layers are seen all the same."""
    examples = encoded(3)
    for mask in ("independent", "activation"):
        spec = make_spec(objective={"name": "sparsepo", "mask": mask}, tuning=LORA)
        expected = stirred(made(spec)).scoring
        with monkeypatch.context() as changed:
            changed.setattr("alignment.training.scorer._bend", lambda _: None)
            other = stirred(made(spec)).scoring
        rows = plain("")
        found = [replace(one, structure=rows).scores(examples, one.asked).tokens for one in (expected, other)]
        for name in found[0].keys() & {ACTIVITY, own("kl_mask"), own("reward_mask")}:
            torch.testing.assert_close(found[1][name], found[0][name], rtol=1e-3, atol=1e-4)


@BOTH
def test_an_untrained_run_is_tdpo1(make_spec: MakeSpec, tuning: dict[str, Any]) -> None:
    """Learned masks begin at 1: value, rewards and the policy's gradient are those of TDPO1."""
    learner = made(make_spec(objective={"name": "sparsepo", "beta": 0.5}, tuning=tuning))
    model = [parameter for parameter in learner.scoring.scorer.model.parameters() if parameter.requires_grad]
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model:
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    examples = encoded(5)
    before = replace(learner.scoring, objective=tdpo1())

    found = gradient(learner, examples, tokens=150, rows=True, objective=make("sparsepo", beta=0.5))
    expected = gradient(learner, examples, tokens=150, rows=True, objective=tdpo1())

    size = sum(parameter.numel() for parameter in model)
    torch.testing.assert_close(found[:size], expected[:size], rtol=1e-3, atol=1e-5)
    told, other = (evaluate(one, examples, None, State(), nothing) for one in (learner.scoring, before))
    assert {
        name: value for name, value in told.items() if name.startswith(("eval/rewards", "eval/loss"))
    } == pytest.approx(
        {name: value for name, value in other.items() if name.startswith(("eval/rewards", "eval/loss"))}, abs=1e-5
    )


@pytest.fixture
def sparse(make_spec: MakeSpec) -> dict[str, Any]:
    return make_spec(
        objective={"name": "sparsepo", "beta": 0.5, "mask_rate": 0.02, "l1_u": 1e-4},
        optimizer={"learning_rate": 3e-3, "warmup_ratio": 0, "schedule": "constant"},
        duration={"steps": 5},
        evaluate={"every_steps": 2, "samples": 0},
    )


def modules(folder: Path) -> dict[str, Tensor]:
    places = sorted((folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
    return load_file(places[-1] / OWN)


def test_a_run_moves_its_masks_and_goes_on_as_if_never_stopped(
    sparse: dict[str, Any], tmp_path: Path, base: Path
) -> None:
    """The masks of a run leave 1; stopped and continued, curve, weights and masks are the same to the last bit; they
    lie beside the checkpoint, which is a model like any other."""
    train(sparse, tmp_path / "whole")
    stop, hear = stopping_after(3)
    assert train(sparse, tmp_path / "halves", hear, stop).cancelled
    kept = load_file(next((tmp_path / "halves" / "state" / "3").glob("*.safetensors")))
    train(sparse, tmp_path / "halves")
    train({**sparse, "batch": {"examples_per_step": 4, "tokens_per_pack": 16}}, tmp_path / "packs")

    assert {name.removeprefix("weights/own.") for name in kept if name.startswith("weights/own.")} == {
        name
        for name, _ in SparsePO().own_modules(2, 32).module.named_parameters()  # type: ignore[union-attr]
    }
    assert any(name.startswith("optimizer/own.") for name in kept)
    begun = SparsePO().own_modules(2, 32)
    assert begun is not None
    now = modules(tmp_path / "whole")
    assert all(bool((now[name] != values).any()) for name, values in begun.module.state_dict().items())
    assert curve(tmp_path / "halves") == curve(tmp_path / "whole")
    assert same(last(tmp_path / "halves"), last(tmp_path / "whole"))
    assert same(modules(tmp_path / "halves"), now)
    for name, values in modules(tmp_path / "packs").items():
        torch.testing.assert_close(values, now[name], rtol=1e-2, atol=1e-3)
    assert inspect(tmp_path / "whole" / "checkpoints" / "5").parameters == inspect(base).parameters


def test_masks_learn_at_a_rate_of_their_own(make_spec: MakeSpec) -> None:
    """The optimizer has them as a group by themselves, with the rate and decay of the objective, and the gradient's
    norm counts them."""
    fields = {"name": "sparsepo", "mask_rate": 0.05, "mask_decay": 0.3}
    learner = stirred(made(make_spec(objective=fields)))
    policy, masks = learner.optimizer.param_groups

    assert (masks["initial_lr"], masks["weight_decay"]) == (0.05, 0.3)
    assert (policy["initial_lr"], policy["weight_decay"]) == (1e-3, 0.0)
    assert {id(one) for one in masks["params"]} == {id(one) for one in own_parameters(learner)}
    begun = learner.scoring.begun(0)
    told = learner.update(encoded(4), None, begun, nothing).metrics
    squares = [parameter.grad.square().sum() for parameter in learner.parameters if parameter.grad is not None]
    assert len(squares) == len(learner.parameters)
    assert told["grad_norm"] >= float(torch.stack(squares).sum().sqrt()) * 0.999
    assert told["learning_rate"] == 1e-3


def test_l1_makes_masks_smaller(make_spec: MakeSpec) -> None:
    """Where nothing else is to be learned, the pull to 0 shrinks the masks of all tokens."""
    fields = {"name": "sparsepo", "l1_u": 1.0, "mask_rate": 0.05}
    rate = {"learning_rate": 1e-9, "warmup_ratio": 0, "schedule": "constant"}
    learner = made(make_spec(objective=fields, optimizer=rate))
    examples, state = encoded(4), learner.scoring.begun(0)
    for _ in range(5):
        state = learner.update(examples, None, state, nothing).state

    with torch.no_grad():
        tokens = learner.scoring.scores(examples, learner.scoring.asked).tokens

    told = evaluate(learner.scoring, examples, None, state, nothing)
    for name in ("reward_mask", "kl_mask"):
        assert told[f"eval/{own(name)}"] == pytest.approx(float(tokens[own(name)].mean()))
        assert told[f"eval/{own(name)}/zeros"] == pytest.approx(float((tokens[own(name)] == 0).float().mean()))
    assert told["eval/own/reward_mask/zeros"] > 0.5
    assert float(tokens[own("kl_mask")].mean()) > 0.98


def test_masks_of_nothing_are_told(make_spec: MakeSpec) -> None:
    """Where masks have become 0 for some tokens, the share of those is among the metrics."""
    learner = made(make_spec(objective={"name": "sparsepo", "mask": "common"}))
    module, examples = learner.scoring.scorer.own, encoded(4)
    assert module is not None
    module.masks["reward_mask"].projections[0].weight.data[0, 0] = 3.0  # type: ignore[index, union-attr]
    module.masks["reward_mask"].mix.bias.data.fill_(-0.6)  # type: ignore[index, union-attr]

    with torch.no_grad():
        mask = learner.scoring.scores(examples, learner.scoring.asked).tokens[own("reward_mask")]
    told = learner.update(examples, None, learner.scoring.begun(0), nothing).metrics

    zeros = float((mask == 0).float().mean())
    assert 0 < zeros < 1
    assert told["own/reward_mask/zeros"] == pytest.approx(zeros)
    assert told["own/reward_mask"] == pytest.approx(float(mask.mean()), rel=1e-5)
    assert "own/kl_mask" not in told


def test_a_reference_of_its_own_is_what_masks_read(make_spec: MakeSpec, another: Another) -> None:
    """Adapters beside another reference read that one's layers, loaded as a second model."""
    examples = encoded(3)
    spec = make_spec(objective={"name": "sparsepo", "mask": "activation"}, tuning=LORA)
    found = made({**spec, "reference": str(another("reference", 0.3))}).scoring
    mine = made(spec).scoring

    first, second = (one.scores(examples, one.asked).tokens[ACTIVITY] for one in (found, mine))
    assert not torch.allclose(first, second, atol=0.05)


@pytest.mark.parametrize("mask", ["independent", "activation"])
def test_bf16_arithmetic_gives_about_the_same_masks(make_spec: MakeSpec, mask: str) -> None:
    """Adapters beside weights in bf16 have masks in float32, of states that are rounded."""
    found, examples = [], encoded(3)
    for precision in ("fp32", "bf16"):
        spec = make_spec(objective={"name": "sparsepo", "mask": mask}, tuning=LORA, precision=precision)
        scoring = stirred(made(spec)).scoring
        found.append(scoring.scores(examples, scoring.asked).tokens)

    name = ACTIVITY if mask == "activation" else own("kl_mask")
    assert found[1][name].dtype == torch.float32
    torch.testing.assert_close(found[1][name], found[0][name], rtol=0.05, atol=0.1)


def test_bf16_masters_train_masks_too(make_spec: MakeSpec) -> None:
    """Weights that lie in bf16 have masks that do, and both move."""
    learner = stirred(made(make_spec(objective={"name": "sparsepo", "mask_rate": 0.05}, precision="pure_bf16")))
    before = [parameter.clone() for parameter in learner.parameters]

    told = learner.update(encoded(4), None, learner.scoring.begun(0), nothing).metrics

    assert {parameter.dtype for parameter in learner.parameters} == {torch.bfloat16}
    assert told["grad_norm"] > 0
    assert any(
        bool((one != own).any())
        for one, own in zip(own_parameters(learner), before[-len(own_parameters(learner)) :], strict=True)
    )


def test_a_damaged_state_of_masks_is_refused(sparse: dict[str, Any], tmp_path: Path) -> None:
    """Masks that are missing, or of another shape, are never begun anew in silence."""
    stop, hear = stopping_after(3)
    train(sparse, tmp_path / "run", hear, stop)
    path = next((tmp_path / "run" / "state" / "3").glob("*.safetensors"))
    held = load_file(path)
    name = next(name for name in held if name.startswith("weights/own."))
    save_file({**held, name: torch.zeros(3)}, path)

    with pytest.raises(TrainingError) as stopped:
        train(sparse, tmp_path / "run")
    assert stopped.value.code == "state_refused"


def test_what_masks_take_is_counted(make_spec: MakeSpec) -> None:
    """The estimate has their weights among what is trained, and what they keep of each token among the memory."""
    spec = Spec.model_validate(make_spec(objective={"name": "sparsepo"}))
    without = Spec.model_validate(make_spec(objective={"name": "sparsepo", "mask": "activation"}))

    more, less = estimate(spec, 12), estimate(without, 12)

    assert more.trainable - less.trainable == 2 * 197
    assert more.state_bytes - less.state_bytes == 12 * 2 * 197
    kept = 4 * 3 * 2 * 32 * auto_tokens("cpu")
    assert more.memory.activations - less.memory.activations == pytest.approx(HEAP_CPU * kept, abs=1)
    assert more.memory.optimizer - less.memory.optimizer == 8 * 2 * 197


def test_an_architecture_that_hides_its_layers_is_refused(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read is named before anything is trained."""
    monkeypatch.setattr("alignment.training.inside.PARTS", (("attn",), ("nowhere",)))
    with pytest.raises(CheckpointRefused) as refused:
        made(make_spec(objective={"name": "sparsepo", "mask": "activation"}))
    assert refused.value.field == "objective"
    assert "llama" in refused.value.detail
    made(make_spec(objective={"name": "sparsepo"}))


@BOTH
def test_layers_that_are_computed_again_are_seen_once(make_spec: MakeSpec, tuning: dict[str, Any]) -> None:
    """Gradient checkpointing changes neither what masks read nor any gradient."""
    objective = make("sparsepo", beta=0.5)
    learner, examples = stirred(made(make_spec(objective={"name": "sparsepo"}, tuning=tuning))), encoded(3)
    expected = gradient(learner, examples, tokens=1000, rows=True, objective=objective)

    recompute.switch_on(learner.scoring.scorer)

    found = gradient(learner, examples, tokens=1000, rows=True, objective=objective)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
