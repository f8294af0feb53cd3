"""Objectives of pairs that are equal, or come near to each other, by drawn pairs and strengths: loss and gradient."""

import math
from collections.abc import Callable

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import logsigmoid

from alignment.objectives import Batch, Objective, State
from tests.alignment.objectives.cases import Pair, evaluated, make, pairs_batch

drawn = settings(deadline=None, derandomize=True, database=None, max_examples=25)

SUMS = st.floats(-300.0, -0.5)
TOKENS = st.integers(1, 90)
BETA = st.floats(0.005, 5.0)
EPS = st.floats(0.0, 0.45)
PAIRS = st.lists(st.builds(Pair, SUMS, SUMS, SUMS, SUMS, TOKENS, TOKENS), min_size=1, max_size=4)


def near(pairs: list[Pair]) -> list[Pair]:
    """The same with log-ratios of a tenth: where exponentials of them stay small."""
    return [
        pair._replace(
            chosen=pair.chosen_reference + (pair.chosen - pair.chosen_reference) / 10,
            rejected=pair.rejected_reference + (pair.rejected - pair.rejected_reference) / 10,
        )
        for pair in pairs
    ]


def swapped(pairs: list[Pair]) -> list[Pair]:
    return [
        Pair(
            pair.rejected,
            pair.chosen,
            pair.rejected_reference,
            pair.chosen_reference,
            pair.rejected_tokens,
            pair.chosen_tokens,
        )
        for pair in pairs
    ]


def equally_long(pairs: list[Pair], tokens: int) -> list[Pair]:
    return [pair._replace(chosen_tokens=tokens, rejected_tokens=tokens) for pair in pairs]


def losses(objective: Objective, pairs: list[Pair]) -> Tensor:
    return evaluated(objective, pairs_batch(pairs, reference=objective.needs.reference != "none"))[0]


def assert_equal(
    ours: Objective,
    theirs: Objective | Callable[[Batch], Tensor],
    pairs: list[Pair],
    rtol: float = 1e-9,
    atol: float | None = None,
) -> None:
    """Losses and gradients of two objectives agree on every pair; the second may be a formula of the batch.

    Without another `atol` it is `rtol`.
    """
    batch = pairs_batch(pairs, reference=ours.needs.reference != "none")
    found = evaluated(ours, batch)
    if isinstance(theirs, Objective):
        expected = evaluated(theirs, pairs_batch(pairs, reference=theirs.needs.reference != "none"))
    else:
        loss = theirs(batch)
        expected = loss.detach(), torch.autograd.grad(loss.sum(), batch.logps)[0]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=rtol if atol is None else atol)


@drawn
@given(PAIRS, BETA)
def test_dpo_under_other_names(pairs: list[Pair], beta: float) -> None:
    """What a parameter turns off leaves DPO, and two objectives are DPO under another name."""
    dpo = make("dpo", beta=beta)

    for other in (
        make("cdpo", beta=beta, eps=0.0),
        make("rdpo", beta=beta, eps=0.0),
        make("r_dpo", beta=beta, alpha=0.0),
        make("rpo_cumulative", beta=beta, eta=0.0),
        make("rpo_average", beta=beta, eta=0.0),
        make("dpop", beta=beta, lam=0.0),
        make("flex_dpo", beta_w=beta, beta_l=beta, sft_coef=0.0),
        make("fdpo_reverse_kl", beta=beta),
        make("rso_sigmoid_norm", gamma=beta),
    ):
        assert_equal(other, dpo, pairs)


