"""One objective seen another way: modifiers change what their base sees of a batch, or what its losses count."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from alignment.objectives.batch import Role
from alignment.objectives.composite import Composite, Inner, within
from alignment.objectives.objective import PAIR, Objective, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class Modifier(Composite):
    """A composite of one part, its `base`, which by default sees and says what it would by itself."""

    base: Inner

    def parts(self) -> dict[str, Objective]:
        """The base."""
        return {"base": self.base}

    def seen(self, batch: Batch) -> Batch:
        """The batch as the base sees it."""
        return batch

    def loss(self, batch: Batch, state: State) -> Tensor:
        """The base's loss of what it sees."""
        return self.base.loss(self.seen(batch), within(state, "base"))

    def rewards(self, batch: Batch) -> Tensor:
        """The base's rewards of what it sees, (S,)."""
        return self.base.rewards(self.seen(batch))

    def move(self, batch: Batch, state: State) -> dict[str, Tensor]:
        """What the base's values become by what it sees."""
        return super().move(self.seen(batch), state)


def swapped(batch: Batch) -> Batch:
    """The batch with every label the other way round: chosen responses rejected, rejected ones chosen."""
    chosen, rejected = batch.role == int(Role.CHOSEN), batch.role == int(Role.REJECTED)
    turned = batch.role.masked_fill(chosen, int(Role.REJECTED)).masked_fill(rejected, int(Role.CHOSEN))
    return replace(batch, role=turned)


def _refuse(base: Objective, why: str) -> None:
    raise PydanticCustomError("unfit_base", "{title} cannot stand here: {why}", {"title": base.title, "why": why})


def _of_pairs(base: Objective) -> Objective:
    needs = base.needs
    if needs.roles != PAIR:
        _refuse(base, "it is not one of pairs alone, whose labels could be turned round")
    if needs.coupled or needs.state:
        _refuse(base, "it has no loss of each pair by itself, or keeps something between steps")
    if needs.facts:
        _refuse(base, f"what it knows of a pair ({', '.join(sorted(needs.facts))}) goes with the label as it is")
    return base


def _of_sums(base: Objective) -> Objective:
    if base.needs.asked:
        _refuse(base, "it looks at single tokens, and this changes whole responses")
    return base


def _of_any_length(base: Objective) -> Objective:
    if base.needs.lengths:
        _refuse(base, "it counts the tokens of responses itself")
    return _of_sums(base)


def _of_compared(base: Objective) -> Objective:
    if not base.needs.roles >= PAIR:
        _refuse(base, "it compares no pairs")
    return _of_sums(base)


def _of_uncounted_pairs(base: Objective) -> Objective:
    return _of_compared(_of_any_length(base))


def _of_examples(base: Objective) -> Objective:
    if base.needs.coupled:
        _refuse(base, "its loss is one number of the whole batch, and this needs one of each example")
    return base


PairBase = Annotated[Inner, AfterValidator(_of_pairs)]
"""A base whose labels may be turned round: of pairs, each with a loss of its own, blind to facts."""
UncountedBase = Annotated[Inner, AfterValidator(_of_any_length)]
"""A base that sees responses as wholes, and not how long they are."""
ComparedBase = Annotated[Inner, AfterValidator(_of_compared)]
"""A base that sees responses as wholes, and compares chosen with rejected ones."""
UncountedComparedBase = Annotated[Inner, AfterValidator(_of_uncounted_pairs)]
"""A base that compares chosen with rejected responses, seen as wholes, and not how long they are."""
ExampleBase = Annotated[Inner, AfterValidator(_of_examples)]
"""A base with a loss of each example by itself."""
