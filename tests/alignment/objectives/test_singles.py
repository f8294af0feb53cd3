"""Objectives of single answers: KTO's point, BCO's threshold, forgetting and demonstrations, held to golden values."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from alignment.objectives import CATALOGUE, Batch, Role, State
from tests.alignment.objectives import golden
from tests.alignment.objectives.cases import evaluated, make

DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
D, U, M = Role.DESIRABLE, Role.UNDESIRABLE, Role.MISMATCHED


def singles(*given: tuple[Role, float, float], dtype: Any = torch.float64, lengths: float = 10.0) -> Batch:
    """Each (role, log-probability, reference) an example; a mismatched one is another response of the one before."""
    roles, logps, reference = zip(*given, strict=True)
    example = torch.tensor([role is not M for role in roles]).long().cumsum(0) - 1
    return Batch(
        logps=torch.tensor(logps, dtype=dtype, requires_grad=True),
        lengths=torch.full((len(roles),), lengths, dtype=dtype),
        example=example,
        role=torch.tensor([int(role) for role in roles]),
        reference=torch.tensor(reference, dtype=dtype),
    )


def near(expected: Any, dtype: Any) -> Any:
    """The expected value, to the accuracy that the type has."""
    return (
        pytest.approx(expected, rel=1e-10, abs=1e-15)
        if dtype is torch.float64
        else pytest.approx(expected, rel=1e-5, abs=1e-4)
    )


def cases(key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = golden.contents()["objectives"][key]["cases"]
    return found


@DTYPES
@pytest.mark.parametrize("key", ["kto_desirable", "kto_undesirable"])
def test_one_answer_under_kto_agrees_with_its_golden_value(key: str, dtype: Any) -> None:
    """The value function around a point that is given: the mismatched answer puts it there."""
    for case in cases(key):
        given, role = case["inputs"], D if key == "kto_desirable" else U
        batch = singles((role, given["logp"], given["ref"]), (M, given["z0"] - 20, -20.0), dtype=dtype)

        loss, gradient = evaluated(make("kto", **case["params"]), batch)

        assert loss.item() == near(case["loss"], dtype)
        assert gradient.tolist() == near([case["grad"]["logp"], 0.0], dtype)


def of_batch(inputs: dict[str, Any], dtype: Any) -> Batch:
    rows = [(D, *one) for one in zip(inputs["logp_w"], inputs["ref_w"], strict=True)]
    rows += [(U, *one) for one in zip(inputs["logp_l"], inputs["ref_l"], strict=True)]
    others = [(M, *one) for one in zip(inputs.get("logp_kl", ()), inputs.get("ref_kl", ()), strict=True)]
    return singles(*rows, *others, dtype=dtype)


@DTYPES
def test_a_batch_under_kto_agrees_with_its_golden_value(dtype: Any) -> None:
    """The point is estimated from the mismatched answers of the whole batch, and has no gradient."""
    for case in cases("kto_batch"):
        loss, gradient = evaluated(make("kto", **case["params"]), of_batch(case["inputs"], dtype))

        expected = [*case["grad"]["logp_w"], *case["grad"]["logp_l"]]
        assert loss.item() == near(case["loss"], dtype)
        assert gradient.tolist() == near(expected + [0.0] * (len(gradient) - len(expected)), dtype)


def test_the_point_of_kto_is_never_below_nothing() -> None:
    """A policy that has moved away from other answers measures from 0."""
    below, at = ((D, -10.0, -12.0), (M, -30.0, -20.0)), ((D, -10.0, -12.0), (M, -20.0, -20.0))

    torch.testing.assert_close(*(make("kto").loss(singles(*rows), State()) for rows in (below, at)))


def test_kto_without_a_mismatched_answer_measures_from_nothing() -> None:
    """An evaluation of one prompt has no other answers: the point is 0."""
    loss = make("kto", beta=0.1).loss(singles((D, -10.0, -12.0), (U, -9.0, -9.0)), State())

    assert loss.item() == pytest.approx((1 / (1 + math.exp(0.2)) + 0.5) / 2, rel=1e-12)


@DTYPES
def test_one_answer_under_bco_agrees_with_its_golden_value(dtype: Any) -> None:
    """Around a threshold that is given: unwanted answers by the odds of their prompt, clipped, wanted ones alike."""
    for key, role in (("bco_desirable", D), ("bco_undesirable", U)):
        for case in cases(key):
            given, params = case["inputs"], case["params"]
            sums = torch.tensor([given["delta"], 0.0], dtype=torch.float64)
            state = State(moved={"sums": sums, "counts": torch.tensor([1.0, 0.0], dtype=torch.float64)})
            facts = {"wanted_prompt": torch.tensor([given.get("prob_d", 0.9)], dtype=dtype)}
            batch = replace(singles((role, given["logp"], given["ref"]), dtype=dtype), facts=facts)
            clips = {name: params[name] for name in ("min_ratio", "max_ratio") if name in params}
            matched = make("bco", beta=params["beta"], matching={"kind": "prompts", **clips})

            objectives = [matched] if role is U else [matched, make("bco", beta=params["beta"])]

            for objective in objectives:
                loss = objective.loss(batch, state)
                (gradient,) = torch.autograd.grad(loss.sum(), batch.logps)
                assert loss.item() == near(case["loss"], dtype)
                assert gradient.item() == near(case["grad"]["logp"], dtype)


@DTYPES
def test_a_first_batch_under_bco_agrees_with_its_golden_value(dtype: Any) -> None:
    """The threshold of the first step is the mean of the batch's own rewards, without gradient."""
    for case in cases("bco_batch"):
        objective, batch = make("bco", **case["params"]), of_batch(case["inputs"], dtype)
        state = State(values=objective.start())
        with torch.no_grad():
            state = state._replace(moved=objective.move(batch, state))

        loss = objective.loss(batch, state).mean()
        (gradient,) = torch.autograd.grad(loss, batch.logps)

        assert loss.item() == near(case["loss"], dtype)
        expected = [*case["grad"]["logp_w"], *case["grad"]["logp_l"]]
        assert gradient.tolist() == near(expected, dtype)


