"""Reading what people said of a dataset's items, as numbers: a hundred thousand labels are read for a page."""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, String, and_, case, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from alignment.statistics import Ratings
from backend.accounts.models import User
from backend.datasets.models import Dataset, Item, Kind
from backend.errors import NotFound
from backend.labels.models import Label, LabelSource
from backend.tasks.models import Task

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]
SIDES = ("first", "second", "tie", "both_bad")
THUMBS = ("good", "bad")
ORDERS = ("before", "after", "tied")


class Scope(NamedTuple):
    """Which labels are meant: those of a task, or all of a dataset by people and by named annotators of files."""

    dataset: Dataset
    task: Task | None

    @property
    def thumbs(self) -> bool:
        return self.dataset.kind in (Kind.unpaired, Kind.demonstrations)

    @property
    def kind(self) -> str:
        """What a judgement is: of a pair, of a ranking, or of a single response."""
        if self.thumbs:
            return "thumb"
        return "ranking" if self.dataset.kind == Kind.ranked else "pair"


class Annotator(NamedTuple):
    """Who judged: a member, or an outside annotator by the name in an imported file, with who that was there."""

    id: uuid.UUID | None
    name: str
    origin: str


class Said(NamedTuple):
    """One entry for each judgement that counts: of each annotator one of an item, their newest answer to the task; in a
    dataset, of their answers to several tasks the newest that judges.

    `item` are positions in the dataset. `strength` is nan where the value has none. `value` numbers `values`, the
    distinct values. `left` tells whether `responses[1]` was on the left, -1 where nobody knows.
    """

    item: Numbers
    annotator: Numbers
    people: list[Annotator]
    value: Numbers
    values: list[dict[str, Any]]
    strength: Floats
    seconds: Floats
    swapped: Numbers
    surplus: Marks
    aided: Marks

    def only(self, wanted: Marks) -> "Said":
        """The entries that are wanted; people keep their numbers."""
        columns = {
            name: getattr(self, name)[wanted]
            for name in ("item", "annotator", "value", "strength", "seconds", "swapped", "surplus", "aided")
        }
        return self._replace(**columns)

    def holding(self, part: str) -> Marks:
        """Which entries have a value with this part: `skip`, `both_bad` …"""
        return np.array([part in value for value in self.values], dtype=bool)[self.value]


def of_task(session: Session, project_id: uuid.UUID, task_id: uuid.UUID) -> Scope:
    """Raises NotFound for a task that is missing or another project's."""
    task = session.get(Task, task_id)
    if task is None or task.project_id != project_id:
        raise NotFound.of("task")
    return Scope(session.get_one(Dataset, task.dataset_id), task)


def of_dataset(session: Session, project_id: uuid.UUID, dataset_id: uuid.UUID) -> Scope:
    """Raises NotFound for a dataset that is missing or another project's."""
    dataset = session.get(Dataset, dataset_id)
    if dataset is None or dataset.project_id != project_id:
        raise NotFound.of("dataset")
    return Scope(dataset, None)


def meant(scope: Scope) -> ColumnElement[bool]:
    """The labels of a scope, every version. What settles a disagreement is no vote in it."""
    judged = Label.dataset_id == scope.dataset.id, Label.source != LabelSource.adjudication
    if scope.task is None:
        return and_(*judged, or_(Label.annotator_id.is_not(None), Label.value.has_key("annotator")))
    own: ColumnElement[bool] = Label.task_id == scope.task.id
    if scope.task.standing:  # it counts what people judged outside of tasks, too
        own = or_(own, and_(Label.task_id.is_(None), Label.annotator_id.is_not(None)))
    return and_(*judged, own)


def read(session: Session, scope: Scope) -> Said:
    """The judgements that count, skips included; labels taken back and withdrawn items are left out."""
    who = func.coalesce(cast(Label.annotator_id, String), literal("=") + Label.value["annotator"].astext)
    said = cast(Label.value.op("-")("annotator").op("-")("origin"), String)
    known = Label.source.in_((LabelSource.person, LabelSource.vote))
    columns = (
        Item.position,
        who,
        Label.version,
        said,
        Label.seconds,
        case((and_(known, Label.swapped), 1), (known, 0), else_=-1),
        Label.surplus,
        Label.aided.is_not(None),
        func.coalesce(Label.value["origin"].astext, cast(Label.source, String)),
        cast(Task.id, String),
    )
    # One list of each column takes less than half the time of a row for each label.
    lists = [cast(func.json_agg(column), String) for column in columns]
    query = select(*lists).select_from(Label).join(Item, Item.id == Label.item_id)
    query = query.outerjoin(Task, (Task.id == Label.task_id) & ~Task.standing)  # what is said outside answers these
    told = session.execute(query.where(meant(scope), Item.withdrawn_at.is_(None))).one()
    return _gathered(session, [orjson.loads(one or "[]") for one in told])


def _gathered(session: Session, columns: Sequence[list[Any]]) -> Said:
    position, who, version, value, seconds, swapped, surplus, aided, origin, task = columns
    items = np.array(position, dtype=np.int64)
    names: dict[str, int] = {}
    people = np.array([names.setdefault(one, len(names)) for one in who], dtype=np.int64)
    texts: dict[str, int] = {}
    said = np.array([texts.setdefault(one, len(texts)) for one in value], dtype=np.int64)
    values: list[dict[str, Any]] = [orjson.loads(text) for text in texts]
    strengths = np.array([_strength(one) for one in values], dtype=np.float64)
    origins = dict(zip(who, origin, strict=True))
    found = Said(
        items,
        people,
        _people(session, [(name, origins[name]) for name in names]),
        said,
        values,
        strengths[said] if values else np.zeros(0),
        np.array([np.nan if one is None else one for one in seconds], dtype=np.float64),
        np.array(swapped, dtype=np.int64),
        np.array(surplus, dtype=bool),
        np.array(aided, dtype=bool),
    )
    places: dict[str | None, int] = {}
    tasks = np.array([places.setdefault(one, len(places)) for one in task], dtype=np.int64)
    versions = np.array(version, dtype=np.int64)
    stands = _last((items, people, tasks), versions) & ~found.holding("retracted")
    weight = np.where(found.holding("skip"), 0, versions.max(initial=0)) + versions
    stands[stands] = _last((items[stands], people[stands]), weight[stands])
    return found.only(stands)


