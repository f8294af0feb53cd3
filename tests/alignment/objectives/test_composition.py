"""Objectives made of others: what they need, what they equal, how they are written, and what is refused."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.objectives import CATALOGUE, Batch, Needs, Role, State, TokenValue
from alignment.objectives.objective import PAIR, log_sigmoid
from tests.alignment.objectives.cases import make

Numbers = tuple[list[float], list[float], list[float], list[int]]


@st.composite
def pairs(draw: st.DrawFn) -> Batch:
    """One to five pairs of any log-probabilities and lengths, with facts."""
    count = draw(st.integers(1, 5))

    def numbers(low: float, high: float, size: int) -> torch.Tensor:
        return torch.tensor(draw(st.lists(st.floats(low, high), min_size=size, max_size=size)), dtype=torch.float64)

    whole = st.lists(st.integers(1, 60), min_size=2 * count, max_size=2 * count)
    facts = {"weight": numbers(0, 5, count), "soft_label": numbers(0, 1, count), "margin": numbers(-3, 3, count)}
    return Batch(
        logps=numbers(-200, 0, 2 * count),
        lengths=torch.tensor(draw(whole), dtype=torch.float64),
        example=torch.arange(count).repeat_interleave(2),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)]).repeat(count),
        reference=numbers(-200, 0, 2 * count),
        facts={name: values.repeat_interleave(2) for name, values in facts.items()},
    )


def loss(batch: Batch, name: str, **fields: Any) -> torch.Tensor:
    return make(name, **fields).loss(batch, State())


def of(batch: Batch, fact: str) -> torch.Tensor:
    return batch.pairs().chosen.facts[fact]


DPO: dict[str, Any] = {"name": "dpo", "beta": 0.1}


@settings(max_examples=40, deadline=None)
@given(pairs(), st.floats(0.001, 10))
def test_a_sum_is_dpo_with_a_share_of_likelihood(batch: Batch, weight: float) -> None:
    """DPO + weight * NLL is what the papers call RPO; weights count as they are."""
    terms: list[dict[str, Any]] = [
        {"objective": DPO},
        {"weight": weight, "objective": {"name": "nll", "per": "response"}},
    ]

    expected = loss(batch, **DPO) - weight * batch.pairs().chosen.logps
    torch.testing.assert_close(loss(batch, "sum", terms=terms), expected)
    terms[1]["objective"] = {"name": "nll"}
    torch.testing.assert_close(
        loss(batch, "sum", terms=terms), loss(batch, **DPO) - weight * batch.pairs().chosen.averages
    )


@settings(max_examples=40, deadline=None)
@given(pairs(), st.floats(0, 0.49))
def test_smoothed_dpo_is_cdpo(batch: Batch, eps: float) -> None:
    """Label smoothing of DPO is cDPO, and the base itself at epsilon 0."""
    torch.testing.assert_close(loss(batch, "smoothed", eps=eps, base=DPO), loss(batch, "cdpo", beta=0.1, eps=eps))
    simpo: dict[str, Any] = {"name": "simpo", "gamma": 0.7}
    torch.testing.assert_close(loss(batch, "smoothed", eps=0, base=simpo), loss(batch, **simpo))


@settings(max_examples=40, deadline=None)
@given(pairs())
def test_soft_labels_weigh_both_orders(batch: Batch) -> None:
    """With DPO as the base it is the cross-entropy between the soft label and the margin's probability."""
    q, z = of(batch, "soft_label"), 0.1 * batch.pairs().margin

    expected = -q * log_sigmoid(z) - (1 - q) * log_sigmoid(-z)
    torch.testing.assert_close(loss(batch, "soft_labeled", base=DPO), expected)
    sure = replace(batch, facts={"soft_label": torch.ones_like(batch.logps)})
    torch.testing.assert_close(loss(sure, "soft_labeled", base=DPO), loss(batch, **DPO))


