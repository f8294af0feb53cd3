"""Objectives of a whole batch, and those that keep something between steps: golden values, procedures, identities."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.objectives import Batch, Objective, Role, State
from alignment.objectives.beta_dpo import BetaDPO
from alignment.objectives.lcpo import LCPO
from tests.alignment.objectives import golden
from tests.alignment.objectives.cases import make
from tests.alignment.objectives.test_composition import DPO, loss, pairs

EXACT: dict[str, Any] = {"rel": 1e-10, "abs": 1e-15}


def margins(values: Sequence[float]) -> Batch:
    """Pairs with these margins of log-ratios."""
    count = len(values)
    logps = torch.zeros(2 * count, dtype=torch.float64)
    logps[::2] = torch.tensor(values, dtype=torch.float64)
    return Batch(
        logps=logps - 100,
        lengths=torch.ones(2 * count, dtype=torch.float64),
        example=torch.arange(count).repeat_interleave(2),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)]).repeat(count),
        reference=torch.full((2 * count,), -100.0, dtype=torch.float64),
    )


def eta(value: float) -> State:
    values = {"eta": torch.tensor([value], dtype=torch.float64)}
    return State(values=values, moved=values)


@torch.no_grad()
def first(objective: Objective, batch: Batch, **how: Any) -> State:
    """The state of a first step, once it has seen the batch."""
    state = State(values=objective.start(), training=True, **how)
    return state._replace(moved=objective.move(batch, state))


@pytest.mark.parametrize(("name", "base"), [("lcpo_dpo", "dpo"), ("lcpo_simpo", "simpo")])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_lcpo_agrees_with_its_golden_values_over_two_bases(name: str, base: str, dtype: Any) -> None:
    """Loss and gradient equal the independently computed ones at the reliability of each case."""
    tolerance: dict[str, Any] = EXACT if dtype is torch.float64 else {"rel": 1e-5, "abs": 1e-4}
    for case in golden.contents()["objectives"][name]["cases"]:
        batch, (leaf,), slopes, _ = golden.pair(case, dtype)

        found = make("lcpo", base={"name": base, **case["params"]}).loss(batch, eta(case["inputs"]["eta"]))
        (gradient,) = torch.autograd.grad(found.sum(), leaf)

        assert found.item() == pytest.approx(case["loss"], **tolerance)
        assert gradient.tolist() == pytest.approx(slopes, **tolerance)


def test_lcpo_agrees_with_its_golden_batches() -> None:
    """Mean loss, gradient and the reliability that the next step finds equal the independently computed ones."""
    for case in golden.contents()["objectives"]["lcpo_batch"]["cases"]:
        batch, (leaf,), slopes, _ = golden.batch(case, torch.float64)
        objective = make("lcpo", base={"name": "dpo", "beta": case["params"]["beta"]}, ema=case["params"]["ema"])
        state = eta(case["inputs"]["eta"])

        found = objective.loss(batch, state).mean()
        (gradient,) = torch.autograd.grad(found, leaf)

        assert found.item() == pytest.approx(case["loss"], **EXACT)
        assert gradient.tolist() == pytest.approx(slopes, **EXACT)
        assert objective.move(batch, state)["eta"].tolist() == pytest.approx([case["eta_next"]], **EXACT)


def test_the_reliabilities_of_lcpo_follow_the_independent_procedure() -> None:
    """Step after step: the probability that each label is right, and the reliability that comes of it."""
    state = None
    for step in golden.contents()["procedures"]["lcpo_eta"]:
        objective = make("lcpo", base={"name": "dpo", "beta": 1.0}, ema=step["ema"])
        state = state or State(values=objective.start())
        odds = torch.tensor(step["beta_h"], dtype=torch.float64)

        assert state.values["eta"].item() == pytest.approx(step["eta"], **EXACT)
        assert LCPO.right(odds, state.values["eta"]).tolist() == pytest.approx(step["posterior"], **EXACT)
        state = State(values=objective.move(margins(step["beta_h"]), state))
        assert state.values["eta"].item() == pytest.approx(step["eta_next"], **EXACT)


def test_the_moments_of_beta_dpo_follow_the_independent_procedure() -> None:
    """Step after step: running mean and deviation, and the weights by which pairs are drawn."""
    state = None
    for step in golden.contents()["procedures"]["beta_dpo_ema"]:
        objective = make("beta_dpo", momentum=step["momentum"])
        state = state or State(values=objective.start())

        moved = objective.move(margins(step["h"]), state)
        weights = BetaDPO.log_weights(torch.tensor(step["h"], dtype=torch.float64), moved["m0"], moved["sigma"]).exp()

        assert moved["m0"].item() == pytest.approx(step["m0"], **EXACT)
        assert moved["sigma"].item() == pytest.approx(step["sigma"], **EXACT)
        assert weights.tolist() == pytest.approx(step["keep_weights"], rel=1e-9, abs=1e-300)
        state = State(values=moved)


def test_what_lies_beside_pairs_moves_no_state_of_theirs() -> None:
    """The pooled threshold, the moments and the reliabilities are of both sides of pairs, and of nothing else."""
    batch = margins([1.0, -0.5])
    reference = batch.reference
    assert reference is not None
    batch = replace(batch, logps=batch.logps + torch.tensor([3.0, 3.0, -7.0, -7.0], dtype=torch.float64))
    beside = Batch(
        logps=torch.cat([batch.logps, batch.logps.new_tensor([-9.0, -4.0])]),
        lengths=torch.cat([batch.lengths, batch.lengths[:2]]),
        example=torch.cat([batch.example, torch.tensor([0, 1])]),
        role=torch.cat([batch.role, torch.tensor([int(Role.RATIONALE)] * 2)]),
        reference=torch.cat([reference, reference[:2]]),
    )

    expected = {
        "bco_pair": {"sum": 0.1 * (4.0 + 3.0 - 7.5 - 7.0), "count": 4.0},
        "beta_dpo": {"m0": 0.1 * 0.25, "sigma": 0.1 * 1.5 / 2**0.5},
    }
    for name, found in expected.items():
        moved = first(make(name, beta=0.1), beside).moved
        assert {key: value.item() for key, value in moved.items()} == pytest.approx(found)
    lcpo = make("lcpo", base=DPO)
    assert first(lcpo, beside).moved["eta"].tolist() == first(lcpo, batch).moved["eta"].tolist()


@settings(max_examples=40, deadline=None)
@given(pairs(), st.floats(0.01, 1))
def test_robust_dpo_lies_between_the_least_and_the_mean(batch: Batch, beta: float) -> None:
    """As beta prime grows Dr. DPO becomes the mean of DPO, as it goes to 0 the least loss; one pair is DPO itself."""
    each = loss(batch, "dpo", beta=beta)
    close: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}

    torch.testing.assert_close(loss(batch, "dr_dpo", beta=beta, beta_prime=1e6), each.mean(), rtol=1e-3, atol=1e-6)
    some = loss(batch, "dr_dpo", beta=beta, beta_prime=0.001)
    assert each.min() - 1e-9 <= some <= each.min() + 0.001 * len(each)
    one = replace(batch, **{name: getattr(batch, name)[:2] for name in ("logps", "lengths", "example", "role")})
    one = replace(one, reference=None if batch.reference is None else batch.reference[:2])
    for name in ("dr_dpo", "aot_paired", "aot_unpaired"):
        torch.testing.assert_close(loss(one, name, beta=beta), each[0], **close)


@settings(max_examples=40, deadline=None)
@given(pairs(), st.randoms(use_true_random=False))
def test_who_was_paired_with_whom_does_not_matter_to_unpaired_transport(batch: Batch, rng: Any) -> None:
    """Shuffling the rejected responses among the pairs changes the loss of pairs, but not that of distributions."""
    count = len(batch.logps) // 2
    order = torch.arange(2 * count)
    order[1::2] = order[1::2][torch.tensor(rng.sample(range(count), count))]
    assert batch.reference is not None
    mixed = replace(batch, logps=batch.logps[order], reference=batch.reference[order])

    torch.testing.assert_close(loss(mixed, "aot_unpaired"), loss(batch, "aot_unpaired"))


@settings(max_examples=40, deadline=None)
@given(pairs(), st.floats(0.5, 0.99))
def test_lcpo_over_dpo_is_cdpo_with_an_epsilon_for_each_pair(batch: Batch, reliability: float) -> None:
    """epsilon is the probability that the label is wrong; a label that is surely right gives the base."""
    objective, state = make("lcpo", base=DPO), eta(reliability)
    right = LCPO.right(0.1 * batch.pairs().margin, state.values["eta"])

    for place, found in enumerate(objective.loss(batch, state)):
        eps = min(1 - right[place].item(), 0.4999999)
        if 1 - right[place].item() < 0.49:
            torch.testing.assert_close(found, loss(batch, "cdpo", beta=0.1, eps=eps)[place])
    torch.testing.assert_close(objective.loss(batch, eta(1.0)), loss(batch, **DPO))


def test_each_annotator_has_a_reliability_of_their_own() -> None:
    """Whoever contradicts the model loses trust, those who are absent keep theirs, and new ones begin as all did."""
    batch = margins([8.0, 9.0, -9.0, -8.0])
    objective = make("lcpo", base={"name": "dpo", "beta": 1.0}, annotators="each", ema=0.5)
    state = State(values=objective.start())
    facts = {"annotator": torch.tensor([3.0, 3, 3, 3, 1, 1, 1, 1])}

    moved = objective.move(replace(batch, facts=facts), state)["eta"]

    assert moved.shape == (4,)
    assert moved[[0, 2]].tolist() == [0.9, 0.9]
    assert moved[3] > 0.9 > moved[1]
    alone = objective.move(replace(batch, facts={"annotator": torch.zeros(8)}), State(values={"eta": moved}))["eta"]
    assert alone[1:].tolist() == moved[1:].tolist()


@settings(max_examples=40, deadline=None)
@given(pairs(), st.integers(0, 2**32 - 1), st.integers(0, 2**31 - 1))
def test_beta_dpo_without_adaptation_and_filter_is_dpo(batch: Batch, seed: int, step: int) -> None:
    """a = 0 and nothing left out give the mean of DPO, and so does a running mean that is the batch's."""
    expected = loss(batch, **DPO).mean()
    plain = make("beta_dpo", a=0, filter=0)
    torch.testing.assert_close(plain.loss(batch, first(plain, batch, seed=seed, step=step)), expected)

    adapted = make("beta_dpo", a=0.6, filter=0)
    there = {"m0": batch.pairs().margin.mean(), "sigma": torch.ones(())}
    torch.testing.assert_close(adapted.loss(batch, State(training=True, moved=there)), expected)


