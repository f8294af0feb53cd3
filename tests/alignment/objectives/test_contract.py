"""What every objective of the catalogue keeps, unasked: finite at the extremes, right at the start, blind to order."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from alignment.objectives import CATALOGUE
from tests.alignment.objectives.cases import NAMES, PAIR_NAMES, batch_of, begun, evaluated, layout, make, reordered

EXTREMES = (0.0, 1e-6, -1e-6, 1e2, -1e2, 1e4, -1e4)
FAR = (-30.0, -1e4, -2e4)
"""Log-probabilities of the reference: the policy of a far one may be certain (0), and that of a near one is at most."""

UNMOVED: dict[str, str] = {
    "adpa": "it learns from the rejected side as the teacher's advantage says, and compares nothing",
    "apo_down": "its two terms push the chosen response by as much up as down",
    "dckd": "it learns the teacher on both sides, and compares nothing",
    "discopop": "its optima lie beside no preference, and between them it lowers the margin",
    "nll": "it takes no notice of rejected responses",
}
"""Objectives of pairs that do not push both sides apart where the policy equals the reference, and why."""


@pytest.mark.parametrize("start", FAR)
@pytest.mark.parametrize("name", NAMES)
def test_every_objective_is_finite_at_the_extremes(name: str, start: float) -> None:
    """Log-ratios up to 1e4, in single precision, give a finite loss and gradient, never NaN or infinity."""
    objective = make(name)
    ratios = [ratio for ratio in EXTREMES if start + ratio <= 0]
    rows = list(itertools.product(ratios, repeat=len(layout(objective.needs))))

    loss, gradient = evaluated(objective, batch_of(objective.needs, rows, start=start, dtype=torch.float32))

    assert loss.isfinite().all()
    assert gradient.isfinite().all()


def ends(name: str) -> Iterator[tuple[str, float]]:
    """The least and the greatest value that each number of an objective may have."""
    for field, schema in CATALOGUE[name].model_json_schema()["properties"].items():
        if schema.get("type") not in ("number", "integer"):
            continue
        lowest, highest = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        yield field, schema["minimum"] if lowest is None else math.nextafter(lowest, math.inf)
        yield field, schema["maximum"] if highest is None else math.nextafter(highest, -math.inf)


@pytest.mark.parametrize(("name", "field", "value"), [(name, *end) for name in NAMES for end in ends(name)])
def test_every_hyperparameter_may_have_any_value_of_its_range(name: str, field: str, value: float) -> None:
    """What the form accepts trains: at both ends of each range loss and gradient are finite in single precision."""
    objective = make(name, **{field: value})
    rows = list(itertools.product((0.0, 3.0, -8.0), repeat=len(layout(objective.needs))))

    loss, gradient = evaluated(objective, batch_of(objective.needs, rows, dtype=torch.float32))

    assert loss.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", [name for name in NAMES if not make(name).needs.asked])
def test_every_objective_of_wholes_says_whether_it_counts_their_tokens(name: str) -> None:
    """Length normalization, which shows its base responses of one token, can trust what an objective declares."""
    objective = make(name)
    width = len(layout(objective.needs))
    batch = batch_of(objective.needs, [[0.5, -1.0, 1.5, 2.0][:width], [-2.0, 1.0, 0.5, 3.0][:width]], lengths=(7, 3, 5))
    short = replace(batch, lengths=torch.ones_like(batch.lengths))

    losses = [objective.loss(one, begun(objective, one)) for one in (batch, short)]
    assert torch.equal(*losses) is not objective.needs.lengths


@pytest.mark.parametrize(
    ("name", "nll"),
    [("cpo", "sum"), ("cpo", "mean"), ("cpo", "batch"), ("rpo_average", "mean"), ("rpo_average", "batch")],
)
def test_a_likelihood_says_whether_it_counts_tokens(name: str, nll: str) -> None:
    """A sum over the chosen response does not; its mean does, and that over the batch couples it, too."""
    needs = make(name, nll=nll).needs

    assert (needs.lengths, needs.coupled) == (nll != "sum", nll == "batch")


@pytest.mark.parametrize("name", [name for name in PAIR_NAMES if name not in UNMOVED])
def test_every_objective_pushes_chosen_up_and_rejected_down_at_the_start(name: str) -> None:
    """Where the policy equals the reference, the gradient raises the chosen response and lowers the rejected one."""
    objective = make(name)

    _, gradient = evaluated(objective, batch_of(objective.needs, [(0.0, 0.0)]))

    chosen, rejected = gradient.tolist()
    assert chosen < 0 < rejected


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_treats_examples_independently_of_their_order(name: str) -> None:
    """Losses come in the order of the examples, however the responses lie in the batch."""
    objective = make(name)
    width = len(layout(objective.needs))
    ratios = [1.0, -2.0, 3.0, -3.0, 1.5, 0.5, -0.25, 2.5, -1.0, 0.75, -0.5, 2.0][: 3 * width]
    batch = batch_of(objective.needs, [ratios[at : at + width] for at in range(0, 3 * width, width)])
    order = torch.arange(3 * width).view(3, width).flip(0).T.flatten()
    shuffled = reordered(batch, order)

    loss = objective.loss(batch, begun(objective, batch))
    assert loss.shape == (() if objective.needs.coupled else (3,))
    torch.testing.assert_close(objective.loss(shuffled, begun(objective, shuffled)), loss)
    torch.testing.assert_close(objective.rewards(shuffled), objective.rewards(batch)[order])


@pytest.mark.parametrize("name", [name for name in NAMES if CATALOGUE[name].needs.reference != "none"])
def test_rewards_are_zero_where_policy_and_reference_agree(name: str) -> None:
    """An untrained policy earns exactly no implicit reward."""
    objective = make(name)
    batch = batch_of(objective.needs, [[0.0] * len(layout(objective.needs))] * 2, dtype=torch.float32)

    assert set(objective.rewards(batch).tolist()) == {0.0}
