"""Objectives of tokens: what each is at the reference, where it equals another, and which side its gradient moves."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alignment.objectives import REFERENCE, Batch, Objective, OtherValue, Role, State, Tokens, TokenValue, beside, own
from alignment.objectives.batch import MissingTokens
from alignment.objectives.ld_dpo import discounts
from alignment.training.vocabulary import values_of
from tests.alignment.objectives.cases import batch_of, make, pair_batch

WORDS = 6
LENGTHS = (4, 3, 2, 5)  # two pairs
MODELS = (REFERENCE, "guide", "teacher", "teacher_reference")
SEEDS = st.integers(0, 2**31)
several = settings(max_examples=15, deadline=None)


class Logits:
    """Logits of a policy and of other models at the tokens of two pairs, and the batch that they make."""

    def __init__(self, seed: int = 0, *, moved: float = 0.7) -> None:
        generator = torch.Generator().manual_seed(seed)

        def values(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        count = sum(LENGTHS)
        self.others = {model: values(count, WORDS) for model in MODELS}
        self.policy = (self.others[REFERENCE] + moved * values(count, WORDS)).requires_grad_()
        self.ids = torch.randint(WORDS, (count,), generator=generator)

    def batch(self, **models: str) -> Batch:
        """The batch; a keyword puts another model's logits in the place of one."""
        others = self.others | {name: self.others[instead] for name, instead in models.items()}
        asked = frozenset(TokenValue) | {beside(model, value) for model in MODELS for value in OtherValue}
        sequence = torch.arange(len(LENGTHS)).repeat_interleave(torch.tensor(LENGTHS))
        tokens = Tokens(sequence, values_of(self.policy, self.ids, asked, others))
        return Batch(
            logps=tokens.sums(TokenValue.LOGPS, len(LENGTHS)),
            lengths=torch.tensor(LENGTHS, dtype=torch.float64),
            example=torch.tensor([0, 0, 1, 1]),
            role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)] * 2),
            reference=tokens.sums(beside(REFERENCE, OtherValue.LOGPS), len(LENGTHS)),
            tokens=tokens,
        )

    def slope(self, objective: Objective, **models: str) -> torch.Tensor:
        """The gradient of the mean loss with respect to the policy's logits."""
        loss = objective.loss(self.batch(**models), State()).mean()
        (found,) = torch.autograd.grad(loss, self.policy)
        return found


@pytest.mark.parametrize(
    ("name", "fields", "models"),
    [
        ("ld_dpo", {"alpha": 1.0}, {}),
        ("ld_dpo", {"alpha": 1.0, "apply_to_ref": False}, {}),
        ("tdpo2", {"alpha": 0.0}, {}),
        ("tgdpo", {"alpha": 0.0}, {}),
        ("tgdpo", {"alpha": 0.9}, {"guide": REFERENCE}),
    ],
)
@several
@given(seed=SEEDS)
def test_without_its_own_part_an_objective_is_dpo(
    name: str, fields: dict[str, Any], models: dict[str, str], seed: int
) -> None:
    """Value and gradient are DPO's where the hyperparameter, or the guide, says nothing about tokens."""
    logits = Logits(seed)
    objective, dpo = make(name, beta=0.3, **fields), make("dpo", beta=0.3)

    torch.testing.assert_close(
        objective.loss(logits.batch(**models), State()), dpo.loss(logits.batch(), State()), rtol=1e-12, atol=0
    )
    torch.testing.assert_close(logits.slope(objective, **models), logits.slope(dpo), rtol=1e-10, atol=1e-15)


def masked(batch: Batch, **masks: float | torch.Tensor) -> Batch:
    """The batch with masks over its tokens, each one number for all of them or one for each."""
    tokens = batch.each_token()
    ones = torch.ones(len(tokens.sequence), dtype=torch.float64)
    values = {own(f"{name}_mask"): ones * mask for name, mask in masks.items()}
    return replace(batch, tokens=Tokens(tokens.sequence, {**tokens.values, **values}))


