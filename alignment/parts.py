"""Parts that plug in: strict models whose errors name the nearest known key, and the search for them in a folder."""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word closest to `word`, or None when nothing is close."""
    names = list(known)
    lower = {name.lower(): name for name in names}
    found = difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=0.5)
    return lower[found[0]] if found else None


def unknown(what: str, word: object, known: Iterable[str]) -> PydanticCustomError:
    """The error for a word that is not one of `known`: it names the nearest one, else all of them."""
    names = sorted(known)
    close = nearest(str(word), names)
    hint = f"did you mean '{close}'?" if close else f"known: {', '.join(names)}"
    context = {"word": str(word), "what": what, "hint": hint, "nearest": close or ""}
    return PydanticCustomError("unknown_name", "unknown {what} '{word}': {hint}", context)


class Part(BaseModel):
    """A frozen model without unknown keys; a misspelt key is refused with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _name_nearest_key(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            lines = [_line(line, cls.model_fields) for line in error.errors()]
            raise ValidationError.from_exception_data(cls.__name__, lines) from None


def _line(line: Mapping[str, Any], known: Iterable[str]) -> InitErrorDetails:
    kind: PydanticCustomError
    if line["type"] == "extra_forbidden" and len(line["loc"]) == 1:
        kind = unknown("key", line["loc"][0], known)
    else:
        # The message is finished text: a context entry carries it so that braces in it are not read as a template.
        kind = PydanticCustomError(line["type"], "{text}", {**line.get("ctx", {}), "text": line["msg"]})
    return InitErrorDetails(type=kind, loc=line["loc"], input=line["input"])


P = TypeVar("P", bound=Part)


def find_parts(package: str, base: type[P]) -> Mapping[str, type[P]]:
    """Every subclass of `base` defined in a module of `package`, sorted by `name`; two of one name are an error."""
    found: dict[str, type[P]] = {}
    for module_info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        module = importlib.import_module(f"{package}.{module_info.name}")
        for thing in vars(module).values():
            if isinstance(thing, type) and issubclass(thing, base) and thing.__module__ == module.__name__:
                name = getattr(thing, "name", None)
                if not isinstance(name, str):
                    continue  # the base itself
                if name in found:
                    raise TypeError(f"{thing.__module__} and {found[name].__module__} are both named '{name}'")
                found[name] = thing
    return MappingProxyType(dict(sorted(found.items())))