@drawn
@given(PAIRS, BETA, EPS)
def test_dpo_and_its_swapped_sides(pairs: list[Pair], beta: float, eps: float) -> None:
    """DPO less its swap is -beta h; cDPO is their mixture; rDPO's mean over flips is DPO."""
    dpo, cdpo, rdpo = make("dpo", beta=beta), make("cdpo", beta=beta, eps=eps), make("rdpo", beta=beta, eps=eps)
    margin = pairs_batch(pairs).pairs().margin.detach()
    straight, other = losses(dpo, pairs), losses(dpo, swapped(pairs))

    torch.testing.assert_close(straight - other, -beta * margin)
    torch.testing.assert_close(losses(cdpo, pairs), (1 - eps) * straight + eps * other)
    flips = (1 - eps) * losses(rdpo, pairs) + eps * losses(rdpo, swapped(pairs))
    torch.testing.assert_close(flips, straight, rtol=1e-9, atol=1e-9)


@drawn
@given(PAIRS, BETA, st.integers(1, 90))
def test_lengths_that_are_equal(pairs: list[Pair], beta: float, tokens: int) -> None:
    """Where both responses have n tokens, LN-DPO is DPO at beta / n, and SimPO without margin is CPO at beta / n."""
    alike = equally_long(pairs, tokens)

    assert_equal(make("ln_dpo", beta=beta), make("dpo", beta=beta / tokens), alike)
    assert_equal(make("r_dpo", beta=beta, alpha=0.3), make("dpo", beta=beta), alike)
    assert_equal(make("simpo", beta=beta, gamma=0.0), make("cpo", beta=beta / tokens, alpha=0.0), alike)


@drawn
@given(PAIRS, BETA)
def test_divergences_between_which_alpha_lies(pairs: list[Pair], beta: float) -> None:
    """alpha to 0 is DPO, alpha to 1 the forward KL; Jensen-Shannon is DPO far below the reference."""
    some, weak = near(pairs), beta / 100  # what is left of alpha grows with beta times the squared log-ratio

    assert_equal(make("fdpo_alpha", beta=weak, alpha=1e-6), make("dpo", beta=weak), some, rtol=1e-4, atol=1e-9)
    assert_equal(make("fdpo_alpha", beta=beta, alpha=1 - 1e-12), make("fdpo_forward_kl", beta=beta), some, rtol=1e-6)
    low = [pair._replace(chosen=pair.chosen - 340, rejected=pair.rejected - 340) for pair in pairs]
    assert_equal(make("fdpo_js", beta=beta), make("dpo", beta=beta), low)


@drawn
@given(PAIRS, BETA, st.floats(0.0, 500.0))
def test_dpop_is_dpo_where_the_chosen_response_has_not_fallen(pairs: list[Pair], beta: float, lam: float) -> None:
    """At the reference or above it the penalty is nothing, and neither is its gradient."""
    risen = [pair._replace(chosen=max(pair.chosen, pair.chosen_reference)) for pair in pairs]

    assert_equal(make("dpop", beta=beta, lam=lam), make("dpo", beta=beta), risen)


@drawn
@given(PAIRS, BETA)
def test_bco_without_a_threshold_judges_each_side_by_itself(pairs: list[Pair], beta: float) -> None:
    """bco_pair(delta = 0) is -log sigmoid(chosen reward) - log sigmoid(-rejected reward)."""

    def formula(batch: Batch) -> Tensor:
        sides = batch.pairs()
        return -logsigmoid(beta * sides.chosen.ratios) - logsigmoid(-beta * sides.rejected.ratios)

    assert_equal(make("bco_pair", beta=beta, shift="none"), formula, pairs)


@drawn
@given(PAIRS, BETA, st.floats(0.0, 8.0))
def test_objectives_without_a_reference(pairs: list[Pair], beta: float, gamma: float) -> None:
    """CPO at alpha = 0 is DPO with a constant reference; CPO-SimPO at alpha = 0 is SimPO."""
    constant = [pair._replace(chosen_reference=-7.0, rejected_reference=-7.0) for pair in pairs]

    assert_equal(make("cpo", beta=beta, alpha=0.0), make("dpo", beta=beta), constant)
    assert_equal(make("cpo_simpo", beta=beta, gamma=gamma, alpha=0.0), make("simpo", beta=beta, gamma=gamma), pairs)


