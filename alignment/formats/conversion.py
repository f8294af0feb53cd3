"""What a conversion between kinds of data is: a stated rule, and what it makes of items.

Its fields are the rule, `KIND` and `TO` the kinds, and `turned` makes items of one item, or, where it is `GROUPED`, of
all items of one prompt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from alignment.formats.canonical import Item, Kind


class Left(ValueError):
    """An item that gives nothing: `why` is a key of `converting.LEFT`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Conversion(BaseModel):
    """From items of `KIND` to items of `TO`; `TITLE` names it, `DOES` says in a sentence what becomes of an item."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    KIND: ClassVar[Kind]
    TO: ClassVar[Kind]
    TITLE: ClassVar[str]
    DOES: ClassVar[str]
    GROUPED: ClassVar[bool] = False

    def turned(self, items: Sequence[Item], left: Counter[str]) -> Iterator[Item]:
        """What becomes of an item, or of all items of a prompt; `left` counts the others by `converting.LEFT`."""
        for item in items:
            try:
                yield from self.of(item)
            except Left as nothing:
                left[nothing.why] += 1

    def of(self, item: Item) -> Iterable[Item]:
        """What becomes of one item, at least one.  Raises Left, before the first of them."""
        raise NotImplementedError