@settings(max_examples=40, deadline=None)
@given(pairs())
def test_weights_multiply_the_losses_of_their_examples(batch: Batch) -> None:
    """Each example's loss counts as often as its weight says, whatever the order of responses."""
    order = torch.arange(len(batch.logps)).flip(0)
    turned = Batch(
        batch.logps[order],
        batch.lengths[order],
        batch.example[order],
        batch.role[order],
        None if batch.reference is None else batch.reference[order],
        {name: values[order] for name, values in batch.facts.items()},
    )
    expected = of(batch, "weight") * loss(batch, "ipo_avg")

    torch.testing.assert_close(loss(batch, "weighted", base={"name": "ipo_avg"}), expected)
    torch.testing.assert_close(loss(turned, "weighted", base={"name": "ipo_avg"}), expected)


@settings(max_examples=40, deadline=None)
@given(pairs())
def test_length_normalization_divides_by_tokens(batch: Batch) -> None:
    """DPO by token compares averages."""
    both = batch.pairs()
    expected = -log_sigmoid(2 * (both.chosen.average_ratios - both.rejected.average_ratios))

    torch.testing.assert_close(loss(batch, "length_normalized", base={"name": "dpo", "beta": 2.0}), expected)


@settings(max_examples=40, deadline=None)
@given(pairs(), st.floats(0.01, 2), st.floats(0, 20))
def test_an_offset_asks_for_that_much_more(batch: Batch, beta: float, scale: float) -> None:
    """The base's margin must exceed the constant and the data's margin; SimPO's gamma is such an offset."""
    base = {"name": "dpo", "beta": beta}
    expected = -log_sigmoid(beta * (batch.pairs().margin - 1.5 - scale * of(batch, "margin")))
    torch.testing.assert_close(loss(batch, "offset", constant=1.5, scale=scale, base=base), expected)

    inner = {"name": "offset", "constant": 0.25, "base": {"name": "cpo", "beta": 2, "alpha": 0, "nll": "sum"}}
    whole = loss(batch, "length_normalized", base=inner)
    torch.testing.assert_close(whole, loss(batch, "simpo", beta=2, gamma=0.5))


PRESETS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("cdpo", {"beta": 0.3, "eps": 0.2}, "smoothed", {"eps": 0.2, "base": {"name": "dpo", "beta": 0.3}}),
    ("ipo_avg", {"tau": 0.2}, "length_normalized", {"base": {"name": "ipo_sum", "tau": 0.2}}),
    ("ln_dpo", {"beta": 2.0}, "length_normalized", {"base": {"name": "dpo", "beta": 2.0}}),
    ("odpo_offset", {"beta": 0.5}, "offset", {"constant": 0.0, "scale": 2.0, "base": {"name": "dpo", "beta": 0.5}}),
    (
        "rpo_average",
        {"beta": 0.5, "eta": 0.2},
        "sum",
        {"terms": [{"objective": {"name": "dpo", "beta": 0.5}}, {"weight": 0.2, "objective": {"name": "nll"}}]},
    ),
]


@pytest.mark.parametrize(("name", "own", "made", "parts"), PRESETS, ids=[one[0] for one in PRESETS])
@settings(max_examples=20, deadline=None)
@given(batch=pairs())
def test_papers_that_are_compositions_equal_their_parts(
    batch: Batch, name: str, own: dict[str, Any], made: str, parts: dict[str, Any]
) -> None:
    """What a paper calls by one name, and what its parts make together, are the same loss on every pair."""
    torch.testing.assert_close(loss(batch, name, **own), loss(batch, made, **parts))