def test_draws_go_by_seed_and_step_alone() -> None:
    """The same pairs are drawn again at the same step of the same seed, others at other steps; as many as it says."""
    objective, batch = BetaDPO(filter=0.3), margins([float(place) / 7 for place in range(20)])
    margin = batch.pairs().margin

    def drawn(seed: int, step: int) -> list[int]:
        state = State(step, seed, training=True, moved={"m0": margin.mean(), "sigma": margin.std()})
        found: list[int] = objective.drawn(margin, state).tolist()
        return found

    assert drawn(3, 5) == drawn(3, 5)
    assert len({tuple(drawn(3, step)) for step in range(20)}) > 15
    assert drawn(4, 5) != drawn(3, 5)
    assert all(len(set(drawn(0, step))) == 14 for step in range(20))


def test_pairs_are_drawn_by_their_weights_without_replacement() -> None:
    """Two of three pairs, drawn often: as likely as drawing by weight, one after the other, makes them."""
    objective, batch = BetaDPO(filter=0.3), margins([0.0, 1.0, 2.0])
    moved = {"m0": torch.zeros(()), "sigma": torch.ones(())}
    weights = torch.tensor([0.0, 1.0, 2.0]).square().div(-2).exp().tolist()

    rounds = 1500
    out = [0, 0, 0]
    for step in range(rounds):
        kept = objective.drawn(batch.pairs().margin, State(step=step, training=True, moved=moved)).tolist()
        out[({0, 1, 2} - set(kept)).pop()] += 1

    a, b, c = (weight / sum(weights) for weight in weights)
    expected = [b * c / (1 - b) + c * b / (1 - c), a * c / (1 - a) + c * a / (1 - c), a * b / (1 - a) + b * a / (1 - b)]
    assert [count / rounds for count in out] == pytest.approx(expected, abs=0.03)


