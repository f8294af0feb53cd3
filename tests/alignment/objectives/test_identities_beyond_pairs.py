"""Identities of objectives of lists, single answers, facts, tokens and games, by drawn values: loss and gradient."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alignment.objectives import REFERENCE, Batch, Objective, Role, State, Tokens, TokenValue
from tests.alignment.objectives import golden
from tests.alignment.objectives.cases import Pair, evaluated, make, pair_batch, pairs_batch
from tests.alignment.objectives.test_identities import BETA, PAIRS, drawn, swapped
from tests.alignment.objectives.test_lists import lists
from tests.alignment.objectives.test_singles import D, M, U, singles
from tests.alignment.objectives.test_tokens import SEEDS, Logits

NATS = st.floats(-60.0, 0.0)
RATIO = st.floats(-40.0, 40.0)
LABEL = st.floats(0.0, 1.0)
THREE = st.tuples(RATIO, RATIO, RATIO)
EXTRA = {
    "xpo": [Role.REFERENCE_SAMPLE],
    "hypo_surrogate": [Role.POLICY_SAMPLE],
    "rationale_dpo": [Role.RATIONALE],
    "bvpo": [Role.EMPTY_CHOSEN, Role.EMPTY_REJECTED],
}


def assert_same(
    found: tuple[torch.Tensor, torch.Tensor], expected: tuple[torch.Tensor, torch.Tensor], factor: float = 1.0
) -> None:
    """Losses and gradients agree, the expected ones times a factor."""
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.flatten(), factor * other.flatten(), rtol=1e-9, atol=1e-10)


def two(better: float, worse: float) -> Batch:
    """A pair with these log-ratios."""
    return pair_batch(-40 + better, -40 + worse, reference=(-40.0, -40.0), lengths=(10.0, 10.0))


@drawn
@given(RATIO, RATIO, BETA)
def test_a_list_of_two_is_a_pair(better: float, worse: float, beta: float) -> None:
    """With two responses labelled 1 and 0, each loss of lists is DPO or NCA, times LiPO's factor."""
    sure, dpo = lists(([better, worse], [1.0, 0.0])), evaluated(make("dpo", beta=beta), two(better, worse))

    for objective, factor in (
        (make("pl_dpo", beta=beta), 1.0),
        (make("pairwise_logistic_all", beta=beta), 1.0),
        (make("pairwise_logistic_all", beta=beta, mean=True), 1.0),
        (make("ranklist", beta=beta, skip_weights=[1.0]), 1.0),
        (make("infonca", beta=beta, alpha=1e-3), 1.0),
        (make("adpo_list_ce", tau=1 / beta, beta_r=1e-3), 1.0),
        (make("adpo_list_kl", tau=1 / beta, beta_r=1e-3), 1.0),
        (make("lipo_lambda", beta=beta), 1 / math.log(2) - 1 / math.log(3)),
    ):
        assert_same(evaluated(objective, sure), dpo, factor)
    nca = evaluated(make("nca_pair", beta=beta), two(better, worse))
    assert_same(evaluated(make("nca_list", beta=beta, alpha=1e-3), sure), nca)


@drawn
@given(RATIO, RATIO, st.floats(0.01, 1.0), st.floats(0.05, 3.0))
def test_exo_of_two_is_exo_of_a_pair(better: float, worse: float, beta: float, gap: float) -> None:
    """With eps the share of the loser in the softmax of both scores."""
    found = evaluated(make("exo_rw", beta=beta, beta_r=0.5), lists(([better, worse], [gap, 0.0])))

    eps = 1 / (1 + math.exp(gap / 0.5))
    assert_same(found, evaluated(make("exo_pair", beta=beta, eps=eps), two(better, worse)))


@drawn
@given(THREE, st.tuples(LABEL, LABEL, LABEL), st.floats(-100.0, 30.0))
def test_a_shift_of_all_log_ratios_changes_nothing(
    ratios: tuple[float, ...], labels: tuple[float, ...], shift: float
) -> None:
    """What the lists' softmaxes are made of are differences."""
    here, there = lists((list(ratios), list(labels))), lists(([one + shift for one in ratios], list(labels)))

    for name in ("adpo_list_kl", "adpo_list_ce", "infonca", "exo_rw", "pl_dpo", "pairwise_logistic_all"):
        assert_same(evaluated(make(name), there), evaluated(make(name), here))