def beside(batch: Batch, *roles: Role) -> Batch:
    """The batch, each example with further responses, which were formed: no fact of theirs is known."""
    whole = [int(role) for role in roles]
    count, width = int(batch.example.max()) + 1, len(whole)
    more = torch.arange(count * width, dtype=batch.logps.dtype)

    def joined(given: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        return torch.cat([given.view(count, -1), new.to(given.dtype).view(count, width)], dim=1).flatten()

    return Batch(
        logps=joined(batch.logps, -9 - more).requires_grad_(),
        lengths=joined(batch.lengths, 4 + more),
        example=joined(batch.example, torch.arange(count).repeat_interleave(width)),
        role=joined(batch.role, torch.tensor(whole * count)),
        reference=None if batch.reference is None else joined(batch.reference, -8 - 2 * more),
        facts={name: joined(values, torch.full_like(more, math.nan)) for name, values in batch.facts.items()},
    )


def thumbs() -> Batch:
    """A wanted and an unwanted answer, with weights, each with the answer of another prompt."""
    facts = {"weight": torch.tensor([0.5, 3.0], dtype=torch.float64)}
    logps = torch.tensor([-4.0, -9.0], dtype=torch.float64)
    role = torch.tensor([int(Role.DESIRABLE), int(Role.UNDESIRABLE)])
    return beside(Batch(logps, -logps, torch.arange(2), role, logps + 1, facts), Role.MISMATCHED)


def two_pairs() -> Batch:
    """Two pairs with weights and margins."""
    logps = torch.tensor([-4.0, -9.0, -3.0, -2.0], dtype=torch.float64)
    facts = {"weight": torch.tensor([0.5, 0.5, 3.0, 3.0]), "margin": torch.tensor([0.5, 0.5, 2.0, 2.0])}
    facts = {name: values.double() for name, values in facts.items()}
    return Batch(logps, -logps, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), logps.flip(0), facts)


RATIONALE: dict[str, Any] = {"name": "rationale_dpo", "gamma": 0.01}
EMPTY = (Role.EMPTY_CHOSEN, Role.EMPTY_REJECTED)
FORMED: list[tuple[str, dict[str, Any], Batch]] = [
    ("a weighted rationale", {"name": "weighted", "base": RATIONALE}, beside(two_pairs(), Role.RATIONALE)),
    (
        "an offset of traces",
        {"name": "offset", "scale": 1, "base": {"name": "bvpo", "beta": 0.1}},
        beside(two_pairs(), *EMPTY),
    ),
    (
        "a weighted term",
        {
            "name": "sum",
            "terms": [{"objective": {"name": "weighted", "base": DPO}}, {"weight": 2, "objective": RATIONALE}],
        },
        beside(two_pairs(), Role.RATIONALE),
    ),
    ("weighted traces", {"name": "weighted", "base": {"name": "bvpo"}}, beside(two_pairs(), *EMPTY)),
    (
        "weighted thumbs",
        {
            "name": "sum",
            "terms": [{"objective": {"name": "kto"}}, {"objective": {"name": "weighted", "base": {"name": "bco"}}}],
        },
        thumbs(),
    ),
]
BY_HAND: dict[str, Callable[[Batch], torch.Tensor]] = {
    "a weighted rationale": lambda batch: of(batch, "weight") * loss(batch, **RATIONALE),
    "an offset of traces": lambda batch: (
        -log_sigmoid(0.1 * (batch.pairs().margin - of(batch, "margin"))) / 2
        - log_sigmoid(0.1 * batch.paired(*EMPTY).margin) / 2
    ),
    "a weighted term": lambda batch: of(batch, "weight") * loss(batch, **DPO) + 2 * loss(batch, **RATIONALE),
    "weighted traces": lambda batch: of(batch, "weight") * loss(batch, "bvpo"),
    "weighted thumbs": lambda batch: loss(batch, "kto") + (batch.facts["weight"][::2] * loss(batch, "bco")).mean(),
}


@pytest.mark.parametrize(("name", "written", "batch"), FORMED, ids=[one[0] for one in FORMED])
def test_responses_that_were_formed_have_no_facts_and_change_none(
    name: str, written: dict[str, Any], batch: Batch
) -> None:
    """Weights and margins are those of the data's own responses, whatever joins them; loss and gradient are numbers."""
    found = loss(batch, **written)
    (gradient,) = torch.autograd.grad(found.sum(), batch.logps)

    torch.testing.assert_close(found, BY_HAND[name](batch))
    assert gradient.isfinite().all()


