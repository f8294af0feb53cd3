"""Objectives of lists: what they are for two responses, where they rest, and that padding and ties change nothing."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alignment.objectives import CATALOGUE, Batch, Role, State, StepValue, TokenValue, step
from tests.alignment.objectives.cases import evaluated, make, tokens_of
from tests.alignment.objectives.test_identities import BETA, drawn

RATIO = st.floats(-40.0, 40.0)
PLACE, LIKENESS = (step("lines", value) for value in StepValue)
LISTED = [name for name, objective in CATALOGUE.items() if Role.CANDIDATE in objective.needs.roles]
DTYPE = torch.float64


def fed(name: str, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and gradient of an objective, whose responses have tokens where it asks about them."""
    objective = make(name)
    if objective.needs.asked and batch.reference is not None:
        batch = replace(batch, tokens=tokens_of(objective.needs, batch, batch.reference))
    return evaluated(objective, batch)


def lists(*rows: tuple[list[float], list[float]], lengths: float = 10.0) -> Batch:
    """One list for each (log-ratios, labels); a better label is a better rank."""
    ratios, labels = ([value for row in rows for value in row[part]] for part in (0, 1))
    ranks = [1.0 + sum(other > label for other in row[1]) for row in rows for label in row[1]]
    count = torch.tensor([len(row[0]) for row in rows])
    reference = torch.full((len(ratios),), -40.0, dtype=DTYPE)
    return Batch(
        logps=(reference + torch.tensor(ratios, dtype=DTYPE)).requires_grad_(),
        lengths=torch.full_like(reference, lengths),
        example=torch.arange(len(rows)).repeat_interleave(count),
        role=torch.full((len(ratios),), int(Role.CANDIDATE)),
        reference=reference,
        facts={"score": torch.tensor(labels, dtype=DTYPE), "rank": torch.tensor(ranks, dtype=DTYPE)},
    )


@pytest.mark.parametrize("name", LISTED)
def test_the_best_goes_up_and_the_worst_down_at_the_start(name: str) -> None:
    """Where policy equals reference, the gradient raises the response that data put first and lowers the last."""
    _, gradient = fed(name, lists(([0.0, 0.0, 0.0], [0.2, 0.9, 0.5])))

    assert gradient[1] < 0 < gradient[0]


@pytest.mark.parametrize("name", LISTED)
def test_lists_of_several_lengths_are_what_each_is_alone(name: str) -> None:
    """Padding changes neither value nor gradient, in whatever order the responses lie."""
    rows = ([1.0, -2.0], [0.0, 1.0]), ([2.0, 0.5, -1.0, 4.0], [0.3, 0.9, 0.1, 0.5]), ([1.0, 2.0, 3.0], [0.9, 0.2, 0.4])

    loss, gradient = fed(name, lists(*rows))

    each = [fed(name, lists(row)) for row in rows]
    torch.testing.assert_close(loss, torch.cat([value for value, _ in each]))
    torch.testing.assert_close(gradient, torch.cat([slope for _, slope in each]))


@pytest.mark.parametrize("name", ["pl_dpo", "pairwise_logistic_all", "lipo_lambda", "ranklist", "tpo_code"])
def test_a_list_without_an_order_teaches_nothing(name: str) -> None:
    """Where all share a rank, the loss is 0 and moves nothing."""
    loss, gradient = fed(name, lists(([1.0, -2.0, 3.0], [0.5, 0.5, 0.5])))

    assert loss.item() == 0
    assert gradient.tolist() == [0, 0, 0]


def test_responses_that_share_a_rank_are_treated_alike() -> None:
    """DPO-PL: the two seconds have one gradient, in whatever order they stand."""
    _, gradient = evaluated(make("pl_dpo"), lists(([0.0, 1.0, 1.0, 0.5], [0.9, 0.5, 0.5, 0.1])))

    assert gradient[1] == gradient[2]
    assert gradient[0] < 0 < gradient[3]