def test_an_evaluation_leaves_out_nothing() -> None:
    """What is drawn in training is a matter of training; the measured loss is of all pairs."""
    objective, batch = make("beta_dpo", a=0, filter=0.5), margins([-5.0, 0.0, 1.0, 9.0])
    values = first(objective, batch).moved

    found = objective.loss(batch, State(values=values, moved=values))

    torch.testing.assert_close(found, loss(batch, **DPO).mean())


def test_a_first_batch_without_any_margin_draws_and_learns() -> None:
    """Before the first step every margin is 0: weights are equal, and the loss is log 2 with a finite gradient."""
    objective, batch = make("beta_dpo"), margins([0.0] * 10)
    batch.logps.requires_grad_()

    found = objective.loss(batch, first(objective, batch))
    (gradient,) = torch.autograd.grad(found, batch.logps)

    assert found.item() == pytest.approx(torch.tensor(2.0).log().item())
    assert int((gradient != 0).sum()) == 16


def test_what_parts_keep_lies_under_their_path() -> None:
    """Two terms with the same values do not mix them up, and each sees its own."""
    terms = [{"objective": {"name": "beta_dpo", "a": a, "momentum": kept}} for a, kept in ((0.0, 0.5), (0.6, 0.9))]
    objective, batch = make("sum", terms=terms), margins([1.0, 2.0, 6.0])

    state = first(objective, batch, seed=1)
    parts = [make(**term["objective"]) for term in terms]  # type: ignore[arg-type]

    assert sorted(state.moved) == [f"terms.{place}.objective/{name}" for place in (0, 1) for name in ("m0", "sigma")]
    expected = sum(part.loss(batch, first(part, batch, seed=1)) for part in parts)
    torch.testing.assert_close(objective.loss(batch, state), expected)