def test_the_threshold_of_bco_pair_is_that_of_pairs() -> None:
    """BCO within a sum takes no rationale for an answer: the mean is that of chosen and rejected responses."""
    objective = make("bco_pair", beta=0.5)
    pairs = two_pairs()

    alone, formed = (objective.move(batch, objective.begun()) for batch in (pairs, beside(pairs, Role.RATIONALE)))

    assert formed["count"] == alone["count"] == 4
    torch.testing.assert_close(formed["sum"], alone["sum"])


def test_rewards_are_the_bases_own() -> None:
    """A sum tells the rewards of its first term; an offset does not change what a response earns."""
    batch = Batch(
        logps=torch.tensor([-4.0, -9.0]),
        lengths=torch.tensor([2.0, 3.0]),
        example=torch.tensor([0, 0]),
        role=torch.tensor([0, 1]),
        reference=torch.tensor([-5.0, -6.0]),
    )
    expected = torch.tensor([0.1, -0.3])

    for objective in (
        make("sum", terms=[{"objective": DPO}, {"objective": {"name": "nll"}}]),
        make("smoothed", base=DPO),
        make("offset", constant=3, base=DPO),
    ):
        torch.testing.assert_close(objective.rewards(batch), expected)
    by_token = make("length_normalized", base=DPO).rewards(batch)
    torch.testing.assert_close(by_token, expected / torch.tensor([2.0, 3.0]))


def test_the_needs_of_a_composition_are_those_of_its_parts() -> None:
    """An instance needs what its parts do, at any depth, and what it needs by itself; its class only the latter."""
    terms = [
        {"objective": {"name": "simpo"}},
        {"objective": {"name": "offset", "scale": 1, "base": DPO}},
        {"objective": {"name": "beta_dpo"}},
    ]
    objective = make("sum", terms=terms)

    assert objective.needs == Needs(
        PAIR, reference="sequence", facts=frozenset({"margin"}), coupled=True, state=True, least=2, lengths=True
    )
    assert CATALOGUE["sum"].needs == Needs(frozenset())
    assert make("offset", base=DPO).needs.facts == frozenset()
    assert make("offset", scale=2, base=DPO).needs.facts == {"margin"}
    assert make("lcpo", annotators="each").needs.facts == {"annotator"}


def test_the_richer_of_two_references_serves_both() -> None:
    """Whoever wants sums finds them where somebody else wants tokens."""
    one, other = Needs(PAIR, reference="sequence"), Needs(PAIR, reference="none", tokens=frozenset({TokenValue.LOGPS}))

    assert one.joined(other) == other.joined(one) == Needs(PAIR, "sequence", tokens=frozenset({TokenValue.LOGPS}))
    assert one.joined(Needs(PAIR, reference="distribution")).reference == "distribution"


def test_a_term_that_couples_the_batch_makes_the_sum_one_number() -> None:
    """A coupled term stays what it is, and the others join as their means."""
    batch = Batch(
        logps=torch.tensor([-4.0, -9.0, -3.0, -2.0]),
        lengths=torch.tensor([2.0, 3.0, 5.0, 5.0]),
        example=torch.tensor([0, 0, 1, 1]),
        role=torch.tensor([0, 1, 0, 1]),
        reference=torch.tensor([-5.0, -6.0, -5.0, -6.0]),
    )
    terms = [{"weight": 2, "objective": DPO}, {"weight": 3, "objective": {"name": "dr_dpo"}}]

    expected = 2 * loss(batch, **DPO).mean() + 3 * loss(batch, "dr_dpo")
    torch.testing.assert_close(loss(batch, "sum", terms=terms), expected)