def _last(same: tuple[Numbers, ...], order: Numbers) -> Marks:
    """Which entries are the last, by `order`, of those that have the same numbers."""
    places = np.lexsort((order, *same))
    last = np.ones(len(places), dtype=bool)
    if len(places):
        last[:-1] = np.any([numbers[places][1:] != numbers[places][:-1] for numbers in same], axis=0)
    found = np.zeros(len(places), dtype=bool)
    found[places] = last
    return found


def _people(session: Session, known: Sequence[tuple[str, str]]) -> list[Annotator]:
    ids = [uuid.UUID(who) for who, _ in known if not who.startswith("=")]
    names = dict(session.execute(select(User.id, User.name).where(User.id.in_(ids))).all()) if ids else {}
    return [
        Annotator(None, who[1:], origin)
        if who.startswith("=")
        else Annotator(uuid.UUID(who), names.get(uuid.UUID(who), "removed person"), origin)
        for who, origin in known
    ]


def _strength(value: dict[str, Any]) -> float:
    """How much better the first of two is, also where both were put into an order; nan where that is not said."""
    if "strength" in value:
        return float(value["strength"])
    groups = value.get("ranking")
    if groups and sum(len(group) for group in groups) == 2:
        return 0.0 if len(groups) == 1 else 1.0 if groups[0] == [0] else -1.0
    return float("nan")


def judged(said: Said) -> Said:
    """Without skips."""
    return said.only(~said.holding("skip"))


def chosen(scope: Scope, said: Said) -> Ratings:
    """Which side of a pair, thumb, or order of every two responses of a ranking was chosen."""
    said = judged(said)
    _, item = np.unique(said.item, return_inverse=True)
    item = item.astype(np.int64)
    if scope.kind == "ranking":
        return _orders(said, item)
    if scope.kind == "thumb":
        good = np.array([bool(value.get("thumb")) for value in said.values], dtype=bool)[said.value]
        return Ratings.of(item, said.annotator, np.where(good, 0, 1), THUMBS)
    bad = said.holding("both_bad")
    side = np.where(bad, 3, np.where(said.strength > 0, 0, np.where(said.strength < 0, 1, 2)))
    both_bad = bool(bad.any()) if scope.task is None else bool(scope.task.question.get("both_bad"))
    return Ratings.of(item, said.annotator, side, SIDES if both_bad or bad.any() else SIDES[:3])


def steps(scope: Scope, said: Said) -> tuple[Ratings, list[float]] | None:
    """Strengths on the scale of the task, or on that of the labels there are; None where nothing is a scale."""
    if scope.kind != "pair":
        return None
    said = said.only(~np.isnan(said.strength))
    known = set(said.strength.tolist())
    if scope.task is not None and scope.task.question.get("kind") == "pair":
        most = 1 if scope.task.question.get("scale") == "preference" else 3
        known |= set(map(float, range(-most, most + 1)))
    scale = sorted(known)
    _, item = np.unique(said.item, return_inverse=True)
    place = np.searchsorted(np.array(scale), said.strength)
    return Ratings.of(item, said.annotator, place, [f"{step:g}" for step in scale]), scale


def _orders(said: Said, item: Numbers) -> Ratings:
    """Of every two responses which comes before which; what is of one ranking belongs to one item."""
    each = [_compared(value.get("ranking", [])) for value in said.values]
    width = max((len(one) for one in each), default=0)
    table = np.full((len(each), max(width, 1)), -1, dtype=np.int64)
    for place, one in enumerate(each):
        table[place, : len(one)] = one
    found = table[said.value] if len(each) else np.zeros((0, 1), dtype=np.int64)
    entry, pair = np.nonzero(found >= 0)
    count = int(item.max(initial=-1)) + 1
    owners = np.repeat(np.arange(count), table.shape[1])
    units = item[entry] * table.shape[1] + pair
    return Ratings.of(units, said.annotator[entry], found[entry, pair], ORDERS, owners)


def _compared(groups: Sequence[Sequence[int]]) -> list[int]:
    """0 before, 1 after, 2 tied: of every two responses, in the order (0, 1), (0, 2), (1, 2), (0, 3) …"""
    rank = {response: place for place, group in enumerate(groups) for response in group}
    return [
        2 if rank[first] == rank[second] else int(rank[first] > rank[second])
        for second in sorted(rank)
        for first in range(second)
    ]


def same_answer(gold: dict[str, Any], value: dict[str, Any]) -> bool | None:
    """Whether a judgement is the known one: the same side of two, the same order, the same thumb; None if not known."""
    if "skip" in gold:
        return None
    if "thumb" in gold or "both_bad" in gold or "both_bad" in value:
        return gold.get("thumb") == value.get("thumb") and gold.get("both_bad") == value.get("both_bad")
    one, other = _strength(gold), _strength(value)
    if not np.isnan(one):
        return bool(np.sign(one) == np.sign(other))
    return [sorted(group) for group in gold.get("ranking", [])] == [sorted(group) for group in value.get("ranking", [])]
