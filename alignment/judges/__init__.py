"""Judges: one way to decide a match per file, found here. `CATALOGUE` maps each name to its class.

Importing this package imports neither torch nor transformers.
"""

from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from alignment.judges.judge import Judge, Match, Verdict
from alignment.parts import find_parts, unknown

CATALOGUE = find_parts(__name__, Judge)


def resolve(value: Any) -> Judge:
    """The judge that `{name, …settings}` describes; unknown names and keys name the nearest known one."""
    if isinstance(value, Judge):
        return value
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str):
        message = "a judge is written {name: toy_truth, …}; names: {names}"
        raise PydanticCustomError("judge_without_name", message, {"names": ", ".join(CATALOGUE)})
    if name not in CATALOGUE:
        line = InitErrorDetails(type=unknown("judge", name, CATALOGUE), loc=("name",), input=name)
        raise ValidationError.from_exception_data("Judge", [line])
    return CATALOGUE[name].model_validate(value)


class _ByName:
    """Tells Pydantic to validate a `Judge` by its name, and to publish the choice as `oneOf`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        serialization = core_schema.plain_serializer_function_ser_schema(lambda part: part.model_dump(mode="json"))
        return core_schema.no_info_plain_validator_function(resolve, serialization=serialization)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        choices = []
        for name, part in CATALOGUE.items():
            own = part.model_json_schema()
            properties = {"name": {"const": name, "type": "string"}, **own["properties"]}
            choices.append({**own, "properties": properties, "required": ["name", *own.get("required", [])]})
        return {"oneOf": choices, "title": "Judge"}


JudgeSpec = Annotated[Judge, _ByName]

__all__ = ["CATALOGUE", "Judge", "JudgeSpec", "Match", "Verdict", "resolve"]
