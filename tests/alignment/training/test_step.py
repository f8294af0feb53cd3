"""Log-probabilities and gradients are exact, whatever the packing, padding and coupling."""

import random
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from alignment.objectives import Batch, Needs, Objective, State, TokenValue
from alignment.objectives.objective import PAIR
from alignment.training import Spec, measures
from alignment.training.batches import order, packs
from alignment.training.data import Example
from alignment.training.encode import Encoded
from alignment.training.errors import NonFiniteLoss
from alignment.training.model import load_tokenizer
from alignment.training.prepare import build
from alignment.training.step import Learner, evaluate, sequence_logps

STATE = State()


def nothing() -> None:
    pass


def encoded(count: int, seed: int = 0) -> list[Encoded]:
    rng = random.Random(seed)
    message = {"role": "assistant", "content": ""}

    def ids(low: int, high: int) -> list[int]:
        return [rng.randint(10, 250) for _ in range(rng.randint(low, high))]

    return [
        Encoded(Example(str(index), "train", [], (message, message)), ids(1, 12), (ids(1, 30), ids(1, 30)))
        for index in range(count)
    ]


@pytest.fixture
def learner(spec: Spec) -> Learner:
    return build(spec, load_tokenizer(spec.checkpoint), 10)[0]


def with_tokens(learner: Learner, tokens: int, objective: Objective | None = None) -> Learner:
    scoring = replace(learner.scoring, tokens=tokens, objective=objective or learner.scoring.objective)
    return replace(learner, scoring=scoring)


def gradient(learner: Learner, examples: list[Encoded], reference: list[Tensor] | None) -> Tensor:
    learner.optimizer.zero_grad(set_to_none=True)
    learner.backward(examples, reference, STATE, nothing)
    return torch.cat([parameter.grad.flatten() for parameter in learner.parameters if parameter.grad is not None])


def same(found: Tensor, expected: Tensor) -> None:
    """Raise AssertionError unless the gradients agree to 1e-5, of each element or of the largest."""
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_scores_equal_those_of_one_plain_sequence_at_a_time(learner: Learner, base: Path) -> None:
    """Summed log-probabilities of padded packs equal a plain forward pass over each sequence."""
    model = AutoModelForCausalLM.from_pretrained(base)
    examples = encoded(5)

    found = sequence_logps(learner.scoring, examples, nothing)

    for example, row in zip(examples, found, strict=True):
        for answer, logp in zip(example.responses, row, strict=True):
            ids = torch.tensor([example.prompt + answer])
            with torch.no_grad():
                logps = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])
            assert logp.item() == pytest.approx(logps[len(example.prompt) - 1 :].sum().item(), rel=1e-5)


def test_the_gradient_does_not_depend_on_the_token_budget(learner: Learner) -> None:
    """One pair at a time, a few, or all at once: the optimizer batch has one gradient."""
    examples = encoded(8)
    reference = [logps + 0.5 for logps in sequence_logps(learner.scoring, examples, nothing)]

    found = [gradient(with_tokens(learner, tokens), examples, reference) for tokens in (16, 150, 100_000)]

    assert found[0].norm() > 0
    same(found[1], found[0])
    same(found[2], found[0])


class Softmin(Objective):
    """A loss that couples the whole batch: -log mean exp(-DPO loss), for this test only."""

    needs: ClassVar[Needs] = Needs(PAIR, reference="sequence", coupled=True)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        losses = -torch.nn.functional.logsigmoid(0.1 * batch.pairs().margin)
        return -(torch.logsumexp(-losses, 0) - torch.log(torch.tensor(float(len(losses)))))

    def rewards(self, batch: Batch) -> Tensor:
        return 0.1 * batch.singles().ratios


def test_a_coupled_loss_has_the_gradient_of_the_whole_batch(learner: Learner) -> None:
    """Packs that are back-propagated one by one give the gradient of a single pass over everything."""
    examples = encoded(6)
    reference = [logps + torch.randn(2) for logps in sequence_logps(learner.scoring, examples, nothing)]
    coupled = with_tokens(learner, 100, Softmin())

    found = gradient(coupled, examples, reference)

    learner.optimizer.zero_grad(set_to_none=True)
    batch = coupled.scoring.batch(coupled.scoring.scores(examples), examples, reference)
    torch.autograd.backward(coupled.scoring.objective.loss(batch, STATE))
    whole = torch.cat([parameter.grad.flatten() for parameter in learner.parameters if parameter.grad is not None])
    same(found, whole)


class Surprised(Objective):
    """A loss of what was predicted token by token, for this test only: entropies of both responses join the margin."""

    needs: ClassVar[Needs] = Needs(PAIR, reference="sequence", tokens=frozenset({TokenValue.ENTROPY, TokenValue.TOP1}))

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        assert batch.tokens is not None
        assert set(batch.tokens.values) == {TokenValue.ENTROPY, TokenValue.TOP1}
        weighed = batch.tokens.values[TokenValue.ENTROPY] * (0.5 + batch.tokens.values[TokenValue.TOP1])
        tokens = replace(batch.tokens, values={TokenValue.ENTROPY: weighed})
        chosen, rejected = tokens.sums(TokenValue.ENTROPY, len(batch.logps)).view(-1, 2).unbind(1)
        return -torch.nn.functional.logsigmoid(0.1 * batch.pairs().margin - 0.05 * (chosen - rejected))

    def rewards(self, batch: Batch) -> Tensor:
        return 0.1 * batch.singles().ratios


