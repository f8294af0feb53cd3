"""Objectives: one loss per file, found here. `CATALOGUE` maps each name to its class; `ObjectiveSpec` validates one.

Importing this package does not import torch.
"""

from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from alignment.objectives.batch import Batch, Role, Tokens
from alignment.objectives.objective import Needs, Objective, Paper, State
from alignment.parts import find_parts, unknown

CATALOGUE = find_parts(__name__, Objective)


def resolve(value: Any) -> Objective:
    """The objective that `{name, …hyperparameters}` describes; unknown names and keys name the nearest known one."""
    if isinstance(value, Objective):
        return value
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str):
        message = "an objective is written {name: dpo, …}; names: {names}"
        raise PydanticCustomError("objective_without_name", message, {"names": ", ".join(CATALOGUE)})
    if name not in CATALOGUE:
        line = InitErrorDetails(type=unknown("objective", name, CATALOGUE), loc=("name",), input=name)
        raise ValidationError.from_exception_data("Objective", [line])
    return CATALOGUE[name].model_validate(value)


class _ByName:
    """Tells Pydantic to validate an `Objective` by its name, and to publish the choice as `oneOf`."""

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
        return {"oneOf": choices, "title": "Objective"}


ObjectiveSpec = Annotated[Objective, _ByName]

__all__ = ["CATALOGUE", "Batch", "Needs", "Objective", "ObjectiveSpec", "Paper", "Role", "State", "Tokens", "resolve"]