def test_the_threshold_of_bco_is_the_mean_of_all_rewards_seen() -> None:
    """Batch after batch, as the running mean that was computed independently."""
    objective = make("bco", beta=1.0)
    state = State(values=objective.start())
    for step in golden.contents()["procedures"]["bco_running_mean"]:
        batch = singles(*((D, reward, 0.0) for reward in step["rewards"]))
        moved = objective.move(batch, state)
        assert (moved["sums"].sum() / moved["counts"].sum()).item() == pytest.approx(step["delta"], rel=1e-10)
        state = state._replace(values=moved)


def threshold(shift: str, *rows: tuple[Role, float, float]) -> float:
    """What BCO with beta = 1 subtracts, seen in the loss of an answer with reward 0."""
    objective = make("bco", beta=1.0, shift=shift)
    batch = singles(*rows)
    moved = objective.move(batch, State(values=objective.start()))
    loss = objective.loss(singles((D, 0.0, 0.0)), State(moved=moved))
    return math.log(math.expm1(loss.item()))  # of softplus(delta)


def test_both_thresholds_of_bco_agree_where_classes_are_of_equal_size_and_differ_elsewhere() -> None:
    """Pooled is the mean of all; the midpoint weighs both classes alike."""
    balanced = ((D, 3.0, 0.0), (U, 1.0, 0.0))
    unbalanced = (*balanced, (U, 2.0, 0.0), (U, 0.0, 0.0))

    assert threshold("pooled", *balanced) == pytest.approx(threshold("midpoint", *balanced))
    assert threshold("pooled", *unbalanced) == pytest.approx(6 / 4)
    assert threshold("midpoint", *unbalanced) == pytest.approx((3 + 1) / 2)
    assert threshold("midpoint", (D, 3.0, 0.0)) == pytest.approx(3.0)


def test_npo_lets_go_of_what_is_forgotten() -> None:
    """Where policy equals reference the slope is 1, and far below it nothing."""
    at, below = (evaluated(make("npo", beta=1.0), singles((U, logp, -10.0)))[1].item() for logp in (-10.0, -50.0))

    assert at == pytest.approx(1.0)
    assert 0 < below < 1e-12


def test_forgetting_and_retaining_weigh_single_answers() -> None:
    """Each example's loss is its own: what is forgotten goes down, what is retained goes up, by their weights."""
    batch = singles((U, -20.0, -20.0), (Role.RETAIN, -30.0, -30.0))

    loss, gradient = evaluated(make("grad_diff", forget_coef=2.0, retain_coef=3.0), batch)

    assert loss.tolist() == pytest.approx([-4.0, 9.0])
    assert gradient.tolist() == pytest.approx([0.2, -0.3])


@pytest.mark.parametrize("divergence", ["squared_hellinger", "reverse_kl", "jensen_shannon"])
def test_beyond_its_clamp_a_divergence_goes_on_as_its_tangent(divergence: str) -> None:
    """Value and slope are continuous there, and the slope is the same ever after."""
    from alignment.objectives.f_sft import LOWEST

    lowest = LOWEST[divergence]  # type: ignore[index]
    objective = make("f_sft", beta=1.0, divergence=divergence)
    (before, at, after, far) = (
        evaluated(objective, singles((D, reward, 0.0))) for reward in (lowest + 1e-7, lowest, lowest - 1e-7, -1e4)
    )

    assert after[0].item() == pytest.approx(before[0].item(), rel=1e-4)
    assert after[1].item() == pytest.approx(before[1].item(), rel=1e-4)
    assert far[1].item() == pytest.approx(after[1].item(), rel=1e-9)
    assert math.isfinite(at[0].item())


@pytest.mark.parametrize("divergence", ["tv", "pearson_chi2", "squared_hellinger", "reverse_kl", "jensen_shannon"])
def test_every_divergence_is_finite_at_the_extremes(divergence: str) -> None:
    """Log-ratios up to 1e4 in single precision."""
    rows = [(D, ratio, 0.0) for ratio in (1e4, -1e4, 1e2, -1e2, 1e-6)]

    loss, gradient = evaluated(make("f_sft", divergence=divergence), singles(*rows, dtype=torch.float32))

    assert loss.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "f_sft", "divergence": "forward_kl"}, "divergence"),
        ({"name": "bco", "shift": "median"}, "shift"),
        ({"name": "kto", "lam_d": 0}, "lam_d"),
        ({"name": "ranklist", "skip_weights": []}, "skip_weights"),
        ({"name": "infonca", "alpha": 0}, "alpha"),
    ],
)
def test_what_no_paper_allows_is_refused(given: dict[str, Any], field: str) -> None:
    """The field is named."""
    from pydantic import ValidationError

    with pytest.raises(ValidationError) as refused:
        CATALOGUE[given["name"]].model_validate(given)

    assert refused.value.errors()[0]["loc"][0] == field
