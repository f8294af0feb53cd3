"""How many examples a run will train on, and what they are to its objective, before anything is frozen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, String, case, cast, false, func, select, true
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from alignment.formats import snapshot
from alignment.formats.preference import LEVELS, Policy
from alignment.objectives import Role, feeding, rewards
from backend import storage
from backend.datasets import judgements, reading
from backend.datasets.asked import refuse_other_task
from backend.datasets.models import Dataset, Item, Kind, Snapshot
from backend.labels.models import Label
from backend.runs.schemas import RunIn
from backend.tasks.models import Task

LOOKED_AT = 100  # dialogues whose answers are counted: a form asks at every change


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
    told = rewards.REWARD in body.third_ids  # nobody has scored the pairs yet, and some may be left out
    splits = _aimed(found) if body.objective.needs.goals and not told else found.counts
    turns = _turns(found) if body.objective.needs.turns else 1.0
    wanted = found.counts.get("desirable", {})
    return _taken(found.kind, splits, wanted, body, exact=not told and turns == 1, turns=turns)


def _turns(found: Snapshot) -> float:
    """Answers of a dialogue that are learned, on average over the first ones, see `alignment.training.data`."""
    with storage.using() as use:
        some = [one.prompt for one in islice(snapshot.read(use(found.path)), LOOKED_AT)]
    return _answers(some)


def _answers(prompts: Sequence[Sequence[Mapping[str, Any]]]) -> float:
    earlier: int = sum(turn["role"] == "assistant" for prompt in prompts for turn in prompt[1:])
    return 1.0 + earlier / max(1, len(prompts))


def _aimed(found: Snapshot) -> dict[str, int]:
    """Pairs of each split whose chosen response scores higher, see `alignment.training.goals`."""
    with storage.using() as use:
        facts = ((one.split, one.facts.get("scores")) for one in snapshot.read_facts(use(found.path), ("scores",)))
        return Counter(split for split, scores in facts if scores and scores[0] > scores[1])


def of_dataset(session: Session, dataset: Dataset, body: RunIn) -> Examples:
    """About what it would take of a dataset: of pairs those with a newest label that prefers one side.

    Raises OtherTask.
    """
    refuse_other_task(session, dataset, body.policy)
    turns = 1.0
    if body.objective.needs.turns:
        some = islice(reading.walk(session, dataset.id, at_once=LOOKED_AT), LOOKED_AT)
        turns = _answers([item.prompt for item, _, _ in some])
    if dataset.kind is Kind.paired:
        return _taken(dataset.kind, _decided(session, dataset, body.policy), {}, body, exact=False, turns=turns)
    wanted: dict[str, int] = {}
    if dataset.kind is Kind.unpaired:
        query = (
            select(Item.split, func.count())
            .where(Item.dataset_id == dataset.id, Item.facts["desirable"].as_boolean())
            .group_by(Item.split)
        )
        wanted = dict(session.execute(query).all())
    return _taken(dataset.kind, dataset.splits, wanted, body, exact=False, turns=turns)


def _taken(
    kind: Kind, splits: dict[str, Any], wanted: dict[str, int], body: RunIn, *, exact: bool, turns: float = 1.0
) -> Examples:
    """What an objective takes of so many items in each split, of which so many are wanted answers."""
    times = (2 if body.objective.needs.goals else 1) * turns  # each pair is seen twice, see `alignment.training.goals`
    roles = feeding.fed(body.objective.needs.roles, kind.value, apart=body.pairs == "apart")
    found = set(roles)
    counts = {split: round(times * splits.get(split, 0)) for split in ("train", "validation")}
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
    alone = policy.levels[0] == LEVELS["adjudication"]  # then the newest stands for the others
    said = _said(dataset, policy).subquery()
    settles = said.c.settles if alone else false()
    who = case((settles, ""), else_=said.c.who)
    skip = said.c.value.has_key("skip")
    newest = (
        select(said)
        .where(~said.c.value.has_key("retracted"))
        .ext(distinct_on(said.c.item_id, said.c.settles, who))
        .order_by(said.c.item_id, said.c.settles, who, skip)
        .order_by(case((settles, 0), else_=said.c.version).desc(), said.c.id.desc())
    ).subquery()
    judged = (
        select(newest, func.min(newest.c.level).over(partition_by=newest.c.item_id).label("first"))
        .where(newest.c.level.is_not(None), ~newest.c.value.has_key("skip"))
        .where(true() if policy.surplus else ~newest.c.surplus)
        .subquery()
    )

    def votes(which: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count().filter(which)

    better, worse = votes(judged.c.strength > 0), votes(judged.c.strength < 0)
    even, bad = votes(judged.c.strength == 0), votes(judged.c.strength.is_(None))
    clear = func.abs(judged.c.strength) >= policy.min_margin
    leads = func.greatest(better, worse) > func.greatest(func.least(better, worse), even, bad)
    tied = ~leads & (bad < func.greatest(better, worse, even)) if policy.ties == "half" else false()
    labels_taken = votes(clear & (judged.c.strength != 0))
    if policy.ties == "half":
        labels_taken += even
    mean = func.avg(judged.c.strength)
    far = case((better > worse, mean), else_=-mean) >= policy.min_margin if policy.min_margin else true()
    overruled = func.bool_and(judged.c.level == 0) if alone else false()
    each = (
        select(
            judged.c.split,
            labels_taken.label("sided"),
            (tied | leads & far).label("leads"),
        )
        .where(judged.c.level == judged.c.first)
        .group_by(judged.c.split, judged.c.item_id)
        .having((func.count() >= policy.min_votes) | overruled)
        .subquery()
    )
    taken = func.sum(each.c.sided) if policy.unit == "label" else func.count().filter(each.c.leads)
    found = session.execute(select(each.c.split, taken).group_by(each.c.split))
    return {split: int(count) for split, count in found}


def _said(dataset: Dataset, policy: Policy) -> Select[Any]:
    """The newest that each annotator said of a pair in each task, outside of all, and to settle it, see
    `backend.datasets.judgements.counting`."""
    columns = Item.split, Label.item_id, Label.value, Label.surplus, Label.version, Label.id
    who, settles = judgements.annotator(), _origin() == "adjudication"
    named = who.label("who"), settles.label("settles"), _level(policy).label("level"), _strength().label("strength")
    each = Label.item_id, who, settles, Task.id
    return (
        select(*columns, *named)
        .join(Item, Item.id == Label.item_id)
        .outerjoin(Task, (Task.id == Label.task_id) & ~Task.standing)
        .where(Item.dataset_id == dataset.id, Item.withdrawn_at.is_(None))
        .where(true() if policy.task is None else judgements.in_one_task(policy.task))
        .ext(distinct_on(*each))
        .order_by(*each, Label.version.desc(), Label.id.desc())
    )


def _strength() -> ColumnElement[float]:
    """The strength of a label of a pair; that of a ranking of two is 1, null where both are bad."""
    ranking = Label.value["ranking"]
    first = case((ranking[0][0].as_integer() == 0, 1.0), else_=-1.0)
    ranked = case((func.jsonb_array_length(ranking) == 1, 0.0), else_=first)
    return case((Label.value.has_key("ranking"), ranked), else_=Label.value["strength"].as_float())


def _level(policy: Policy) -> ColumnElement[int]:
    """The place of a label's source among those that the policy takes, 0 the first; null for one that it leaves out."""
    return case(*((_origin().in_(level), place) for place, level in enumerate(policy.levels)))


def _origin() -> ColumnElement[str]:
    """Who judged, as far as a file says so of a label that it brought."""
    return func.coalesce(Label.value["origin"].astext, cast(Label.source, String))
