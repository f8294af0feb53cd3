"""Parts that plug in: strict models whose errors name the nearest known key, and the search for them in a folder."""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

WORDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("int_parsing", "int_parsing_size", "int_type", "int_from_float"), "Must be a whole number"),
        **dict.fromkeys(("float_parsing", "float_type"), "Must be a number"),
        **dict.fromkeys(("bool_parsing", "bool_type"), "Must be true or false"),
        **dict.fromkeys(("uuid_parsing", "uuid_type"), "Must be an id"),
        **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "Must be an object"),
        **dict.fromkeys(("literal_error", "enum"), "Must be {expected}"),
        "string_type": "Must be text",
        "list_type": "Must be a list",
        "finite_number": "Must be a finite number",
        "greater_than": "Must be above {gt}",
        "greater_than_equal": "Must be at least {ge}",
        "less_than": "Must be below {lt}",
        "less_than_equal": "Must be at most {le}",
        "multiple_of": "Must be a multiple of {multiple_of}",
        "string_too_short": "Must have at least {min_length} characters",
        "string_too_long": "Must have at most {max_length} characters",
        "too_short": "Must have at least {min_length} entries",
        "too_long": "Must have at most {max_length} entries",
        "union_tag_invalid": "The {discriminator} must be one of {expected_tags}",
        "union_tag_not_found": "Has no {discriminator}",
        "missing": "Is missing",
        "extra_forbidden": "Is not known",
    }
)
"""What is said of a value instead of pydantic's message, by the type of the error and with its context."""
BOUNDS = ("greater_than_equal", "less_than_equal")
Location = tuple[str | int, ...]


def said(line: Mapping[str, Any]) -> str:
    """What is wrong with a value, for whoever typed it, without a full stop: one line of `ValidationError.errors()`."""
    kind, context = line["type"], line.get("ctx", {})
    if kind in ("string_too_short", "too_short") and context.get("min_length") == 1:
        return "Must not be empty"
    if kind in WORDS:
        return WORDS[kind].format_map({name: _plain(value) for name, value in context.items()})
    return str(line["msg"]).removeprefix("Value error, ")


def _plain(value: Any) -> str:
    """A bound or the words to choose from, as people write them."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).replace("'", "")


def faults(errors: Iterable[Mapping[str, Any]]) -> list[tuple[Location, str]]:
    """Where each value at fault stands, and what is `said` of it by the lines of `ValidationError.errors()`.

    Of a number or a word instead, which pydantic tries under places of their own, it is one sentence.
    """
    lines = sorted(errors, key=_is_word)  # "a whole number of at least 16, or auto"
    either = {line["loc"][:-1] for line in lines if _is_word(line)}
    found: dict[Location, list[str]] = {}
    for line in lines:
        loc = line["loc"]
        place = next((loc[:length] for length in range(len(loc)) if loc[:length] in either), None)
        text = said(line) if place is None else _branch(line)
        found.setdefault(loc if place is None else place, []).append(text)
    return [
        (place, ", or ".join([first, *(one.removeprefix("Must be ") for one in others)]))
        for place, (first, *others) in found.items()
    ]


def _is_word(line: Mapping[str, Any]) -> bool:
    """Whether the line tells that a value is none of the words that may stand instead of something else."""
    word = line["type"] in ("literal_error", "enum")  # else it may be a key that somebody has sent
    return word and bool(line["loc"]) and str(line["loc"][-1]).startswith("literal[")


def _branch(line: Mapping[str, Any]) -> str:
    """What is said of a value that might be something else: its kind belongs to its bound."""
    bound = line["type"] in BOUNDS and str(line["loc"][-1]).endswith("int")
    return said(line).replace("Must be ", "Must be a whole number of ") if bound else said(line)


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


class NamedPart(Part):
    """One of a catalogue: written `{name, …fields}`, and written back the same way."""

    name: ClassVar[str]

    @model_validator(mode="wrap")
    @classmethod
    def _take_own_name(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, dict) and value.get("name") == getattr(cls, "name", None):
            value = {key: field for key, field in value.items() if key != "name"}
        return handler(value)

    @model_serializer(mode="wrap")
    def _with_name(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"name": self.name, **handler(self)}


P = TypeVar("P", bound=NamedPart)


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


def plain_schema(part: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a part that holds no references, so that it can stand within another schema."""
    schema = part.model_json_schema()
    kept = schema.pop("$defs", {})

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(one) for one in value]
        if not isinstance(value, dict):
            return value
        own = {key: plain(one) for key, one in value.items() if key != "$ref"}
        return {**plain(kept[value["$ref"].rpartition("/")[2]]), **own} if "$ref" in value else own

    found: dict[str, Any] = plain(schema)
    return found


class Choice(Generic[P]):
    """One part out of a catalogue, by its name. `Annotated[Base, Choice(…)]` validates so, and publishes a `oneOf`.

    A part that is made of others of its own catalogue gives a function that finds the catalogue once it is known; its
    schema then names them, since each of them might hold all of them again.
    """

    def __init__(
        self, base: type[P], catalogue: Mapping[str, type[P]] | Callable[[], Mapping[str, type[P]]], written: str
    ) -> None:
        """`written` says how one is written, for whoever gives no name."""
        self._base, self._given, self._written = base, catalogue, written
        self._what = base.__name__.lower()

    @property
    def _catalogue(self) -> Mapping[str, type[P]]:
        return self._given() if callable(self._given) else self._given

    def resolve(self, value: Any) -> P:
        """The part that `{name, …fields}` describes; unknown names and keys name the nearest known one."""
        if isinstance(value, self._base):
            return value
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str):
            context = {"names": ", ".join(self._catalogue)}
            raise PydanticCustomError(f"{self._what}_without_name", self._written + "; names: {names}", context)
        if name not in self._catalogue:
            line = InitErrorDetails(type=unknown(self._what, name, self._catalogue), loc=("name",), input=name)
            raise ValidationError.from_exception_data(self._base.__name__, [line])
        return self._catalogue[name].model_validate(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        serialization = core_schema.plain_serializer_function_ser_schema(lambda part: part.model_dump(mode="json"))
        return core_schema.no_info_plain_validator_function(self.resolve, serialization=serialization)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        if callable(self._given):
            named = {"name": {"type": "string", "enum": list(self._catalogue)}}
            found = {"type": "object", "properties": named, "required": ["name"], "title": self._base.__name__}
            return {**found, "x-part": self._what}
        choices = []
        for name, part in self._catalogue.items():
            own = plain_schema(part)
            properties = {"name": {"const": name, "type": "string"}, **own["properties"]}
            choices.append({**own, "properties": properties, "required": ["name", *own.get("required", [])]})
        return {"oneOf": choices, "title": self._base.__name__}
