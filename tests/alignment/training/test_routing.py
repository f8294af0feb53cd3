"""The router loss of a mixture of experts is that of the whole optimizer batch, however it is packed and shared."""

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from alignment.objectives import Batch, Objective
from alignment.objectives.batch import Role
from alignment.objectives.dpo import DPO
from alignment.training import measures, routing, structure
from alignment.training.data import Example
from alignment.training.encode import Encoded
from alignment.training.errors import CheckpointRefused
from alignment.training.head import HeadScorer
from alignment.training.kinds.gpm_rm import GPM
from alignment.training.ranks import Ranks
from alignment.training.rows import arrange
from alignment.training.scorer import Scorer
from alignment.training.scoring import Scoring
from alignment.training.step import Learner, evaluate
from tests.alignment.training.test_sharing import CPU, EXPERTS, VOCABULARY, build
from tests.alignment.training.test_step import STATE, Softmin, nothing

MODELS: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 4, "router_aux_loss_coef": 0.5},
    "qwen2_moe": {"num_experts": 4, "shared_expert_intermediate_size": 24, "router_aux_loss_coef": 0.5},
    "qwen3_moe": {"num_experts": 4, "router_aux_loss_coef": 0.5},
    "olmoe": {"num_experts": 4, "router_aux_loss_coef": 0.5},
    "granitemoe": {"num_local_experts": 4, "router_aux_loss_coef": 0.5},
    "gpt_oss": {"num_local_experts": 4, "router_aux_loss_coef": 0.5},
}
BUDGETS = (16, 120, 100_000)


def pairs() -> list[Encoded]:
    """Pairs of very different lengths: padding, and prompts that are shared, would show if they were miscounted."""
    rng = random.Random(3)
    pair = Example("0", "train", [], ({}, {}))

    def ids(longest: int) -> list[int]:
        return [rng.randrange(3, VOCABULARY) for _ in range(rng.randint(1, longest))]

    return [
        Encoded(pair, ids(30), (ids(longest), ids(12)), (Role.CHOSEN, Role.REJECTED)) for longest in (3, 30, 8, 16, 25)
    ]


def learner(model: PreTrainedModel, tokens: int, rows: structure.Structure, objective: Any) -> Learner:
    scorer = Scorer(model, "fp32")
    scoring = Scoring(scorer, scorer, objective, rows, 0, tokens, Ranks(CPU))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    return Learner(scoring, optimizer, schedule, list(model.parameters()), 1e9)


def whole(
    model: PreTrainedModel, some: list[Encoded], reference: list[Tensor], objective: Any
) -> tuple[Tensor, Tensor]:
    """Loss and router loss as transformers has them: all sequences in one padded batch, full logits."""
    sequences = [example.prompt + answer for example in some for answer in example.responses]
    width = max(map(len, sequences))
    ids = torch.tensor([sequence + [0] * (width - len(sequence)) for sequence in sequences])
    seen = torch.tensor([[1] * len(sequence) + [0] * (width - len(sequence)) for sequence in sequences])
    output: Any = model(ids, attention_mask=seen, output_router_logits=True, use_cache=False)
    logps = output.logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2)
    starts = torch.tensor([len(example.prompt) for example in some for _ in example.responses])[:, None]
    places = torch.arange(1, width)[None]
    sums = (logps * ((places >= starts) & (seen[:, 1:] == 1))).sum(1).view(-1, 2)
    batch = Batch(
        sums.flatten(),
        torch.ones(len(sequences)),
        torch.arange(len(some)).repeat_interleave(2),
        torch.tensor([0, 1] * len(some)),
        torch.cat(reference),
    )
    return objective.loss(batch, STATE).mean() + 0.5 * output.aux_loss, output.aux_loss.detach()


