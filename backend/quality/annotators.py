"""What the labels of each annotator say about them: computed when read, never stored."""

from typing import Any

import numpy as np
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from alignment.statistics.annotators import (
    TOO_FAST,
    UNKNOWN,
    Flags,
    Rate,
    Tested,
    against_half,
    medians,
    rates,
    too_fast,
    with_the_others,
)
from backend.datasets.models import Item
from backend.labels.models import Label
from backend.quality import reading
from backend.quality.reading import Floats, Numbers, Said, Scope
from backend.quality.schemas import AnnotatorOut, AnnotatorsOut, ShareOut, TestedShareOut
from backend.tasks.models import Gold

ALL_LENGTHS = text("(SELECT sum(char_length(one ->> 'content')) FROM jsonb_array_elements(items.responses) AS one)")


def annotators(session: Session, scope: Scope, *, level: float) -> list[AnnotatorOut]:
    """What can be said of each annotator of a scope, those with most judgements first."""
    said = reading.read(session, scope)
    judged = reading.judged(said)
    numbers, middle = _numbers(said, judged), medians(judged.seconds, judged.annotator, len(said.people))
    lengths = _lengths(session, scope, judged)
    shares = _shares(session, scope, judged, lengths, level)
    tested = _tests(judged, lengths, level)
    rows = [
        AnnotatorOut(
            annotator_id=person.id,
            name=person.name,
            origin=person.origin,
            median_seconds=middle[place],
            **{name: int(values[place]) for name, values in numbers.items()},
            **{name: _share(values[place]) for name, values in shares.items()},
            **{name: _tested(values[place]) for name, values in tested.items()},
        )
        for place, person in enumerate(said.people)
    ]
    return sorted(rows, key=lambda row: (-row.labels, row.name))


def as_told(row: AnnotatorOut) -> AnnotatorOut:
    """The row as its annotator may see it: read label by label, the rest would tell known answers and others' votes."""
    return row.model_copy(update={"gold": None, "agreement": None, "surplus": None})


def page(rows: list[AnnotatorOut], start: int, limit: int) -> AnnotatorsOut:
    """The rows from a place on, and where the next page begins."""
    end = start + limit
    following = str(end) if end < len(rows) else None
    return AnnotatorsOut(items=rows[start:end], next_cursor=following, too_fast_rule=TOO_FAST)


def _share(rate: Rate) -> ShareOut:
    return ShareOut(**rate._asdict())


def _tested(tested: Tested) -> TestedShareOut:
    return TestedShareOut(rate=_share(tested.rate), p_value=tested.p_value)


def _numbers(said: Said, judged: Said) -> dict[str, Numbers]:
    """How many there are of each thing, by annotator."""
    own, count = judged.annotator, len(said.people)
    kinds = {"both_bad": judged.holding("both_bad"), "surplus": judged.surplus, "aided": judged.aided}
    found = {"labels": np.bincount(own, minlength=count)}
    found["skips"] = np.bincount(said.annotator, minlength=count) - found["labels"]
    return found | {name: np.bincount(own[which], minlength=count) for name, which in kinds.items()}


def _shares(session: Session, scope: Scope, judged: Said, lengths: Floats, level: float) -> dict[str, list[Rate]]:
    own, count = judged.annotator, len(judged.people)
    tied: Flags = np.where(judged.holding("both_bad"), 0, judged.strength == 0).astype(np.int8)
    if scope.kind != "pair":
        tied = np.full(len(own), UNKNOWN, dtype=np.int8)
    chosen = reading.chosen(scope, judged)
    together = with_the_others(chosen)
    return {
        "gold": rates(_right(session, scope, judged), own, count, level=level),
        "agreement": rates(together, chosen.annotator, count, item=chosen.item[chosen.unit], level=level),
        "ties": rates(tied, own, count, level=level),
        "too_fast": rates(too_fast(judged.seconds, lengths[:, 2]), own, count, level=level),
    }


def _tests(judged: Said, lengths: Floats, level: float) -> dict[str, list[Tested]]:
    """How often the left and the longer one was chosen of two, ties and both-bad left out."""
    sided = np.isfinite(judged.strength) & (judged.strength != 0)
    first = judged.strength > 0
    left = np.where(sided & (judged.swapped >= 0), first != (judged.swapped == 1), UNKNOWN)
    unlike = lengths[:, 0] != lengths[:, 1]
    longer = np.where(sided & unlike, first == (lengths[:, 0] > lengths[:, 1]), UNKNOWN)
    flags = {"left_side": left, "longer_side": longer}
    count = len(judged.people)
    return {
        name: against_half(one.astype(np.int8), judged.annotator, count, level=level) for name, one in flags.items()
    }


def _lengths(session: Session, scope: Scope, judged: Said) -> Floats:
    """Characters of the first response of each entry, of its second, and of all together."""
    if not len(judged.item):
        return np.zeros((0, 3))
    first, second = (func.coalesce(func.char_length(Item.responses[place]["content"].astext), 0) for place in (0, 1))
    both: Any = ALL_LENGTHS if scope.kind == "ranking" else first + second
    labelled = select(Label.item_id).where(reading.meant(scope))
    query = select(Item.position, first, second, both).where(Item.dataset_id == scope.dataset.id)
    rows = session.connection().execute(query.where(Item.id.in_(labelled))).all()
    position, *known = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    table = np.zeros((int(position.max()) + 1, 3))
    table[position] = np.column_stack(known)
    return table[judged.item]


def _right(session: Session, scope: Scope, judged: Said) -> Flags:
    """Whether each entry is the known answer of its item; UNKNOWN where none is known."""
    query = select(Item.position, Gold.value).join(Item, Item.id == Gold.item_id)
    golds: dict[int, dict[str, Any]] = dict(session.execute(query.where(Gold.dataset_id == scope.dataset.id)).all())
    found = np.full(len(judged.item), UNKNOWN, dtype=np.int8)
    for entry in np.nonzero(np.isin(judged.item, list(golds)))[0] if golds else ():
        same = reading.same_answer(golds[int(judged.item[entry])], judged.values[int(judged.value[entry])])
        found[entry] = UNKNOWN if same is None else same
    return found
