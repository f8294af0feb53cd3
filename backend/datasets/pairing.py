"""Pairs made of a dataset of rankings, as a dataset of their own, by a rule that somebody stated."""

import uuid
from collections.abc import Iterator

from sqlalchemy.orm import Session

from alignment.formats import Item
from alignment.formats.canonical import BadRow
from alignment.formats.ranking import RULES, pairs_of
from backend.datasets import reading, service
from backend.datasets.models import Dataset, Kind
from backend.datasets.schemas import PairsIn, PairsOut
from backend.datasets.service import WrongKind
from backend.datasets.writer import Writer
from backend.errors import Invalid
from backend.projects.models import Project

MOST_PAIRS = 100_000  # made while somebody waits


class NoPairs(Invalid):
    title = "No pairs"


class TooManyPairs(Invalid):
    title = "Too many pairs"


def make(session: Session, project: Project, user_id: uuid.UUID, dataset: Dataset, body: PairsIn) -> PairsOut:
    """A new dataset of the pairs that the rankings give.  Raises WrongKind, NameTaken, NoPairs, TooManyPairs."""
    if dataset.kind is not Kind.ranked:
        raise WrongKind(
            f"“{dataset.name}” holds no rankings.", field="dataset_id", remedy="Choose a dataset of rankings."
        )
    said = f"Pairs of “{dataset.name}”. {RULES[body.rule]}"
    made = service.create(session, project, body.name, Kind.paired, description=said, created_by=user_id)
    left_out = {"one_rank": 0, "doubled": 0}
    added = Writer(session, made).add(_pairs(session, dataset, body, left_out))
    left_out["doubled"] = len(added.doubled) + len(added.conflicting)
    if not added.ids:
        raise NoPairs(f"No answer of “{dataset.name}” ranks above another.", field="rule")
    return PairsOut(dataset_id=made.id, items=len(added.ids), left_out={why: n for why, n in left_out.items() if n})


def _pairs(session: Session, dataset: Dataset, body: PairsIn, left_out: dict[str, int]) -> Iterator[Item]:
    count = 0
    for judged in reading.walk(session, dataset.id):
        try:
            found = list(pairs_of(judged.item, body.rule))
        except BadRow:
            found = []
        left_out["one_rank"] += not found
        count += len(found)
        if count > MOST_PAIRS:
            raise TooManyPairs(
                f"The rule gives more than {MOST_PAIRS:,} pairs.",
                field="rule",
                remedy="Choose a rule that gives fewer, or export the rankings as pairs and import that file.",
            )
        yield from found