@drawn
@given(st.tuples(LABEL, LABEL, LABEL), st.floats(0.1, 2.0), st.floats(0.1, 2.0), st.floats(0.02, 1.0))
def test_lists_rest_where_the_policy_agrees_with_the_scores(
    labels: tuple[float, ...], tau: float, beta_r: float, beta: float
) -> None:
    """Rewards equal to scores over their temperature: no gradient, and a divergence of 0."""
    anchored = lists(([tau * label / beta_r for label in labels], list(labels)))
    rewarded = lists(([label / beta_r / beta for label in labels], list(labels)))

    for objective, batch in (
        (make("adpo_list_kl", tau=tau, beta_r=beta_r), anchored),
        (make("adpo_list_ce", tau=tau, beta_r=beta_r), anchored),
        (make("exo_rw", beta=beta, beta_r=beta_r), rewarded),
    ):
        loss, gradient = evaluated(objective, batch)
        assert gradient.abs().max() < 1e-10
        assert objective.name == "adpo_list_ce" or abs(loss.item()) < 1e-10


@drawn
@given(NATS, NATS, BETA, st.floats(0.1, 5.0))
def test_the_halves_of_kto_complement_each_other(logp: float, reference: float, beta: float, lam: float) -> None:
    """At z0 = 0 an answer wanted and the same one unwanted have losses that add up to the weight, and no slope."""
    objective = make("kto", beta=beta, lam_d=lam, lam_u=lam)
    halves = [evaluated(objective, singles((role, logp, reference), (M, -9.0, -9.0))) for role in (D, U)]

    assert sum(loss.item() for loss, _ in halves) == pytest.approx(lam, rel=1e-12)
    torch.testing.assert_close(halves[0][1], -halves[1][1])


@drawn
@given(NATS, NATS, BETA)
def test_npo_between_dpo_and_gradient_ascent(logp: float, reference: float, beta: float) -> None:
    """(2 / beta) times DPO's rejected half; as beta tends to 0, less a constant, the log-ratio with a slope of 1."""
    batch, ratio = singles((U, logp, reference)), logp - reference

    loss, _ = evaluated(make("npo", beta=beta), batch)
    half = torch.nn.functional.softplus(torch.tensor(beta * ratio, dtype=torch.float64), threshold=1e9)
    assert loss.item() == pytest.approx(2 / beta * half.item(), rel=1e-9, abs=1e-12)

    loss, slope = evaluated(make("npo", beta=1e-6), batch)
    assert loss.item() - 2e6 * math.log(2) == pytest.approx(ratio, abs=1e-2)
    assert slope.item() == pytest.approx(1.0, abs=1e-4)


@drawn
@given(NATS, BETA, st.sampled_from(["tv", "pearson_chi2", "squared_hellinger", "reverse_kl", "jensen_shannon"]))
def test_every_divergence_of_demonstrations_begins_as_fine_tuning(logp: float, beta: float, divergence: str) -> None:
    """Where policy equals reference its slope is -beta; total variation is beta times fine-tuning everywhere."""
    loss, slope = evaluated(make("f_sft", beta=beta, divergence=divergence), singles((D, logp, logp)))
    assert loss.item() == 0
    assert slope.item() == pytest.approx(-beta, rel=1e-12)

    if divergence == "tv":
        loss, _ = evaluated(make("f_sft", beta=beta, divergence=divergence), singles((D, logp, -3.0)))
        assert loss.item() == pytest.approx(-beta * (logp + 3), rel=1e-9, abs=1e-12)


def with_facts(objective: Objective, chosen: float, rejected: float, **facts: list[Any]) -> Any:
    named = {name.replace("_of_", ":"): values for name, values in facts.items()}
    return evaluated(objective, pair_batch(chosen, rejected, reference=(-45.0, -50.0), facts=named))


