"""The contract of every objective in the catalogue, their golden values, and the facts that tie them together."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ValidationError

from alignment.objectives import CATALOGUE, Batch, Objective, ObjectiveSpec, Role, State
from alignment.objectives.batch import MissingReference, UnpairedExample

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "objectives.json"
NAMES = list(CATALOGUE)


class Holder(BaseModel):
    objective: ObjectiveSpec


def pair_batch(
    chosen: float, rejected: float, *, reference: tuple[float, float] | None, lengths: tuple[float, float], dtype: Any
) -> Batch:
    return Batch(
        logps=torch.tensor([chosen, rejected], dtype=dtype, requires_grad=True),
        lengths=torch.tensor(lengths, dtype=dtype),
        example=torch.tensor([0, 0]),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)]),
        reference=None if reference is None else torch.tensor(reference, dtype=dtype),
    )


def batch_for(name: str, *, policy: tuple[float, float], reference: tuple[float, float], dtype: Any) -> Batch:
    needs = CATALOGUE[name].needs
    used = None if needs.reference == "none" else reference
    return pair_batch(*policy, reference=used, lengths=(12.0, 31.0), dtype=dtype)


def golden() -> dict[str, Any]:
    if not GOLDEN.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{GOLDEN} is missing")
        pytest.skip("the golden file is not on this machine")
    loaded: dict[str, Any] = json.loads(GOLDEN.read_text())
    return loaded


def golden_cases(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = golden()["objectives"][name]["cases"]
    return cases


def value_and_gradient(objective: Objective, batch: Batch) -> tuple[float, list[float]]:
    loss = objective.loss(batch, State())
    (gradient,) = torch.autograd.grad(loss.sum(), batch.logps)
    return loss.item(), gradient.tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", NAMES)
def test_every_objective_agrees_with_its_golden_values_and_gradients(name: str, dtype: Any) -> None:
    """Loss and gradient equal the independently computed ones, in double and in single precision."""
    for case in golden_cases(name):
        given = case["inputs"]
        batch = pair_batch(
            given["logp_w"],
            given["logp_l"],
            reference=(given["ref_w"], given["ref_l"]),
            lengths=(given["len_w"], given["len_l"]),
            dtype=dtype,
        )
        loss, gradient = value_and_gradient(CATALOGUE[name](**case["params"]), batch)
        relative, absolute = (1e-9, 1e-15) if dtype is torch.float64 else (1e-4, 1e-5)

        assert loss == pytest.approx(case["loss"], rel=relative, abs=absolute)
        expected = [case["grad"]["logp_w"], case["grad"]["logp_l"]]
        assert gradient == pytest.approx(expected, rel=relative, abs=absolute)


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_describes_itself_for_the_form(name: str) -> None:
    """Name, title, family, paper, fidelity and formula are set, and every hyperparameter is bounded and described."""
    described = CATALOGUE[name].describe()

    assert re.fullmatch(r"[a-z][a-z0-9_]*", described["name"])
    assert described["name"] == name
    assert described["title"]
    assert described["family"]
    assert described["formula"]
    assert described["summary"].endswith((".", ":"))
    assert described["paper"]["equation"]
    assert described["paper"]["url"] or re.fullmatch(r"\d{4}\.\d{4,5}", described["paper"]["arxiv"])
    assert described["fidelity"] in ("authors_code", "paper", "reconstruction")
    assert json.loads(json.dumps(described)) == described
    for field in described["schema"]["properties"].values():
        assert field["description"].endswith(".")
        assert {"minimum", "exclusiveMinimum"} & set(field)
        assert {"maximum", "exclusiveMaximum"} & set(field)
        assert "default" in field


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_survives_a_round_trip_through_its_record(name: str) -> None:
    """What is stored of an objective gives the same objective back, name included."""
    objective = CATALOGUE[name]()

    stored = Holder(objective=objective).model_dump(mode="json")

    assert stored["objective"]["name"] == name
    assert Holder.model_validate(stored).objective == objective


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_is_finite_at_the_extremes(name: str) -> None:
    """Log-probabilities far apart give a finite loss and gradient, never NaN or infinity."""
    for gap in (0.0, 1e-6, 1e2, 1e4):
        for sign in (1, -1):
            policy = (-1e4 + min(sign * gap, 0), -1e4 - max(sign * gap, 0))
            batch = batch_for(name, policy=policy, reference=(-1e4, -1e4), dtype=torch.float32)
            loss, gradient = value_and_gradient(CATALOGUE[name](), batch)

            assert math.isfinite(loss)
            assert all(map(math.isfinite, gradient))


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_pushes_chosen_up_and_rejected_down_at_the_start(name: str) -> None:
    """Where the policy equals the reference, the gradient raises the chosen response and lowers the rejected one."""
    batch = batch_for(name, policy=(-40.0, -90.0), reference=(-40.0, -90.0), dtype=torch.float64)

    _, (chosen, rejected) = value_and_gradient(CATALOGUE[name](), batch)

    assert chosen < 0 < rejected


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_treats_examples_independently_of_their_order(name: str) -> None:
    """Losses come in the order of the examples, however the responses lie in the batch."""
    logps = torch.tensor([-10.0, -20.0, -30.0, -35.0, -7.0, -9.0], dtype=torch.float64)
    reference = torch.tensor([-11.0, -18.0, -33.0, -32.0, -8.0, -9.5], dtype=torch.float64)
    batch = Batch(
        logps=logps,
        lengths=torch.tensor([5.0, 9, 14, 11, 4, 3], dtype=torch.float64),
        example=torch.tensor([0, 0, 1, 1, 2, 2]),
        role=torch.tensor([0, 1, 0, 1, 0, 1]),
        reference=reference,
    )
    order = torch.tensor([5, 2, 0, 4, 3, 1])
    shuffled = Batch(logps[order], batch.lengths[order], batch.example[order], batch.role[order], reference[order])
    objective = CATALOGUE[name]()

    assert objective.loss(batch, State()).shape == (3,)
    torch.testing.assert_close(objective.loss(shuffled, State()), objective.loss(batch, State()))
    torch.testing.assert_close(objective.rewards(shuffled), objective.rewards(batch)[order])


@pytest.mark.parametrize("name", [name for name in NAMES if CATALOGUE[name].needs.reference != "none"])
def test_rewards_are_zero_where_policy_and_reference_agree(name: str) -> None:
    """An untrained policy earns exactly no implicit reward."""
    batch = batch_for(name, policy=(-40.0, -90.0), reference=(-40.0, -90.0), dtype=torch.float32)

    assert CATALOGUE[name]().rewards(batch).tolist() == [0.0, 0.0]


def make(name: str, **fields: float) -> Objective:
    return Holder.model_validate({"objective": {"name": name, **fields}}).objective


def both_ways(objective: Objective) -> tuple[float, float]:
    straight = pair_batch(-40.0, -70.0, reference=(-42.0, -66.0), lengths=(12.0, 31.0), dtype=torch.float64)
    swapped = pair_batch(-70.0, -40.0, reference=(-66.0, -42.0), lengths=(31.0, 12.0), dtype=torch.float64)
    return objective.loss(straight, State()).item(), objective.loss(swapped, State()).item()


def test_dpo_is_log_two_where_policy_equals_reference() -> None:
    """DPO starts at log 2, whatever beta is."""
    for beta in (0.01, 0.1, 5.0):
        batch = batch_for("dpo", policy=(-40.0, -90.0), reference=(-40.0, -90.0), dtype=torch.float64)
        assert make("dpo", beta=beta).loss(batch, State()).item() == pytest.approx(math.log(2), rel=1e-12)


def test_swapping_the_sides_of_dpo_changes_the_loss_by_beta_times_the_margin() -> None:
    """loss(x) - loss(swapped x) = -beta h: the loss is antisymmetric up to the margin."""
    straight, swapped = both_ways(make("dpo", beta=0.1))

    assert straight - swapped == pytest.approx(-0.1 * (2.0 + 4.0), rel=1e-12)


def test_cdpo_is_the_smoothed_mixture_of_dpo_and_its_swap() -> None:
    """cDPO = (1-eps) DPO + eps DPO(swapped), and DPO itself at eps = 0."""
    straight, swapped = both_ways(make("dpo", beta=0.1))

    assert both_ways(make("cdpo", beta=0.1, eps=0.2))[0] == pytest.approx(0.8 * straight + 0.2 * swapped, rel=1e-12)
    assert both_ways(make("cdpo", beta=0.1, eps=0.0))[0] == pytest.approx(straight, rel=1e-12)


def test_ipo_is_zero_at_its_target_margin() -> None:
    """IPO's loss vanishes where the per-token margin is 1/(2 tau)."""
    batch = pair_batch(-8.0, -33.0, reference=(-38.0, -23.0), lengths=(10.0, 5.0), dtype=torch.float64)

    assert make("ipo_avg", tau=0.1).loss(batch, State()).item() == pytest.approx(0.0, abs=1e-20)