@pytest.mark.parametrize("objective", [DPO(beta=0.1), Softmin()], ids=["dpo", "coupled"])
@pytest.mark.parametrize("name", MODELS)
def test_the_router_loss_is_that_of_the_whole_batch(name: str, objective: Objective) -> None:
    """Loss, metric and gradient are those of one padded batch, in shared rows and plain ones, whatever the packs."""
    model = build(name, EXPERTS | MODELS[name])
    some = pairs()
    reference = [torch.randn(2, generator=torch.Generator().manual_seed(place)) - 40 for place in range(len(some))]
    model.zero_grad()
    loss, aux = whole(model, some, reference, objective)
    torch.autograd.backward(loss)
    expected = flat(model)
    paths = [structure.plain(""), *([arrange(model, CPU)] if name != "gpt_oss" else [])]

    for rows in paths:
        for tokens in BUDGETS:
            one = learner(model, tokens, rows, objective)
            model.zero_grad()
            told = measures.named(one.backward(some, reference, STATE, nothing)[0].mean(0).tolist())
            torch.testing.assert_close(flat(model), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
            assert told["loss"] == pytest.approx(loss.item(), rel=1e-5)
            assert told["aux_loss"] == pytest.approx(float(aux), rel=1e-5)
    measured = evaluate(one.scoring, some, reference, STATE, nothing)
    assert measured["eval/aux_loss"] == pytest.approx(float(aux), rel=1e-5)


def flat(model: PreTrainedModel) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def test_a_model_without_experts_has_no_router_loss() -> None:
    """Its metrics do not name one, and its batch is scored once."""
    model = build("llama", {})
    one = learner(model, 100, arrange(model, CPU), DPO())
    told = measures.named(one.backward(pairs(), [torch.zeros(2)] * 5, STATE, nothing)[0].mean(0).tolist())

    assert one.scoring.scorer.router_weight == 0
    assert "aux_loss" not in told
    assert not routing.experts(model.config)


def test_code_that_does_not_tell_its_routers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers 5.15 does not for granitemoe: training would leave the router loss out without a word."""
    model = build("granitemoe", EXPERTS | MODELS["granitemoe"])
    one, forward = learner(model, 100, arrange(model, CPU), DPO()), model.base_model.forward

    def silent(**asked: Any) -> Any:
        told = forward(**asked)
        told.router_logits = None
        return told

    monkeypatch.setattr(model.base_model, "forward", silent)
    with pytest.raises(CheckpointRefused, match="chooses its experts") as refused:
        one.backward(pairs(), [torch.zeros(2)] * 5, STATE, nothing)
    assert "router_aux_loss_coef" in refused.value.remedy


def test_a_weight_of_zero_turns_the_router_loss_off() -> None:
    """The model's own configuration decides."""
    assert routing.coefficient(build("mixtral", EXPERTS | {"router_aux_loss_coef": 0.0}).config) == 0
    assert routing.coefficient(build("mixtral", EXPERTS | {"router_aux_loss_coef": 0.25}).config) == 0.25


def test_even_routing_costs_least() -> None:
    """Experts chosen equally often with equal probability give the number of choices, one favorite gives more."""
    even, weights = torch.zeros(8, 4), torch.ones(8)
    one_sided = even.clone()
    one_sided[:, :2] = 9.0

    assert float(routing.loss(routing.routed([one_sided], weights, 2), 2)) > 3.9
    spread = torch.stack([torch.full((4,), 4.0), torch.full((4,), 2.0)])
    assert float(routing.loss(spread, 2)) == pytest.approx(2.0)


@pytest.mark.parametrize("name", ["mixtral", "qwen3_moe"])
def test_a_reward_model_has_the_router_loss_of_the_whole_batch(name: str) -> None:
    """Several numbers for each response are weighted in a second pass as log-probabilities are: one gradient."""
    config = build(name, EXPERTS | MODELS[name]).config
    config.id2label = dict(enumerate(GPM(gate=True).labels))
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config).eval()  # type: ignore[no-untyped-call]
    found = []
    for tokens in BUDGETS:
        scorer = HeadScorer(model, "fp32", GPM(gate=True))
        plain = learner(model, tokens, structure.plain(""), GPM(gate=True))
        packed = replace(plain, scoring=replace(plain.scoring, scorer=scorer, wrapped=scorer))
        packed.optimizer.zero_grad(set_to_none=True)
        rows, _ = packed.backward(pairs(), None, STATE, nothing)
        told = packed.scoring.told
        found.append((told.named(told.summed(rows).tolist()), flat(model)))

    assert found[0][0]["aux_loss"] > 0
    for metrics, gradients in found[1:]:
        assert metrics == pytest.approx(found[0][0], abs=1e-5)
        torch.testing.assert_close(gradients, found[0][1], rtol=1e-4, atol=1e-5)