@drawn
@given(NATS, NATS, BETA, st.floats(0.1, 8.0), st.floats(0.0, 30.0))
def test_madpo_weighs_like_dpo_at_its_landmarks(
    chosen: float, rejected: float, beta: float, tau: float, more: float
) -> None:
    """The weight is 1 where the scores differ by 0, by tau, or by -tau and anything below."""
    dpo = with_facts(make("dpo", beta=beta), chosen, rejected)

    for gap in (0.0, tau, -tau, -tau - more):
        assert_same(with_facts(make("madpo", beta=beta, tau=tau), chosen, rejected, score=[gap, 0.0]), dpo)


@drawn
@given(NATS, NATS, BETA, st.floats(0.0, 0.5))
def test_online_ipo_at_half_a_win_is_ipo_on_sums(chosen: float, rejected: float, beta: float, low: float) -> None:
    """A difference of win probabilities of 1/2 gives the target of IPO with tau = beta; EGPO is the same function."""
    ipo = with_facts(make("ipo_sum", tau=beta), chosen, rejected)

    for name in ("online_ipo", "egpo"):
        wins = [low + 0.5, low]
        assert_same(with_facts(make(name, beta=beta), chosen, rejected, win_probability=wins), ipo)


@drawn
@given(NATS, NATS, BETA, st.lists(st.floats(-3.0, 3.0), min_size=8, max_size=8))
def test_degrees_without_weight_leave_dpo(chosen: float, rejected: float, beta: float, logits: list[float]) -> None:
    """SPO at gamma = 0 is DPO, whatever its head says."""
    found = with_facts(make("spo_degree", beta=beta, gamma=0), chosen, rejected, degree_logits=[logits[:4], logits[4:]])

    assert_same(found, with_facts(make("dpo", beta=beta), chosen, rejected))


@drawn
@given(PAIRS, BETA)
def test_reward_augmented_pairs_are_dpo_on_both_goals(pairs: list[Pair], beta: float) -> None:
    """The batch loss is the mean of DPO on the pairs and of DPO on them with their sides swapped."""
    loss, _ = evaluated(make("ra_dpo", beta=beta), pairs_batch([*pairs, *swapped(pairs)]))

    dpo = make("dpo", beta=beta)
    terms = [evaluated(dpo, pairs_batch(some))[0].mean() for some in (pairs, swapped(pairs))]
    torch.testing.assert_close(loss.mean(), (terms[0] + terms[1]) / 2)


def beside(name: str, values: list[float]) -> Batch:
    """A pair and what stands beside it for an objective, each of drawn log-probability, with references."""
    roles = [Role.CHOSEN, Role.REJECTED, *EXTRA[name]]
    count = len(roles)
    return Batch(
        logps=torch.tensor(values[:count], dtype=torch.float64, requires_grad=True),
        lengths=torch.ones(count, dtype=torch.float64),
        example=torch.zeros(count, dtype=torch.long),
        role=torch.tensor([int(role) for role in roles]),
        reference=torch.tensor(values[4 : 4 + count], dtype=torch.float64),
    )


@pytest.mark.parametrize(
    ("name", "fields", "more"),
    [
        ("xpo", {"alpha": 0}, 0.0),
        ("hypo_surrogate", {"lam": 0}, 0.0),
        ("rationale_dpo", {"gamma": 0}, 0.0),
        ("rationale_dpo", {"gamma": 0, "form": "logsigmoid"}, math.log(2)),
        ("bvpo", {"alpha": 1}, 0.0),
    ],
)
@drawn
@given(st.lists(NATS, min_size=8, max_size=8), BETA)
def test_what_stands_beside_a_pair_counts_by_its_weight(
    name: str, fields: dict[str, Any], more: float, values: list[float], beta: float
) -> None:
    """Without that weight each of them is DPO on the pair, and log 2 more in the form of the released code."""
    batch = beside(name, values)
    loss, slope = evaluated(make("dpo", beta=beta), batch)

    assert_same(evaluated(make(name, beta=beta, **fields), batch), (loss + more, slope))


@drawn
@given(SEEDS, BETA)
def test_wpo_without_surprise_is_dpo(seed: int, beta: float) -> None:
    """Where every token is as likely as the policy's own mean the weight is 1, clamped or not."""
    batch = Logits(seed).batch()
    tokens = batch.each_token()
    alike = {**tokens.values, TokenValue.LOG_COLLISION: tokens.values[TokenValue.LOGPS].detach()}
    even = Batch(**{**vars(batch), "tokens": Tokens(tokens.sequence, alike)})

    for clamp in (True, False):
        found = make("wpo", beta=beta, clamp=clamp).loss(even, State())
        torch.testing.assert_close(found, make("dpo", beta=beta).loss(even, State()))


