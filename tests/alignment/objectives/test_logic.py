"""The symbolic form on a card is one whose weighted cases are what the loss compares: counted, not quoted."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from alignment.objectives import CATALOGUE, Batch, Role, State

Case = tuple[bool, ...]  # M(y_w), M(y_l), Ref(y_w), Ref(y_l)


class Statement(NamedTuple):
    """When it holds, which cases count at all, and which count for both sides."""

    holds: Callable[[Case], bool]
    counts: Callable[[Case], bool]
    both: Callable[[Case], bool] = lambda _: False


REFERENCE = Statement(
    lambda case: not (case[2] and case[1]) or (case[3] and case[0]),
    lambda case: (case[3] and case[0]) or (case[2] and case[1]),
    lambda case: case[3] and case[0] and case[2] and case[1],
)
PAIR = Statement(lambda case: not case[1] or case[0], lambda case: case[0] or case[1], lambda case: case[0] and case[1])
STATEMENTS = {
    r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)": REFERENCE,
    r"M(y_l)\;\Rightarrow\;M(y_w)": PAIR,
    r"M(y_l)\Rightarrow M(y_w),\quad M(y_w)\oplus M(y_l)": PAIR._replace(
        counts=lambda case: case[0] != case[1], both=lambda _: False
    ),
    r"M(y_w)\land\neg M(y_l)": Statement(lambda case: case[0] and not case[1], lambda _: True),
    r"M(y_w)": Statement(lambda case: case[0], lambda _: True),
}
SHOWN = {name: objective.logic for name, objective in CATALOGUE.items() if objective.logic}
PER_TOKEN = {"ipo_avg", "simpo", "orpo", "asft", "nll"}
PLAIN: dict[str, dict[str, Any]] = {  # without what stands beside the comparison
    "dpo": {"beta": 1.0},
    "rso_sigmoid_norm": {"gamma": 1.0},
    "fdpo_reverse_kl": {"beta": 1.0},
    "cpo": {"beta": 1.0, "alpha": 0.0},
    "simpo": {"beta": 1.0, "gamma": 0.0},
    "slic_hf": {"lam": 0.0},
}
BESIDE_TUNING = {"orpo", "asft"}  # the comparison is what a lambda of 1 adds to fine-tuning alone
LOGISTIC = {"dpo", "rso_sigmoid_norm", "fdpo_reverse_kl", "cpo", "simpo", "orpo", "asft", "nll"}
PROBABILITIES = ((0.31, 0.12, 0.2, 0.25), (0.05, 0.4, 0.33, 0.07), (0.6, 0.55, 0.5, 0.45))
LENGTHS = torch.tensor([3.0, 5.0], dtype=torch.float64)


def odds(statement: Statement, weights: tuple[float, ...]) -> tuple[float, float]:
    """The weights of the cases for and against the statement, among those that count."""
    found = [0.0, 0.0]
    for case in itertools.product((True, False), repeat=4):
        weight = 1.0
        for held, probability in zip(case, weights, strict=True):
            weight *= probability if held else 1 - probability
        if not statement.counts(case):
            continue
        for side, said in enumerate((True, False)):
            if statement.both(case) or statement.holds(case) == said:
                found[side] += weight
    return found[0], found[1]


def count(statement: Statement, weights: tuple[float, ...]) -> float:
    """Log-odds of the statement, counted as a pair of products of probabilities where both sides may hold."""
    holds, fails = odds(statement, weights)
    return float(torch.tensor(holds / fails, dtype=torch.float64).log())


def loss(name: str, weights: tuple[float, ...]) -> Tensor:
    """What the objective says of a pair with these probabilities, of which some are of a token on average."""
    scale = LENGTHS if name in PER_TOKEN else torch.ones(2, dtype=torch.float64)
    logps = torch.tensor(weights[:2], dtype=torch.float64).log() * scale
    reference = torch.tensor(weights[2:], dtype=torch.float64).log() * scale
    objective = CATALOGUE[name]
    batch = Batch(
        logps=logps,
        lengths=LENGTHS,
        example=torch.tensor([0, 0]),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)]),
        reference=reference if objective().needs.reference != "none" else None,
    )
    if name in BESIDE_TUNING:
        one, none = (objective.model_validate({"lam": weight}).loss(batch, State()) for weight in (1.0, 0.0))
        return one - none
    return objective.model_validate(PLAIN.get(name, {})).loss(batch, State())


@pytest.mark.parametrize("name", SHOWN)
def test_a_form_that_is_shown_is_one_that_is_counted(name: str) -> None:
    """No card shows a statement that is not held to the loss here."""
    assert SHOWN[name] in STATEMENTS


@pytest.mark.parametrize("name", sorted(LOGISTIC & {*SHOWN}))
@pytest.mark.parametrize("weights", PROBABILITIES)
def test_the_loss_is_minus_the_log_of_the_statements_share(name: str, weights: tuple[float, ...]) -> None:
    """-log(cases for / cases for and against) is the loss itself where nothing is scaled and nothing stands beside."""
    holds, fails = odds(STATEMENTS[SHOWN[name]], weights)
    expected = -torch.tensor([holds / (holds + fails)], dtype=torch.float64).log()
    torch.testing.assert_close(loss(name, weights), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted({*SHOWN} - LOGISTIC))
def test_the_loss_knows_the_pair_by_the_statements_odds_alone(name: str) -> None:
    """Other losses on the same statement: pairs of equal odds have equal losses, others have not."""
    statement = STATEMENTS[SHOWN[name]]
    first = (0.31, 0.12, 0.2, 0.25)
    free = statement is PAIR
    alike = (0.62, 0.24, 0.2, 0.25) if free else (0.31, 0.24, 0.2, 0.5)
    other = (0.31, 0.30, 0.2, 0.25)

    assert count(statement, first) == pytest.approx(count(statement, alike))
    assert count(statement, first) != pytest.approx(count(statement, other))
    torch.testing.assert_close(loss(name, first), loss(name, alike))
    assert not torch.allclose(loss(name, first), loss(name, other))