def test_simpo_without_margin_and_equal_lengths_is_reference_free_dpo() -> None:
    """SimPO(gamma=0, n tokens each) is DPO with a zero reference and beta / n."""
    lengths = (20.0, 20.0)
    simpo = pair_batch(-40.0, -70.0, reference=None, lengths=lengths, dtype=torch.float64)
    dpo = pair_batch(-40.0, -70.0, reference=(0.0, 0.0), lengths=lengths, dtype=torch.float64)

    expected = make("dpo", beta=0.1).loss(dpo, State())
    torch.testing.assert_close(make("simpo", beta=2.0, gamma=0.0).loss(simpo, State()), expected)


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"name": "dop"}, "objective.name", "did you mean 'dpo'"),
        ({"name": "zzzz"}, "objective.name", "known: cdpo, dpo, ipo_avg, simpo"),
        ({"name": "dpo", "bta": 0.1}, "objective.bta", "did you mean 'beta'"),
        ({"name": "dpo", "beta": 0}, "objective.beta", "greater than 0"),
        ({"name": "dpo", "beta": float("nan")}, "objective.beta", "finite"),
        ({"name": "dpo", "beta": float("inf")}, "objective.beta", "finite"),
        ({"name": "cdpo", "eps": 0.5}, "objective.eps", "less than 0.5"),
        ({"name": "simpo", "gamma": -1}, "objective.gamma", "greater than or equal to 0"),
        ({"name": ["dpo"]}, "objective", "names:"),
        ({"beta": 0.1}, "objective", "names:"),
        ("dpo", "objective", "names:"),
        (None, "objective", "names:"),
    ],
)
def test_a_bad_objective_is_refused_with_its_field_and_the_nearest_name(given: Any, field: str, words: str) -> None:
    """Nothing unknown or out of range is accepted, and the message says where and what was probably meant."""
    with pytest.raises(ValidationError) as refused:
        Holder.model_validate({"objective": given})

    (error,) = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert words in error["msg"]