@drawn
@given(SEEDS, st.floats(0.0, 3.0), st.floats(0.0, 3.0))
def test_a_student_that_is_its_teacher_learns_nothing(seed: int, chosen: float, rejected: float) -> None:
    """DCKD without the text's own term: value and gradient are zero."""
    logits, objective = Logits(seed, moved=0.0), make("dckd", sft=0.0, c_w=chosen, c_l=rejected)

    assert objective.loss(logits.batch(teacher=REFERENCE), State()).abs().max() < 1e-13
    assert logits.slope(objective, teacher=REFERENCE).abs().max() < 1e-13


def step(start: torch.Tensor, reference: torch.Tensor, wins: torch.Tensor, beta: float, rate: float) -> torch.Tensor:
    """The policy after a gradient step of EGPO's loss over all pairs of actions, as log-probabilities; `wins` (N,) is
    how often each action beats the opponent.  The mean over N^2 pairs makes a rate of mirror descent N beta / 4 of it.
    """
    count = len(start)
    logits = start.clone().requires_grad_()
    both = torch.cartesian_prod(torch.arange(count), torch.arange(count)).flatten()
    batch = Batch(
        logps=logits.log_softmax(0)[both],
        lengths=torch.ones(len(both), dtype=torch.float64),
        example=torch.arange(count**2).repeat_interleave(2),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)] * count**2),
        reference=reference.log_softmax(0)[both],
        facts={"win_probability": wins[both]},
    )
    (slope,) = torch.autograd.grad(make("egpo", beta=beta).loss(batch, State()).mean(), logits)
    return (start - rate * beta * count / 4 * slope).log_softmax(0)


def mirror(start: torch.Tensor, reference: torch.Tensor, wins: torch.Tensor, beta: float, rate: float) -> torch.Tensor:
    """pi^(1 - rate beta) ref^(rate beta) e^(rate wins), as log-probabilities."""
    mixed = (1 - rate * beta) * start.log_softmax(0) + rate * beta * reference.log_softmax(0) + rate * wins
    return mixed.log_softmax(0)


@drawn
@given(SEEDS, st.integers(2, 6), st.floats(0.02, 0.9), st.floats(0.05, 1.0))
def test_steps_of_egpo_are_mirror_descent(seed: int, count: int, beta: float, rate: float) -> None:
    """The half step against the present policy, and the full step from the same start against what that reached."""
    generator = torch.Generator().manual_seed(seed)
    start, reference = torch.randn(2, count, generator=generator, dtype=torch.float64)
    upper = torch.rand(count, count, generator=generator, dtype=torch.float64).triu(1)
    wins = upper + (1 - upper.T).tril(-1) + 0.5 * torch.eye(count, dtype=torch.float64)

    half = step(start, reference, wins @ start.softmax(0), beta, rate)
    full = step(start, reference, wins @ half.exp(), beta, rate)

    torch.testing.assert_close(half, mirror(start, reference, wins @ start.softmax(0), beta, rate))
    torch.testing.assert_close(full, mirror(start, reference, wins @ half.exp(), beta, rate))


def test_steps_of_egpo_are_those_of_the_independent_procedure() -> None:
    """Both policies that it reaches from given logits, opponents and rates."""
    for given_step in golden.contents()["procedures"]["egpo_step"]:
        inputs = given_step["inputs"]
        start, reference, wins = (
            torch.tensor(inputs[name], dtype=torch.float64) for name in ("logits", "ref_logits", "P")
        )
        beta, rate = inputs["beta"], inputs["eta"]

        half = step(start, reference, wins @ start.softmax(0), beta, rate)
        full = step(start, reference, wins @ half.exp(), beta, rate)

        assert half.exp().tolist() == pytest.approx(given_step["half_policy"], rel=1e-9)
        assert full.exp().tolist() == pytest.approx(given_step["next_policy"], rel=1e-9)
