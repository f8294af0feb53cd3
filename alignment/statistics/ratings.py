"""What several annotators said about the same items, as numbers, and the tables of counts that agreement needs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Table = NDArray[np.float64]


class Ratings(NamedTuple):
    """One entry for each judgement, one judgement for each annotator and unit.

    `unit` is what is judged, numbered from 0: an item, or two responses of a ranking. `item` says which item each unit
    belongs to: whole items are drawn when intervals are made, since what is judged together is not independent.
    `category` is a place in `categories`, which are those that could be chosen, in the order of the scale if it is one.
    """

    unit: Numbers
    annotator: Numbers
    category: Numbers
    categories: tuple[str, ...]
    item: Numbers

    @classmethod
    def of(
        cls,
        unit: Sequence[int] | Numbers,
        annotator: Sequence[int] | Numbers,
        category: Sequence[int] | Numbers,
        categories: Sequence[str],
        item: Sequence[int] | Numbers | None = None,
    ) -> "Ratings":
        """Checked ratings; every unit is an item of its own unless `item` tells otherwise.

        Raises ValueError for lengths that differ, numbers out of range, and two judgements of one annotator on a unit.
        """
        units, people, said = (np.asarray(column, dtype=np.int64) for column in (unit, annotator, category))
        if not len(units) == len(people) == len(said):
            raise ValueError("unit, annotator and category must be of the same length")
        if len(units) and (min(units.min(), people.min(), said.min()) < 0 or said.max() >= len(categories)):
            raise ValueError("numbers begin at 0, and a category must be one of those named")
        count = int(units.max()) + 1 if len(units) else 0
        items = np.arange(count) if item is None else np.asarray(item, dtype=np.int64)
        if len(items) < count or (len(items) and items.min() < 0):
            raise ValueError("every unit must belong to an item")
        keys = units * (int(people.max()) + 1 if len(people) else 1) + people
        if len(np.unique(keys)) != len(keys):
            raise ValueError("an annotator judges a unit once")
        return cls(units, people, said, tuple(categories), items)

    def counts(self) -> Numbers:
        """How many annotators chose each category: (units, categories)."""
        width = len(self.categories)
        flat = np.bincount(self.unit * width + self.category, minlength=len(self.item) * width)
        return flat.reshape(len(self.item), width).astype(np.int64)


class Profiles(NamedTuple):
    """Items that are alike, gathered: the rows that differ, and how many items have each.

    A hundred thousand labels make a few dozen different rows, so that a thousand resamples are a small table.
    """

    rows: Numbers
    items: Numbers


def profiles(rows: Numbers) -> tuple[Profiles, Numbers]:
    """The distinct rows, and which of them each row is."""
    width = rows.shape[1]
    base = int(rows.max()) + 1 if rows.size else 1
    if width * np.log2(max(base, 2)) < 62:  # a row is then one number, which sorts twenty times as fast
        keys = rows @ (base ** np.arange(width, dtype=np.int64))
        _, first, inverse, items = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        return Profiles(rows[first], items), inverse
    found, inverse, items = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    return Profiles(found, items), inverse.reshape(-1)


def gathered(rows: Numbers, item: Numbers) -> tuple[Table, Numbers, Numbers]:
    """How items are made of units' rows: (item profiles, unit profiles), the units' rows, and items of each profile.

    Items without any judgement are left out.
    """
    judged = rows.sum(axis=1) > 0
    units, which = profiles(rows[judged])
    if not len(which):
        return np.zeros((0, 0)), units.rows, units.items
    _, place = np.unique(item[judged], return_inverse=True)
    if int(place.max()) + 1 == len(place):  # each item is one unit
        return np.eye(len(units.rows)), units.rows, units.items
    kinds = len(units.rows)
    made = np.bincount(place * kinds + which, minlength=(int(place.max()) + 1) * kinds).reshape(-1, kinds)
    items, _ = profiles(made.astype(np.int64))
    return items.rows.astype(np.float64), units.rows, items.items
