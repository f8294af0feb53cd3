"""The theory card of every objective: what the paper used lies within the bounds, and stated equalities hold."""

import re
from pathlib import Path

import pytest
import torch

from alignment.objectives import CATALOGUE, Batch, Needs, Objective, Relative, Role
from alignment.objectives.facts import FACTS, find
from alignment.objectives.objective import PAIR
from alignment.training.kinds import KINDS
from tests.alignment.objectives.cases import batch_of, begun, layout

NAMES = list(CATALOGUE)
LOSSES_OF_ALL = [loss for kind in KINDS.values() for loss in kind.losses.values()]
EQUATIONS = [(name, one) for name in NAMES for one in CATALOGUE[name].relatives if one.at is not None]


def pairs(*, reference: bool) -> Batch:
    """Four pairs of unequal lengths, on both sides of no preference."""
    logps = torch.tensor([-40.0, -55, -31, -30, -80, -20, -12, -64], dtype=torch.float64)
    measured = torch.tensor([-44.0, -51, -30, -30, -70, -26, -12.5, -40], dtype=torch.float64)
    return Batch(
        logps=logps,
        lengths=torch.tensor([12.0, 31, 9, 9, 40, 7, 5, 33], dtype=torch.float64),
        example=torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)] * 4),
        reference=measured if reference else None,
        facts={name: torch.tensor(known.usual, dtype=torch.float64).repeat(4) for name, known in FACTS.items()}
        | {"aspect:helpfulness": torch.tensor([0.4, 0.1] * 4, dtype=torch.float64)},
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_the_paper_used_can_be_chosen(name: str) -> None:
    """Ranges are of hyperparameters that exist, in order, and both ends are accepted."""
    objective = CATALOGUE[name]

    for field, published in objective.ranges.items():
        assert published.low <= published.high
        for value in (published.low, published.high):
            chosen = objective.model_validate({field: value})
            assert getattr(chosen, field) == value


@pytest.mark.parametrize("name", NAMES)
def test_cards_are_sentences_about_objectives_that_exist(name: str) -> None:
    """Relatives are others of the catalogue; what is written of an objective ends as a sentence does."""
    objective = CATALOGUE[name]

    assert {one.name for one in objective.relatives} <= set(CATALOGUE) - {name}
    for words in (objective.fixes, objective.costs, *(one.words for one in objective.relatives)):
        assert words == words.strip()
        assert not words or words.endswith(".")
    assert bool(objective.fixes) == bool(objective.costs)


@pytest.mark.parametrize(("name", "relative"), EQUATIONS, ids=[f"{name}-{one.name}" for name, one in EQUATIONS])
def test_a_stated_equality_holds(name: str, relative: Relative) -> None:
    """“Equals X at …” is true: with those hyperparameters both losses are the same on every pair."""
    assert relative.at is not None
    ours = CATALOGUE[name].model_validate(dict(relative.at))
    other = CATALOGUE[relative.name]
    shared = {field: getattr(ours, field) for field in set(type(ours).model_fields) & set(other.model_fields)}
    theirs = other.model_validate({**shared, **relative.theirs})

    batch, other_batch = fed(ours.needs, theirs.needs)
    expected = theirs.loss(other_batch, begun(theirs, other_batch))
    found = ours.loss(batch, begun(ours, batch))
    torch.testing.assert_close(found, expected.mean() if ours.needs.coupled else expected)


def fed(*needs: Needs) -> list[Batch]:
    """For each objective the same four pairs, with what else it asks for."""
    if all(one.roles == PAIR and not one.asked and all(map(find, one.facts)) for one in needs):
        return [pairs(reference=one.reference != "none") for one in needs]
    ratios = [(4.0, -4.0), (-1.0, 0.0), (-10.0, 6.0), (0.5, -24.0)]
    return [batch_of(one, [(*pair, *[1.5] * (len(layout(one)) - 2)) for pair in ratios]) for one in needs]


@pytest.mark.parametrize("objective", LOSSES_OF_ALL, ids=[one.name for one in LOSSES_OF_ALL])
def test_papers_are_named_in_one_way(objective: type[Objective]) -> None:
    """An equation is the paper's own number or nothing; a paper has an arXiv id or an address; and the same paper has
    the same authors on every card."""
    paper = objective.paper
    assert re.fullmatch(r"(\d+(\.\d+)?)?", paper.equation)
    assert bool(re.fullmatch(r"\d{4}\.\d{4,5}", paper.arxiv)) != bool(paper.url)
    alike = [one.paper for one in LOSSES_OF_ALL if (one.paper.arxiv, one.paper.url) == (paper.arxiv, paper.url)]
    assert {(one.title, one.authors, one.year) for one in alike} == {(paper.title, paper.authors, paper.year)}


def test_every_family_has_its_line_in_the_guide() -> None:
    """docs/objectives.md tells of each family what it learns from."""
    guide = (Path(__file__).parents[3] / "docs" / "objectives.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| ([^|]+) \|", guide, re.MULTILINE))
    assert {one.family for one in CATALOGUE.values()} <= told
