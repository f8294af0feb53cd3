"""How many examples a run will train on, and what they are to its objective, before anything is frozen."""

from collections import Counter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, String, case, cast, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from alignment.formats import snapshot
from alignment.formats.preference import LEVELS, ORDERS, Policy
from alignment.objectives import Role, feeding
from backend import storage
from backend.datasets import judgements
from backend.datasets.models import Dataset, Item, Kind, Snapshot
from backend.labels.models import Label
from backend.runs.schemas import RunIn


class Examples(NamedTuple):
    """Examples of two splits that a run takes, and the roles that the training ones fill.

    `exact` is false where something may be left out.
    """

    train: int
    validation: int
    exact: bool
    roles: frozenset[Role]


def of_snapshot(found: Snapshot, body: RunIn) -> Examples:
    """What a run takes of a frozen snapshot.  Raises StorageTrouble, FileRefused."""
    splits = _aimed(found) if body.objective.needs.goals else found.counts
    return _taken(found.kind, splits, found.counts.get("desirable", {}), body, exact=True)


def _aimed(found: Snapshot) -> dict[str, int]:
    """Pairs of each split whose chosen response scores higher, see `alignment.training.goals`."""
    with storage.using() as use:
        facts = ((one.split, one.facts.get("scores")) for one in snapshot.read_facts(use(found.path), ("scores",)))
        return Counter(split for split, scores in facts if scores and scores[0] > scores[1])


def of_dataset(session: Session, dataset: Dataset, body: RunIn) -> Examples:
    """About what it would take of a dataset: of pairs those with a newest label that prefers one side."""
    if dataset.kind is Kind.paired:
        return _taken(dataset.kind, _decided(session, dataset, body.policy), {}, body, exact=False)
    wanted: dict[str, int] = {}
    if dataset.kind is Kind.unpaired:
        query = (
            select(Item.split, func.count())
            .where(Item.dataset_id == dataset.id, Item.facts["desirable"].as_boolean())
            .group_by(Item.split)
        )
        wanted = dict(session.execute(query).all())
    return _taken(dataset.kind, dataset.splits, wanted, body, exact=False)


def _taken(kind: Kind, splits: dict[str, Any], wanted: dict[str, int], body: RunIn, *, exact: bool) -> Examples:
    """What an objective takes of so many items in each split, of which so many are wanted answers."""
    times = 2 if body.objective.needs.goals else 1  # each pair is seen twice, see `alignment.training.goals`
    roles = feeding.fed(body.objective.needs.roles, kind.value, apart=body.pairs == "apart")
    found = set(roles)
    counts = {split: times * splits.get(split, 0) for split in ("train", "validation")}
    if kind is Kind.paired and body.pairs == "apart":
        counts = {split: count * len(roles) for split, count in counts.items()}
    elif kind is Kind.unpaired:
        good, bad = feeding.wanted(roles), Role.UNDESIRABLE
        each = {
            split: {good: wanted.get(split, 0), bad: count - wanted.get(split, 0)} for split, count in counts.items()
        }
        counts = {split: sum(parts[role] for role in parts if role in roles) for split, parts in each.items()}
        found = {role for role in roles if each["train"][role]}
    return Examples(counts["train"], counts["validation"], exact, frozenset(found if counts["train"] else ()))


def _decided(session: Session, dataset: Dataset, policy: Policy) -> dict[str, int]:
    """What freezing takes of the pairs in each split, see `alignment.formats.preference.decisions`; of those whose
    media leave them out, too."""
    who, strength = judgements.annotator(), Label.value["strength"].as_float()
    newest = (
        select(Item.split, Label.item_id, Label.value, _level(policy).label("level"), strength.label("strength"))
        .join(Item, Item.id == Label.item_id)
        .where(Item.dataset_id == dataset.id)
        .ext(distinct_on(Label.item_id, who))
        .order_by(Label.item_id, who, Label.version.desc(), Label.id.desc())
    ).subquery()
    value = newest.c.value
    judged = (
        select(newest, func.min(newest.c.level).over(partition_by=newest.c.item_id).label("first"))
        .where(newest.c.level.is_not(None), ~value.has_key("skip"), ~value.has_key("retracted"))
        .subquery()
    )

    def votes(which: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count().filter(which)

    better, worse = votes(judged.c.strength > 0), votes(judged.c.strength < 0)
    neither = func.greatest(votes(judged.c.strength == 0), votes(judged.c.strength.is_(None)))
    each = (
        select(
            judged.c.split,
            (better + worse).label("sided"),
            (func.greatest(better, worse) > func.greatest(func.least(better, worse), neither)).label("leads"),
        )
        .where(judged.c.level == judged.c.first)
        .group_by(judged.c.split, judged.c.item_id)
        .having(func.count() >= policy.min_votes)
        .subquery()
    )
    taken = func.sum(each.c.sided) if policy.unit == "label" else func.count().filter(each.c.leads)
    found = session.execute(select(each.c.split, taken).group_by(each.c.split))
    return {split: int(count) for split, count in found}


def _level(policy: Policy) -> ColumnElement[int]:
    """The place of a label's source among those that the policy takes, 0 the first; null for one that it leaves out."""
    origin = func.coalesce(Label.value["origin"].astext, cast(Label.source, String))
    return case(*((origin.in_(LEVELS[level]), place) for place, level in enumerate(ORDERS[policy.sources])))
