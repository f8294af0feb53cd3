"""Judges from the catalogue, for evaluations: listed, checked, recorded."""

import uuid
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Session

from alignment.judges import CATALOGUE, Judge
from alignment.judges import resolve as resolve_part
from alignment.judges.llm import LLM
from alignment.parts import said
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.schemas import EndpointFacts
from backend.errors import AppError, Invalid
from backend.evaluations.schemas import JudgeOut
from backend.projects.models import Project
from backend.secrets import service as secrets

FIELD = "judge.checkpoint"


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
        raise BadJudge(f"{path}: {said(problem)}.", field=path, remedy="Choose a judge from the list.") from error
    except PydanticCustomError as error:
        raise BadJudge(f"judge: {error.message()}.", field="judge", remedy="Choose a judge from the list.") from error


def record(spec: dict[str, Any]) -> dict[str, Any]:
    """The judge with every setting spelled out, as it is stored."""
    return resolve(spec).model_dump(mode="json")


def model(session: Session, project: Project, judge: Judge) -> Checkpoint | None:
    """The endpoint that `judge` asks, if it asks one, kept from being deleted until the transaction ends.

    Raises BadJudge.
    """
    if not isinstance(judge, LLM):
        return None
    found = session.get(Checkpoint, judge.checkpoint, with_for_update={"read": True})
    if found is None or found.project_id != project.id:
        raise BadJudge("There is no such checkpoint.", field=FIELD, remedy="Choose one from the list.")
    if found.endpoint is None:
        raise BadJudge(
            f"“{found.name}” is no endpoint, and only an endpoint judges.",
            field=FIELD,
            remedy="Serve it with vLLM or another server, and register that as an endpoint.",
        )
    facts = EndpointFacts.model_validate(found.endpoint)
    if facts.secret is not None:
        try:
            secrets.require(session, project.id, facts.secret, url=facts.base_url)
        except AppError as error:
            raise BadJudge(error.detail, field=FIELD, remedy=error.remedy) from error
    return found


def called(session: Session, spec: dict[str, Any], judge: str) -> str:
    """What to call the voice `judge` in an evaluation whose recorded judge is `spec`: a model by its own name."""
    asked = model_id(spec) if judge == spec.get("name") else None
    found = session.get(Checkpoint, asked) if asked else None
    return found.name if found else judge


def model_id(spec: dict[str, Any]) -> uuid.UUID | None:
    """The checkpoint that a recorded judge asks."""
    return uuid.UUID(spec["checkpoint"]) if "checkpoint" in spec else None