@several
@given(seed=SEEDS)
def test_sparsepo_is_tdpo1_under_masks_of_one_and_dpo_without_divergences(seed: int) -> None:
    """Value, rewards and gradient: all masks 1 are TDPO1; reward masks 1 and KL masks 0 are DPO."""
    logits = Logits(seed)
    batch, sparse = logits.batch(), make("sparsepo", beta=0.3)

    for name, held in (("tdpo1", 1.0), ("dpo", 0.0)):
        found, other = masked(batch, reward=1.0, kl=held), make(name, beta=0.3)
        losses = [one.loss(each, State()) for one, each in ((sparse, found), (other, batch))]
        slopes = [torch.autograd.grad(loss.sum(), logits.policy, retain_graph=True)[0] for loss in losses]
        torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
        torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-15)
        torch.testing.assert_close(sparse.rewards(found), other.rewards(batch), rtol=1e-12, atol=1e-15)


@several
@given(seed=SEEDS)
def test_a_common_mask_is_two_equal_ones(seed: int) -> None:
    """One mask for both terms gives what the same mask given twice does, L1 norms too."""
    batch, fields = Logits(seed).batch(), {"beta": 0.3, "l1_u": 0.1, "l1_d": 0.2}
    mask = torch.rand(sum(LENGTHS), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    common, both = masked(batch, reward=mask), masked(batch, reward=mask, kl=mask)

    losses = [make("sparsepo", mask="common", **fields).loss(common, State())]
    losses.append(make("sparsepo", **fields).loss(both, State()))
    torch.testing.assert_close(*losses)
    bare = make("sparsepo", mask="common", beta=0.3).loss(common, State())
    norms = common.each_token().added(mask, len(LENGTHS)).view(2, 2).sum(1)
    torch.testing.assert_close(losses[0] - bare, 0.3 * norms)


def test_masks_of_nothing_teach_nothing() -> None:
    """Where all masks are 0 the loss is log 2 and has no gradient, as the card warns."""
    logits = Logits()
    loss = make("sparsepo").loss(masked(logits.batch(), reward=0.0, kl=0.0), State())

    assert loss.tolist() == pytest.approx([math.log(2)] * 2)
    assert torch.autograd.grad(loss.sum(), logits.policy)[0].abs().max() == 0


def test_an_activation_mask_lies_between_the_least_and_the_most_active_token() -> None:
    """It is 0 and 1 at these within each response, linear between them, and 1 where all tokens are as active."""
    batch = Logits().batch()
    tokens = batch.each_token()
    activity = torch.tensor([3.0, 1, 2, 5, 0, 0, 0, -2, -1, 9, 9, 9, 9, 10], dtype=torch.float64)
    mask = torch.tensor([0.5, 0, 0.25, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 1], dtype=torch.float64)
    seen = Tokens(tokens.sequence, {**tokens.values, beside(REFERENCE, OtherValue.ACTIVITY): activity})

    found = make("sparsepo", mask="activation").rewards(replace(batch, tokens=seen))
    expected = make("sparsepo").rewards(masked(batch, reward=mask, kl=mask))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("fields", [{"l1_u": 0.1}, {"l1_d": 1}, {"mask_rate": 0.1}, {"mask_decay": 0}])
def test_what_only_learned_masks_use_is_refused_without_them(fields: dict[str, float]) -> None:
    """An option that would change nothing is named, and its default may stand there."""
    with pytest.raises(ValidationError, match=f"so {next(iter(fields))} would change nothing"):
        make("sparsepo", mask="activation", **fields)
    defaults = {name: make("sparsepo").model_dump()[name] for name in fields}
    assert make("sparsepo", mask="activation", **defaults).needs.own == frozenset()


def test_what_sparsepo_needs_is_what_its_masks_do() -> None:
    """Modules are asked for by learned masks, activations by the others, and the reference's distribution by all."""
    asked = {mask: make("sparsepo", mask=mask).needs for mask in ("independent", "common", "activation")}

    assert asked["independent"].own == {"reward_mask", "kl_mask"}
    assert asked["common"].own == {"reward_mask"}
    assert asked["activation"].own == frozenset()
    assert asked["activation"].of_reference == {OtherValue.ACTIVITY}
    assert not asked["common"].of_reference
    assert {need.reference for need in asked.values()} == {"distribution"}


def test_one_part_of_a_sum_may_train_modules() -> None:
    """A sum trains its part's masks; two parts that would both train some are refused by their titles."""
    sparse, dpo = {"objective": {"name": "sparsepo"}}, {"objective": {"name": "dpo"}}
    one = make("sum", terms=[dpo, sparse])

    assert one.needs.own == {"reward_mask", "kl_mask"}
    assert one.own_weights(3, 8) == make("sparsepo").own_weights(3, 8)
    own_modules = one.own_modules(3, 8)
    assert own_modules is not None
    assert sum(weight.numel() for weight in own_modules.module.parameters()) == one.own_weights(3, 8)
    with pytest.raises(ValidationError, match="SparsePO and SparsePO each train modules"):
        make("sum", terms=[sparse, sparse])


def test_ld_dpo_is_dpo_where_both_responses_are_equally_long() -> None:
    """Nothing lies beyond the shorter response, so nothing is discounted."""
    batch = pair_batch(-8.0, -9.0, reference=(-7.0, -7.5), lengths=(3.0, 3.0))
    tokens = Tokens(
        torch.tensor([0, 0, 0, 1, 1, 1]),
        {
            TokenValue.LOGPS: torch.tensor([-2.0, -5, -1, -3, -4, -2], dtype=torch.float64),
            beside(REFERENCE, OtherValue.LOGPS): torch.tensor([-3.0, -1, -3, -2.5, -2.5, -2.5], dtype=torch.float64),
        },
    )

    found = make("ld_dpo", alpha=0.0).loss(replace(batch, tokens=tokens), State())

    torch.testing.assert_close(found, make("dpo").loss(batch, State()))


def test_ld_dpo_without_weight_ignores_what_is_beyond_the_shorter_response() -> None:
    """At alpha 0 the late tokens of the longer response have no gradient, and all others have one."""
    slope = Logits().slope(make("ld_dpo", alpha=0.0)).abs().sum(1)

    late = torch.tensor([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]).bool()  # lengths 4 and 3, 2 and 5
    assert (slope[late] == 0).all()
    assert (slope[~late] > 0).all()


@several
@given(seed=SEEDS, alpha=st.floats(0, 1))
def test_a_discount_of_length_is_a_part_for_any_loss_of_pairs(seed: int, alpha: float) -> None:
    """Over DPO it is LD-DPO; over IPO its margin; over a hinge without reference it asks for none."""
    logits, batch = Logits(seed), Logits(seed).batch()

    over = {name: make("length_discounted", alpha=alpha, base={"name": name}) for name in ("dpo", "ipo_sum", "slic_hf")}

    ld_dpo = make("ld_dpo", alpha=alpha)
    torch.testing.assert_close(over["dpo"].loss(batch, State()), ld_dpo.loss(batch, State()), rtol=1e-12, atol=0)
    torch.testing.assert_close(over["dpo"].rewards(batch), ld_dpo.rewards(batch), rtol=1e-12, atol=0)
    torch.testing.assert_close(logits.slope(over["dpo"]), logits.slope(ld_dpo), rtol=1e-10, atol=1e-15)
    margin = ld_dpo.rewards(batch).view(2, 2).diff().flatten() / -0.1
    torch.testing.assert_close(over["ipo_sum"].loss(batch, State()), (margin - 5).square())
    tokens = batch.each_token()
    sums = tokens.added(discounts(batch, alpha) * tokens.values[TokenValue.LOGPS], 4)
    expected = make("slic_hf").loss(replace(batch, logps=sums, reference=None), State())
    torch.testing.assert_close(over["slic_hf"].loss(batch, State()), expected)
    assert [one.needs.reference for one in over.values()] == ["tokens", "tokens", "none"]


def test_what_stands_beside_a_pair_is_not_discounted() -> None:
    """A rationale longer than both responses counts whole."""
    batch = batch_of(make("rationale_dpo").needs._replace(reference="tokens"), [(1.0, 2.0, 3.0)], lengths=(2, 4, 6))

    assert discounts(batch, 0.25).tolist() == [1.0] * 4 + [0.25] * 2 + [1.0] * 6


@several
@given(seed=SEEDS)
def test_tdpo2_has_the_value_of_tdpo1_and_another_gradient(seed: int) -> None:
    """At alpha 1 both losses are equal; TDPO2 sends no gradient through the chosen side's divergence."""
    logits = Logits(seed)
    one, two = make("tdpo1", beta=0.3), make("tdpo2", beta=0.3, alpha=1.0)

    torch.testing.assert_close(two.loss(logits.batch(), State()), one.loss(logits.batch(), State()))
    first, second = logits.slope(one), logits.slope(two)
    chosen = torch.arange(sum(LENGTHS)) < LENGTHS[0]
    rejected = (torch.arange(sum(LENGTHS)) >= 4) & (torch.arange(sum(LENGTHS)) < 7)
    torch.testing.assert_close(second[rejected], first[rejected])
    assert (second[chosen] - first[chosen]).norm() > 1e-3 * first[chosen].norm()


@pytest.mark.parametrize("name", ["tdpo1", "tdpo2", "tgdpo", "ld_dpo"])
def test_losses_of_pairs_start_at_log_two(name: str) -> None:
    """Where the policy equals the reference every loss is log 2 and every reward 0, whatever a guide says."""
    batch = Logits(moved=0.0).batch()

    assert make(name).loss(batch, State()).tolist() == pytest.approx([math.log(2)] * 2, rel=1e-12)
    assert make(name).rewards(batch).tolist() == [0.0] * 4


@several
@given(seed=SEEDS)
def test_wpo_is_dpo_times_a_weight_without_gradient(seed: int) -> None:
    """The weight is exp of the mean surprise of both sides, at most 1 where it is clamped, and a constant."""
    logits = Logits(seed, moved=2.0)
    batch = logits.batch()
    tokens = batch.each_token()
    each = tokens.values[TokenValue.LOGPS] - tokens.values[TokenValue.LOG_COLLISION]
    mean = (tokens.added(each, 4) / batch.lengths).view(2, 2).sum(1).detach()
    dpo = make("dpo", beta=0.2).loss(batch, State())

    for clamp in (True, False):
        weights = mean.clamp(max=0).exp() if clamp else mean.exp()
        found = make("wpo", beta=0.2, clamp=clamp).loss(batch, State())
        torch.testing.assert_close(found, weights * dpo)
        slopes = [torch.autograd.grad(one.sum(), logits.policy, retain_graph=True)[0] for one in (found, weights * dpo)]
        torch.testing.assert_close(slopes[0], slopes[1])


def test_a_pair_that_the_policy_would_say_counts_no_more_than_one() -> None:
    """Tokens likelier than the policy's own mean would weigh more than 1; clamped they do not."""
    batch = pair_batch(-0.1, -0.1, reference=(-0.1, -0.1), lengths=(1.0, 1.0))
    surprise: dict[str, torch.Tensor] = {TokenValue.LOG_COLLISION: torch.tensor([-1.0, -1.0], dtype=torch.float64)}
    batch = replace(batch, tokens=Tokens(torch.tensor([0, 1]), surprise))

    found = [make("wpo", clamp=clamp).loss(batch, State()).item() for clamp in (True, False)]
    assert found == pytest.approx([math.log(2), math.exp(1.8) * math.log(2)])


def test_adpa_is_blind_to_a_teacher_that_gained_nothing() -> None:
    """Where the teacher equals itself before alignment, only the chosen text is learned."""
    logits = Logits()
    objective = make("adpa", sft=0.0, gamma=3.0)

    assert objective.loss(logits.batch(teacher_reference="teacher"), State()).tolist() == [0.0, 0.0]
    assert logits.slope(objective).norm() > 0
    slope = logits.slope(make("adpa", sft=1.0, gamma=0.0))
    assert slope[:4].norm() > 0
    assert slope[4:7].norm() == 0


def test_positions_count_from_the_first_token_of_each_response() -> None:
    """A token's place is relative to its own response, whatever stands before it in the batch."""
    batch = Logits().batch()

    assert batch.each_token().positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 0, 1, 2, 3, 4]


def test_reading_tokens_that_nobody_asked_for_is_an_error() -> None:
    """Missing values of tokens are never taken for zeros."""
    with pytest.raises(MissingTokens):
        make("tdpo2").loss(pair_batch(-1.0, -2.0, reference=(-1.0, -2.0)), State())
