"""Judges from the catalogue, for evaluations: listed, checked, recorded."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from alignment.judges import CATALOGUE, Judge
from alignment.judges import resolve as resolve_part
from backend.errors import Invalid
from backend.evaluations.schemas import JudgeOut


class BadJudge(Invalid):
    title = "Judge refused"


def catalogue() -> list[JudgeOut]:
    """Every judge with the schema of its fields."""
    return [JudgeOut.model_validate(part.describe()) for part in CATALOGUE.values()]


def resolve(spec: dict[str, Any]) -> Judge:
    """The judge that `{name, …}` describes.  Raises BadJudge naming the field at fault."""
    try:
        return resolve_part(spec)
    except ValidationError as error:
        problem = error.errors()[0]
        path = ".".join(str(part) for part in ("judge", *problem["loc"]))
        raise BadJudge(f"{path}: {problem['msg']}.", field=path, remedy="Choose a judge from the list.") from error
    except PydanticCustomError as error:
        raise BadJudge(f"judge: {error.message()}.", field="judge", remedy="Choose a judge from the list.") from error


def record(spec: dict[str, Any]) -> dict[str, Any]:
    """The judge with every setting spelled out, as it is stored."""
    return resolve(spec).model_dump(mode="json")
