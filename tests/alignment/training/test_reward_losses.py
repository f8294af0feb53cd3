"""The losses of reward models, held to independently computed values and to what they are equal to."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from alignment.objectives import Batch, Role, State
from alignment.training.head_measures import HeadMeasures
from alignment.training.kinds import LOSSES
from alignment.training.kinds.bradley_terry import BradleyTerry
from alignment.training.kinds.bradley_terry_margin import BradleyTerryMargin
from alignment.training.kinds.gpm_rm import GPM
from alignment.training.kinds.ranklist_rm import RankListRM
from alignment.training.kinds.scored import RewardLoss
from tests.alignment.objectives.golden import contents

DTYPE = torch.float64
drawn = settings(deadline=None, derandomize=True, database=None, max_examples=25)
MANY = st.lists(st.floats(-20, 20), min_size=4, max_size=4)


def pairs(said: Tensor, **facts: Tensor) -> Batch:
    """Chosen and rejected in turn."""
    count = len(said) // 2
    numbers, roles = torch.arange(count).repeat_interleave(2), torch.tensor([0, 1]).repeat(count)
    return Batch(said, torch.ones(len(said)), numbers, roles, facts=facts)


def lists(scores: Tensor, ranks: list[list[float]]) -> Batch:
    """One list for each row of ranks."""
    counts = torch.tensor(list(map(len, ranks)))
    numbers = torch.arange(len(ranks)).repeat_interleave(counts)
    flat = torch.tensor([rank for row in ranks for rank in row], dtype=scores.dtype)
    roles = torch.full((len(flat),), int(Role.CANDIDATE))
    return Batch(scores, torch.ones(len(flat)), numbers, roles, facts={"rank": flat})


def rows(said: Tensor) -> tuple[Tensor, Tensor]:
    """Two rows of what a head says, each by itself."""
    return said[:1], said[1:]


def evaluated(loss: RewardLoss, batch: Batch) -> tuple[Tensor, Tensor]:
    """The losses, and the gradient of their sum."""
    losses = loss.loss(batch, State())
    return losses.detach(), torch.autograd.grad(losses.sum(), batch.logps)[0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_embeddings_have_the_golden_values(dtype: torch.dtype) -> None:
    """Loss and gradient of the independently computed cases, whose embeddings are taken as they are."""
    relative, absolute = (1e-10, 1e-12) if dtype is torch.float64 else (1e-5, 1e-4)
    for case in contents()["objectives"]["gpm_rm"]["cases"]:
        said = torch.tensor([case["inputs"]["v_w"], case["inputs"]["v_l"]], dtype=dtype, requires_grad=True)
        loss, slopes = evaluated(GPM(dimensions=said.shape[1], normalize=False, **case["params"]), pairs(said))
        assert loss.item() == pytest.approx(case["loss"], rel=relative, abs=absolute)
        expected = torch.tensor([case["grad"]["v_w"], case["grad"]["v_l"]], dtype=dtype)
        torch.testing.assert_close(slopes, expected, rtol=relative, atol=absolute)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_rankings_have_the_golden_values(dtype: torch.dtype) -> None:
    """With implicit rewards as its scores it is the objective `ranklist`, in value and gradient."""
    relative, absolute = (1e-10, 1e-12) if dtype is torch.float64 else (1e-5, 1e-4)
    for case in contents()["objectives"]["ranklist"]["cases"]:
        told, beta = case["inputs"], case["params"]["beta"]
        ratios = torch.tensor(told["logp"], dtype=dtype) - torch.tensor(told["ref"], dtype=dtype)
        ranks = [1.0 + sum(other > label for other in told["label"]) for label in told["label"]]
        batch = lists((beta * ratios).requires_grad_(), [ranks])
        loss, slopes = evaluated(RankListRM(skip_weights=case["params"]["skip_weights"]), batch)
        assert loss.item() == pytest.approx(case["loss"], rel=relative, abs=absolute)
        expected = torch.tensor(case["grad"]["logp"], dtype=dtype) / beta
        torch.testing.assert_close(slopes, expected, rtol=relative, atol=absolute)


def test_a_worked_value() -> None:
    """Embeddings (0.6, 0.8) and (0.8, 0.6) at tau 0.1: the worse one is chosen, by 0.28 a quarter turn."""
    said = torch.tensor([[0.6, 0.8], [0.8, 0.6]], dtype=DTYPE)
    assert GPM(dimensions=2).loss(pairs(said), State()).item() == pytest.approx(2.859033, abs=1e-6)


@drawn
@given(st.lists(st.floats(-5, 5), min_size=12, max_size=12), st.booleans(), st.booleans())
def test_a_preference_is_the_opposite_of_its_reverse(values: list[float], normalize: bool, gate: bool) -> None:
    """s(a > b) = -s(b > a) and s(a > a) = 0 exactly, so the two probabilities make 1."""
    loss = GPM(dimensions=4, normalize=normalize, gate=gate)
    both = torch.tensor(values, dtype=DTYPE).view(2, 6)
    both[1, 4:] = both[0, 4:]  # the scales are of the prompt
    one, other = rows(both[:, : len(loss.labels)])

    assert torch.equal(loss.preference(one, other), -loss.preference(other, one))
    assert loss.preference(one, one).item() == 0
    assert abs(loss.preference(one, other).item()) <= (2.0 if gate else 1.0) + 1e-9 or not normalize


@drawn
@given(MANY)
def test_embeddings_of_a_score_and_one_are_bradley_terry(values: list[float]) -> None:
    """As they are, and at tau 1, they have its losses."""
    scores = torch.tensor(values, dtype=DTYPE)
    said = torch.stack([scores, torch.ones_like(scores)], dim=1)
    found = GPM(dimensions=2, tau=1.0, normalize=False).loss(pairs(said), State())
    torch.testing.assert_close(found, BradleyTerry().loss(pairs(scores), State()), rtol=1e-12, atol=1e-12)


def test_scales_of_a_prompt() -> None:
    """A gate that says nothing changes nothing; one that is sure of two dimensions counts them alone, k times."""
    said = torch.tensor([[1.0, 2, 3, 1], [2, 1, 1, 0]], dtype=DTYPE)
    plain, gated = (GPM(dimensions=4, normalize=False, gate=gate) for gate in (False, True))

    def with_gate(*gate: float) -> Tensor:
        whole = torch.cat([said, torch.tensor([gate, gate], dtype=DTYPE)], dim=1)
        return gated.preference(*rows(whole))

    assert torch.equal(with_gate(0.0, 0.0), plain.preference(*rows(said)))
    assert with_gate(0.0, 100.0).item() == pytest.approx(2 * (3 * 0 - 1 * 1))


@drawn
@given(st.floats(1e-3, 1e3))
def test_only_the_direction_of_an_embedding_of_unit_length_counts(factor: float) -> None:
    """Longer or shorter, the preference is the same."""
    said = torch.tensor([[1.0, 2, 3, 1], [2, -1, 1, 0]], dtype=DTYPE)
    first, second = (GPM().preference(*rows(each)) for each in (said, factor * said))
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-9)


@drawn
@given(MANY, st.floats(-10, 10))
def test_a_ranking_of_two_is_bradley_terry(values: list[float], added: float) -> None:
    """In value, and whatever is added to all scores of a list."""
    scores = torch.tensor(values, dtype=DTYPE)
    expected = BradleyTerry().loss(pairs(scores), State())
    for given_scores in (scores, scores + added):
        found = RankListRM().loss(lists(given_scores, [[1, 2], [1, 2]]), State())
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_ties_and_short_lists_add_nothing() -> None:
    """A list that is all one rank has no loss and no gradient, beside longer ones too."""
    batch = lists(torch.tensor([1.0, 5, -2, 3, 0], dtype=DTYPE).requires_grad_(), [[1, 1], [2, 1, 3]])
    losses, slopes = evaluated(RankListRM(skip_weights=[1.0, 0.5]), batch)
    assert losses[0] == 0
    assert losses[1].item() == pytest.approx(
        (math.log1p(math.exp(-5)) + math.log1p(math.exp(2))) / 2 + 0.5 * math.log1p(math.exp(-3))
    )
    assert slopes[:2].tolist() == [0, 0]


ENSEMBLES: list[tuple[RewardLoss, RewardLoss]] = [
    (BradleyTerry(heads=3, center=0.1), BradleyTerry(center=0.1)),
    (BradleyTerryMargin(heads=3), BradleyTerryMargin()),
    (RankListRM(heads=3, skip_weights=[1, 1]), RankListRM(skip_weights=[1, 1])),
]


@pytest.mark.parametrize(("together", "alone"), ENSEMBLES, ids=[one.name for one, _ in ENSEMBLES])
def test_each_head_has_a_loss_of_its_own(together: RewardLoss, alone: RewardLoss) -> None:
    """The loss of an ensemble is the mean of those of its heads by themselves, and so is the score."""
    said = torch.randn(6, 3, dtype=DTYPE, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def batch(scores: Tensor) -> Batch:
        if alone.name == "ranklist_rm":
            return lists(scores, [[2, 1, 3], [1, 1, 2]])
        return pairs(scores, margin=torch.full((6,), 0.3, dtype=DTYPE))

    heads = [alone.loss(batch(said[:, head]), State()) for head in range(3)]
    torch.testing.assert_close(together.loss(batch(said), State()), torch.stack(heads).mean(0))
    assert torch.equal(together.rewards(batch(said)), said.mean(1))
    given_rows = HeadMeasures(together).rows(together, batch(said), torch.zeros(len(heads[0])), None, None)  # type: ignore[arg-type]
    told = HeadMeasures(together).named(HeadMeasures(together).summed(given_rows).tolist())
    for place, losses in enumerate(heads):
        assert told[f"head_{place + 1}/loss"] == pytest.approx(losses.mean().item(), rel=1e-6)


def test_heads_that_agree_do_not_disagree() -> None:
    """The disagreement is the standard deviation of the heads' margins: nothing where they are alike."""
    loss = BradleyTerry(heads=2)
    told = HeadMeasures(loss)
    found = []
    for said in ([[2.0, 2], [1, 1]], [[2.0, 5], [1, 1]]):
        given_rows = told.rows(loss, pairs(torch.tensor(said)), torch.zeros(1), None, None)  # type: ignore[arg-type]
        found.append(told.named(told.summed(given_rows).tolist()))
    assert [one["disagreement"] for one in found] == [0.0, 1.5]
    assert found[1]["margin"] == 2.5
    assert (found[1]["min_reward"], found[1]["max_reward"], found[1]["mean_reward"]) == (1.0, 3.5, 2.25)