class SurprisedTogether(Surprised):
    """The same, as one number of the whole batch."""

    needs: ClassVar[Needs] = Surprised.needs._replace(coupled=True)

    def loss(self, batch: Batch, state: State) -> Tensor:
        return super().loss(batch, state).mean()


@pytest.mark.parametrize("objective", [Surprised(), SurprisedTogether()], ids=["each", "together"])
def test_values_of_tokens_reach_the_objective_with_their_gradients(learner: Learner, objective: Objective) -> None:
    """What an objective asks about tokens belongs to the right responses, in one pack or many, and trains."""
    examples = encoded(6)
    reference = [logps + torch.randn(2) for logps in sequence_logps(learner.scoring, examples, nothing)]

    found = [gradient(with_tokens(learner, tokens, objective), examples, reference) for tokens in (16, 150, 100_000)]
    bare = gradient(with_tokens(learner, 100_000), examples, reference)

    assert (found[0] - bare).norm() > 0.01 * bare.norm()
    same(found[1], found[0])
    same(found[2], found[0])


def test_metrics_of_tokens_are_means_over_the_tokens_of_all_examples(learner: Learner, base: Path) -> None:
    """Entropy, accuracy and logits are TRL's: over response tokens, whatever pack they were in."""
    model = AutoModelForCausalLM.from_pretrained(base)
    examples, zeros = encoded(5), [torch.zeros(2)] * 5
    entropies, hits, logits = [], [], ([], [])  # type: ignore[var-annotated]
    for example in examples:
        for place, answer in enumerate(example.responses):
            with torch.no_grad():
                whole = model(torch.tensor([example.prompt + answer])).logits[0, len(example.prompt) - 1 : -1]
            entropies += torch.special.entr(whole.softmax(1)).sum(1).tolist()
            logits[place].extend(whole.mean(1).tolist())
            hits += [] if place else (whole.argmax(1) == torch.tensor(answer)).float().tolist()

    for tokens in (16, 100_000):
        told = measures.named(
            with_tokens(learner, tokens).backward(examples, zeros, STATE, nothing)[0].mean(0).tolist()
        )
        assert told["entropy"] == pytest.approx(np.mean(entropies), rel=1e-5)
        assert told["mean_token_accuracy"] == pytest.approx(np.mean(hits), abs=1e-6)
        assert told["logits/chosen"] == pytest.approx(np.mean(logits[0]), abs=1e-5)
        assert told["logits/rejected"] == pytest.approx(np.mean(logits[1]), abs=1e-5)


def test_rewards_are_zero_before_the_first_step(learner: Learner) -> None:
    """An untrained policy has reward 0 within rounding, and DPO's loss is log 2."""
    examples = encoded(8)
    reference = sequence_logps(with_tokens(learner, 64).scoring, examples, nothing)

    measured = evaluate(with_tokens(learner, 4096).scoring, examples, reference, STATE, nothing)

    assert abs(measured["eval/rewards/chosen"]) < 1e-5
    assert abs(measured["eval/rewards/rejected"]) < 1e-5
    assert measured["eval/loss"] == pytest.approx(0.693147, abs=1e-5)


def test_a_step_with_a_non_finite_gradient_leaves_the_weights_alone(learner: Learner) -> None:
    """NaN never reaches the weights: the error comes first, and names the step."""
    examples = encoded(4)
    before = [parameter.detach().clone() for parameter in learner.parameters]
    reference = [torch.full((2,), float("nan"))] * 4

    with pytest.raises(NonFiniteLoss) as stopped:
        learner.update(examples, reference, State(6), nothing)

    assert "step 7" in stopped.value.detail
    assert stopped.value.exit_code == 70
    assert all(torch.equal(one, other) for one, other in zip(before, learner.parameters, strict=True))


@pytest.mark.parametrize("shared", [True, False])
def test_packs_hold_every_example_once_and_keep_to_the_budget(shared: bool) -> None:
    """Packing loses nothing, and only an example that alone is too large exceeds the budget."""
    examples = encoded(40)

    groups = packs(examples, 120, shared=shared)

    assert sorted(index for pack in groups for index in pack) == list(range(40))
    for pack in groups:
        some = [examples[index] for index in pack]
        padded = sum(len(one.responses) for one in some) * max(one.longest for one in some)
        assert (sum(one.shared_tokens for one in some) if shared else padded) <= 120 or len(pack) == 1


def test_the_order_is_a_new_shuffle_each_pass_and_the_same_for_the_same_seed() -> None:
    """Every pass sees every example once; a seed decides the whole course."""
    source, again, other = order(10, 3), order(10, 3), order(10, 4)
    passes = [[next(source) for _ in range(10)] for _ in range(3)]

    assert all(sorted(one) == list(range(10)) for one in passes)
    assert passes[0] != passes[1]
    assert [next(again) for _ in range(10)] == passes[0]
    assert [next(other) for _ in range(10)] != passes[0]