def test_the_published_schema_lists_every_objective_by_name() -> None:
    """The API schema offers each part of the catalogue with its name as a constant."""
    schema = Holder.model_json_schema()["properties"]["objective"]

    assert [choice["properties"]["name"]["const"] for choice in schema["oneOf"]] == NAMES


def test_reading_the_catalogue_does_not_import_torch() -> None:
    """The web process can list objectives without paying for torch."""
    code = "import sys; from alignment.objectives import CATALOGUE; assert CATALOGUE; assert 'torch' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_batch_with_a_lonely_response_is_refused() -> None:
    """A pair view never matches a chosen response with another example's rejected one."""
    batch = Batch(torch.zeros(2), torch.ones(2), torch.tensor([0, 1]), torch.tensor([0, 1]), torch.zeros(2))

    with pytest.raises(UnpairedExample):
        batch.pairs()


def test_reading_ratios_without_a_reference_is_an_error() -> None:
    """A missing reference is never taken for zero."""
    batch = pair_batch(-1.0, -2.0, reference=None, lengths=(1.0, 1.0), dtype=torch.float32)

    with pytest.raises(MissingReference):
        make("dpo").loss(batch, State())


def test_lists_pad_each_example_to_the_longest_and_mask_the_padding() -> None:
    """A list view keeps every response once, in order, and marks what is padding."""
    logps = torch.tensor([-1.0, -2.0, -3.0, -4.0, -5.0])
    batch = Batch(logps, torch.ones(5), torch.tensor([1, 0, 1, 1, 0]), torch.full((5,), int(Role.CANDIDATE)))

    lists = batch.lists()

    assert lists.logps.tolist() == [[-2.0, -5.0, 0.0], [-1.0, -3.0, -4.0]]
    assert lists.mask.tolist() == [[True, True, False], [True, True, True]]