WILD: dict[str, dict[str, Any]] = {
    "bradley_terry": {"heads": 2},
    "ranklist_rm": {"heads": 2},
    "gpm_rm": {"dimensions": 2},
    "gpm_rm as it is": {"dimensions": 2, "normalize": False},
}


@pytest.mark.parametrize("name", WILD)
@pytest.mark.parametrize("size", [0.0, 1e-8, 1e4])
def test_extremes_are_finite(name: str, size: float) -> None:
    """Losses and gradients are numbers where the head says nothing, and where it says ten thousand, in float32."""
    loss = LOSSES[name.split()[0]](**WILD[name])
    assert isinstance(loss, RewardLoss)
    said = (size * torch.tensor([[1.0, -1], [-1, 1], [1, 1], [-1, 0]])).requires_grad_()
    losses, slopes = evaluated(loss, lists(said, [[1, 2], [2, 1]]) if name == "ranklist_rm" else pairs(said))
    assert bool(losses.isfinite().all())
    assert bool(slopes.isfinite().all())
    if size == 0:
        assert losses.tolist() == pytest.approx([math.log(2)] * 2)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("gpm_rm", {"dimensions": 3}, "multiple of 2"),
    ("gpm_rm", {"dimensions": 0}, "greater than"),
    ("gpm_rm", {"dimensions": 66}, "less than"),
    ("gpm_rm", {"tau": 0}, "greater than 0"),
    ("gpm_rm", {"heads": 2}, "unknown key"),
    ("bradley_terry", {"heads": 0}, "greater than"),
    ("bradley_terry", {"heads": 33}, "less than"),
    ("ranklist_rm", {"skip_weights": []}, "at least 1"),
    ("ranklist_rm", {"skip_weights": [-1]}, "greater than"),
    ("ranklist_rm", {"beta": 1}, "unknown key"),
]


@pytest.mark.parametrize(
    ("name", "fields", "words"), REFUSED, ids=[f"{one[0]}-{place}" for place, one in enumerate(REFUSED)]
)
def test_what_makes_no_sense_is_refused(name: str, fields: dict[str, Any], words: str) -> None:
    """An odd embedding, no heads, and options of other losses, each with the reason."""
    with pytest.raises(ValidationError, match=words):
        LOSSES[name].model_validate({"name": name, **fields})
