"""Objectives that are made of others: what they need and remember is what their parts do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

from pydantic import ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from alignment.objectives.objective import Needs, Objective, Own, State, Varying
from alignment.parts import Choice, NamedPart

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

DEEPEST = 4
"""Levels of objectives within objectives, the outermost included."""


def _catalogue() -> Mapping[str, type[Objective]]:
    from alignment.objectives import CATALOGUE  # which holds the classes that ask for it here

    return CATALOGUE


Inner = Annotated[Objective, Choice(Objective, _catalogue, "an objective is written {name: dpo, …}")]
"""An objective as a field of another one."""


class _Joined(Varying):
    """`needs` of an instance: what it needs by itself and what its parts do, joined."""

    def __get__(self, instance: Objective | None, owner: type[Objective]) -> Needs:
        parts = instance.parts().values() if isinstance(instance, Composite) else ()
        return reduce(Needs.joined, (part.needs for part in parts), super().__get__(instance, owner))


def joined(own: Needs, more: Callable[[Any], Needs] | None = None) -> Needs:
    """The `needs` of a composite that by itself needs this much, and what `more` says of an instance by its fields: on
    an instance those of its parts join them."""
    return cast("Needs", _Joined(own, more))


class Composite(Objective):
    """An objective made of others; `parts` names each by the path of its field.

    Its class says what it needs by itself as `needs = joined(…)`.  What a part keeps between steps is kept under the
    part's path.  One part at most trains modules of its own.
    """

    def parts(self) -> dict[str, Objective]:
        """The objectives that this one is made of, by the path of their field."""
        raise NotImplementedError

    def objection(self, facts: Mapping[str, tuple[float, ...]]) -> str | None:
        """The first objection that a part has."""
        return next(filter(None, (part.objection(facts) for part in self.parts().values())), None)

    @classmethod
    def usual_needs(cls) -> Needs:
        """What an instance with the default parts needs."""
        return cls().needs

    def own_modules(self, layers: int, width: int) -> Own | None:
        """Those of the one part that has some."""
        found = (part.own_modules(layers, width) for part in self.parts().values())
        return next((own for own in found if own is not None), None)

    def own_weights(self, layers: int, width: int) -> int:
        """Those of the one part that has some."""
        return sum(part.own_weights(layers, width) for part in self.parts().values())

    def start(self) -> dict[str, Tensor]:
        """What each part starts with, under its path."""
        return {f"{path}/{name}": value for path, part in self.parts().items() for name, value in part.start().items()}

    def move(self, batch: Batch, state: State) -> dict[str, Tensor]:
        """Each part moves what is its own."""
        return {
            f"{path}/{name}": value
            for path, part in self.parts().items()
            for name, value in part.move(batch, within(state, path)).items()
        }

    @model_validator(mode="wrap")
    @classmethod
    def _not_too_deep(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if _levels(value) > DEEPEST:
            message = "objectives may stand within objectives {most} levels deep, this one included"
            raise PydanticCustomError("too_deep", message, {"most": DEEPEST})
        return handler(value)

    @model_validator(mode="after")
    def _one_trains_modules(self) -> Self:
        training = [part.title for part in self.parts().values() if part.needs.own or part.needs.heads]
        if len(training) > 1:
            message = "{titles} each train modules of their own: take one of them"
            raise PydanticCustomError("own_modules", message, {"titles": " and ".join(training)})
        return self


def innermost(objective: Objective) -> Iterator[Objective]:
    """The objectives within this one that are made of no others; itself where it is not made of any."""
    if isinstance(objective, Composite):
        for part in objective.parts().values():
            yield from innermost(part)
    else:
        yield objective


def within(state: State, path: str) -> State:
    """The state as the part at this path sees it."""
    start = f"{path}/"

    def own(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}

    return state._replace(values=own(state.values), moved=own(state.moved))


def _levels(value: Any) -> int:
    """How many objectives stand within each other in what is given as one; counting ends where they are too many."""
    deepest, found = 0, [(value, 1)]
    while found and deepest <= DEEPEST:
        one, level = found.pop()
        deepest = max(deepest, level)
        found += [(inner, level + 1) for inner in _inner(one)]
    return deepest


def _inner(value: Any) -> Iterator[Any]:
    """The objectives in the fields of one, or in the fields of its terms; they need not be valid."""
    if isinstance(value, Composite):
        yield from value.parts().values()
    elif isinstance(value, dict):
        for field in value.values():
            for one in field if isinstance(field, list | tuple) else (field,):
                yield from [one] if _is_objective(one) else _of_term(one)


def _of_term(value: Any) -> Iterator[Any]:
    fields = value.values() if isinstance(value, dict) else vars(value).values() if hasattr(value, "__dict__") else ()
    return (one for one in fields if _is_objective(one))


def _is_objective(value: Any) -> bool:
    return isinstance(value, NamedPart) or (isinstance(value, dict) and "name" in value)