@drawn
@given(PAIRS, st.floats(0.0, 3.0))
def test_orpo_and_asft_by_probabilities(pairs: list[Pair], lam: float) -> None:
    """ORPO is ASFT and lam log(pw (1 - pl) + pl (1 - pw)), never above it; ASFT asks for the odds of each side."""
    orpo, asft = make("orpo", lam=lam), make("asft", lam=lam)

    def averages(batch: Batch) -> tuple[Tensor, Tensor]:
        sides = batch.pairs()
        return sides.chosen.averages, sides.rejected.averages

    def of_asft(batch: Batch) -> Tensor:
        better, worse = averages(batch)
        cross = (better.exp() * (1 - worse.exp()) + worse.exp() * (1 - better.exp())).log()
        return asft.loss(batch, State()) + lam * cross

    def of_odds(batch: Batch) -> Tensor:
        better, worse = averages(batch)
        odds = [m - torch.log(-torch.expm1(m)) for m in (better, worse)]
        return -better - lam * (logsigmoid(odds[0]) + logsigmoid(-odds[1]))

    low = [pair for pair in pairs if min(pair.chosen / pair.chosen_tokens, pair.rejected / pair.rejected_tokens) > -30]
    if low:
        assert_equal(orpo, of_asft, low, rtol=1e-6)
    assert_equal(asft, of_odds, pairs, rtol=1e-7)
    assert (losses(orpo, pairs) <= losses(asft, pairs) + 1e-9).all()


@drawn
@given(st.floats(0.01, 5.0), st.floats(0.001, 0.45), SUMS, SUMS, SUMS)
def test_losses_that_have_an_optimum(
    strength: float, eps: float, rejected: float, chosen_ref: float, ref: float
) -> None:
    """IPO vanishes at h = 1/(2 tau), EXO at beta h = log((1-eps)/eps), SPPO at +-1/(2 beta); so do their gradients."""

    def at(margin: float) -> Pair:
        return Pair(chosen_ref + (rejected - ref) + margin, rejected, chosen_ref, ref)

    target = 1 / (2 * strength)
    for objective, pair in (
        (make("ipo_sum", tau=strength), at(target)),
        (make("exo_pair", beta=strength, eps=eps), at(math.log((1 - eps) / eps) / strength)),
        (make("sppo_hard", beta=strength), Pair(chosen_ref + target, ref - target, chosen_ref, ref)),
    ):
        loss, gradient = evaluated(objective, pairs_batch([pair]))
        assert abs(loss.item()) < 1e-9
        assert gradient.abs().max() < 1e-9
        moved = losses(objective, [pair._replace(chosen=pair.chosen + 0.5 / strength)])
        assert moved.item() > 1e-6


@drawn
@given(PAIRS)
def test_slic_on_log_ratios_is_the_hinge(pairs: list[Pair]) -> None:
    """SLiC-HF with delta = 1 and lam = 0, given log-ratios for log-probabilities, is RSO's hinge with gamma = 1."""
    ratios = [
        pair._replace(chosen=pair.chosen - pair.chosen_reference, rejected=pair.rejected - pair.rejected_reference)
        for pair in pairs
    ]

    hinge = losses(make("rso_hinge_norm", gamma=1.0), pairs)
    torch.testing.assert_close(losses(make("slic_hf", delta=1.0, lam=0.0), ratios), hinge)


@drawn
@given(PAIRS, st.floats(0.005, 0.5))
def test_discopop_with_a_large_tau_is_half_logistic_and_half_exponential(pairs: list[Pair], beta: float) -> None:
    """tau to infinity leaves the mean of both parts."""

    def formula(batch: Batch) -> Tensor:
        z = beta * batch.pairs().margin
        return (-logsigmoid(z) + (-z).exp()) / 2

    gentle = [pair for pair in near(pairs) if -beta * pairs_batch([pair]).pairs().margin.item() < 20]
    if gentle:
        assert_equal(make("discopop", beta=beta, tau=1e9), formula, gentle, rtol=1e-6)
