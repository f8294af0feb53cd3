"""Where the policy equals the reference: every objective says what its loss is there, and it is."""

import math
import re

import pytest

from alignment.objectives import CATALOGUE
from tests.alignment.objectives.cases import NAMES, batch_of, begun, layout, make

START, CHOSEN_TOKENS, REJECTED_TOKENS = -60.0, 12, 31
LOG2 = math.log(2)
SAID = re.compile(r"policy (and reference agree|equals (the )?(reference|anchor)|== reference)")
COMPARED = [name for name in NAMES if CATALOGUE[name].usual_needs().reference != "none"]


def log_softmax(*values: float) -> list[float]:
    total = math.log(sum(map(math.exp, values)))
    return [value - total for value in values]


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def madpo_weight(gap: float, c_max: float, c_min: float, tau: float) -> float:
    factor = c_min + (c_max - c_min) / (1 + (c_max - 1) / (1 - c_min) * math.exp(gap - tau))
    return (1 + math.exp(-gap)) / (1 + math.exp(-factor * gap))


SCORES = log_softmax(6.0, 4.0, 2.0)  # 3, 2 and 1 at the temperature 0.5
DEGREES = log_softmax(1.0, 0.2, -0.3, 0.0)[0] + log_softmax(-0.5, 0.1, 0.4, 0.9)[3]
GAIN = {(first, second): abs(2.0 ** (4 - first) - 2.0 ** (4 - second)) for first, second in ((1, 2), (1, 3), (2, 3))}
LAMBDA = LOG2 * sum(gain * (1 / math.log(1 + a) - 1 / math.log(1 + b)) for (a, b), gain in GAIN.items())

STATED = {
    "adpo_list_ce": math.log(3),
    "adpo_list_kl": math.log(3) + sum(share * math.exp(share) for share in SCORES),
    "apo_down": 1.0,
    "apo_zero": 1.0,
    "bco": 2 * LOG2,  # of the two answers in this batch's one example
    "bco_pair": 2 * LOG2,
    "discopop": (LOG2 + 1) / 2,
    "egpo": 25.0,
    "exo_pair": -LOG2 - (math.log(1 - 1e-3) + math.log(1e-3)) / 2,
    "exo_rw": -math.log(3) - sum(SCORES) / 3,
    "f_sft": 0.0,
    "gpo_score": (900.0**2 + 400.0**2) / 2,
    "infonca": math.log(3),
    "ipo_avg": 25.0,
    "ipo_sum": 25.0,
    "kto": 0.5,
    "lipo_lambda": LAMBDA,
    "madpo": LOG2 * madpo_weight(2.0, 2.0, 0.5, 6.907),
    "modpo": softplus(0.3),
    "nca_list": 2 * LOG2,
    "nca_pair": 2 * LOG2,
    "npo": 20 * LOG2,
    "npo_grad_diff": 20 * LOG2 - START / REJECTED_TOKENS,  # an answer to forget, and one to retain
    "odpo_log": math.log(3),
    "odpo_offset": softplus(0.7),
    "online_ipo": 25.0,
    "pairwise_logistic_all": 3 * LOG2,
    "pl_dpo": math.log(6),
    "r_dpo": softplus(0.01 * (REJECTED_TOKENS - CHOSEN_TOKENS)),
    "rationale_dpo": LOG2 - 0.001 * START,
    "rpo_average": LOG2 - 0.2 * START / CHOSEN_TOKENS,
    "rpo_cumulative": LOG2 - 0.005 * 0.01 * START,
    "rso_hinge_norm": 1.0,
    "spo_degree": LOG2 - 0.1 * DEGREES,
    "sppo_hard": 250_000.0,
    "sppo_soft": (300.0**2 + 200.0**2) / 2,
    "sum": LOG2 - START / CHOSEN_TOKENS,
    "tpo_tree_lambda": LAMBDA,
    "wpo": LOG2 * math.exp(START / CHOSEN_TOKENS + 2 + START / REJECTED_TOKENS + 2),
    "xpo": LOG2 + 1e-5 * START,
}
"""What each comes to with its defaults for responses of -60 nats, 12 and 31 tokens long, and the usual facts; log 2, as
for everything that is made of DPO, where nothing is written here."""


@pytest.mark.parametrize("name", COMPARED)
def test_the_loss_where_policy_equals_reference_is_as_stated(name: str) -> None:
    """Every docstring says what holds there, and the loss with the defaults is that number."""
    objective = make(name)
    batch = batch_of(objective.needs, [[0.0] * len(layout(objective.needs))], start=START)

    loss = objective.loss(batch, begun(objective, batch)).mean().item()

    assert SAID.search(" ".join((CATALOGUE[name].__doc__ or "").split()))
    assert loss == pytest.approx(STATED.get(name, LOG2), rel=1e-12, abs=1e-12)


def test_no_value_is_stated_of_what_is_not_there() -> None:
    """A misspelt or removed objective does not keep its line."""
    assert set(STATED) <= set(COMPARED)