@pytest.mark.parametrize("name", LISTED)
def test_the_slopes_of_scores_far_apart_are_finite(name: str) -> None:
    """Scores of any size and log-ratios up to 1e4 give numbers, in single precision."""
    batch = lists(([1e4, -1e4, 0.0], [0.0, 30.0, -30.0]), ([1e-6, 0.0], [1e-6, 0.0]))
    single = Batch(
        batch.logps.detach().float().requires_grad_(),
        batch.lengths.float(),
        batch.example,
        batch.role,
        batch.reference.float() if batch.reference is not None else None,
        {fact: values.float() for fact, values in batch.facts.items()},
    )

    loss, gradient = fed(name, single)

    assert loss.isfinite().all()
    assert gradient.isfinite().all()


def test_lambda_weights_carry_no_gradient_and_follow_the_policy() -> None:
    """The weight of a pair is that of the places that the policy gives it now."""
    near, far = lists(([1.0, 0.0], [1.0, 0.0])), lists(([0.0, 1.0], [1.0, 0.0]))
    weight = 1 / math.log(2) - 1 / math.log(3)

    for batch, margin in ((near, 0.1), (far, -0.1)):
        loss, gradient = evaluated(make("lipo_lambda", beta=0.1), batch)
        assert loss.item() == pytest.approx(weight * math.log1p(math.exp(-margin)), rel=1e-12)
        assert gradient[0].item() == pytest.approx(-0.1 * weight / (1 + math.exp(margin)), rel=1e-12)


def test_weights_of_distances_beyond_a_list_add_nothing() -> None:
    """RankList with more weights than there are distances is what it is without them."""
    rows = ([1.0, -2.0, 0.5], [0.9, 0.1, 0.4])

    few = make("ranklist", skip_weights=[1.0, 0.5]).loss(lists(rows), State())
    many = make("ranklist", skip_weights=[1.0, 0.5, 7.0, 7.0]).loss(lists(rows), State())

    torch.testing.assert_close(few, many)


def test_a_score_whose_gain_has_no_meaning_is_refused() -> None:
    """LiPO takes powers of two of scores: of 0 to 1, not of 0 to 100."""
    objection = CATALOGUE["lipo_lambda"]().objection({"score": (0.0, 100.0)})

    assert objection is not None
    assert "scale them" in objection
    assert CATALOGUE["lipo_lambda"]().objection({"score": (0.0, 4.0)}) is None


@drawn
@given(st.tuples(RATIO, RATIO, RATIO), st.permutations([0.9, 0.5, 0.1]), BETA)
def test_answers_of_one_step_are_ranked_by_their_averages(
    ratios: tuple[float, ...], labels: list[float], beta: float
) -> None:
    """TPO by steps, whose weights then cancel, is the mean over all pairs with beta for each of their ten tokens."""
    objective, (found, whole) = make("tpo_code", beta=beta), (lists((list(ratios), labels)) for _ in range(2))
    assert found.reference is not None
    tokens = tokens_of(objective.needs, found, found.reference)
    tokens.values[PLACE].zero_()

    loss, slope = evaluated(objective, replace(found, tokens=tokens))

    expected = evaluated(make("pairwise_logistic_all", beta=beta / 10, mean=True), whole)
    torch.testing.assert_close(loss, expected[0], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(slope, expected[1], rtol=1e-9, atol=1e-10)


@drawn
@given(RATIO, RATIO, st.floats(-0.99, 1.0), BETA)
def test_steps_weigh_as_they_are_alike(first: float, second: float, alike: float, beta: float) -> None:
    """A reward is beta times the mean of its steps' mean log-ratios by 1 + likeness, however long the steps are."""
    objective, batch = make("tpo_code", beta=beta), lists(([0.0, 0.0], [1.0, 0.0]))
    assert batch.reference is not None
    tokens = tokens_of(objective.needs, batch, batch.reference)
    begins = torch.tensor([1.0] + [0.0] * 9, dtype=DTYPE).repeat(2)  # a step of one token, and one of nine
    moved = torch.tensor([first] + [second / 9] * 9 + [0.0] * 10, dtype=DTYPE)
    values = {PLACE: 1 - begins, LIKENESS: begins * alike, TokenValue.LOGPS: tokens.values[TokenValue.LOGPS] + moved}

    found = objective.rewards(replace(batch, tokens=replace(tokens, values={**tokens.values, **values})))

    expected = beta * ((1 + alike) * first + second / 9) / (2 + alike)
    assert found.tolist() == pytest.approx([expected, 0.0], rel=1e-9, abs=1e-12)
