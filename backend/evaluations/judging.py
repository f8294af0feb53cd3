"""Judges from the catalogue, for evaluations: listed, checked, recorded."""

import uuid
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Session

from alignment.judges import CATALOGUE, Judge
from alignment.judges import resolve as resolve_part
from alignment.judges.checks import Checks, installed
from alignment.judges.llm import LLM
from alignment.judges.panel import MEMBER
from alignment.judges.prompt_checks import PromptChecks
from alignment.parts import faults
from backend.checkpoints.models import Checkpoint
from backend.errors import Invalid
from backend.evaluations.schemas import EvaluationOut, JudgeOut
from backend.settings import get_settings


class BadJudge(Invalid):
    title = "Judge refused"


def catalogue() -> list[JudgeOut]:
    """Every judge with the schema of its fields; installed checks by their names, and only where there are any.

    Prompts' own checks are left out: they come with the prompts.
    """
    checks = installed(get_settings().checks)
    chosen = [part for part in CATALOGUE.values() if part is not PromptChecks and (checks or part is not Checks)]
    found = [part.describe() for part in chosen]
    for one in found:
        if one["name"] == Checks.name:
            one["schema"]["properties"]["checks"]["items"]["enum"] = checks
    return [JudgeOut.model_validate(one) for one in found]


def resolve(spec: dict[str, Any]) -> Judge:
    """The judge that `{name, …}` describes.  Raises BadJudge naming the field at fault."""
    try:
        return resolve_part(spec)
    except ValidationError as error:
        (place, problem), *_ = faults(error.errors())
        path = ".".join(str(part) for part in ("judge", *place))
        raise BadJudge(f"{path}: {problem}.", field=path, remedy="Choose a judge from the list.") from error
    except PydanticCustomError as error:
        raise BadJudge(f"judge: {error.message()}.", field="judge", remedy="Choose a judge from the list.") from error


def called(session: Session, spec: dict[str, Any], judge: str) -> str:
    """What to call the voice `judge` in an evaluation whose recorded judge is `spec`: a model by its own name, every
    other in words."""
    if _place(spec, judge):
        return called(session, member(spec, judge), member(spec, judge)["name"])
    asked = model_id(spec) if judge == spec.get("name") else None
    found = session.get(Checkpoint, asked) if asked else None
    return found.name if found else judge.replace("_", " ")


def in_words(voice: str, evaluation: EvaluationOut) -> str:
    """What a reader of the evaluation is told that a voice is: a model by its own name, a panel's member by its place
    and what it is."""
    spec, models = evaluation.judge, evaluation.judge_models
    number = _place(spec, voice)
    if number:
        own, model = member(spec, voice), models.get(f"members.{number - 1}.checkpoint")
        what = model.name if model and own["name"] == LLM.name else str(own["name"]).replace("_", " ")
        return f"member {number} of the panel ({what})"
    model = evaluation.judge_model if voice == LLM.name else None
    return model.name if model else voice.replace("_", " ")


def mend(spec: dict[str, Any], voice: str) -> str:
    """What to do where the voice, in an evaluation whose recorded judge is `spec`, decides nothing."""
    name = member(spec, voice)["name"] if _place(spec, voice) else voice
    return CATALOGUE.get(name, Judge).mend


def _place(spec: dict[str, Any], voice: str) -> int:
    """The place, from 1, of the recorded panel's member that speaks under this name; 0 for every other voice."""
    number = voice.removeprefix(MEMBER) if voice.startswith(MEMBER) else ""
    return int(number) if number.isdecimal() and int(number) <= len(spec.get("members", ())) else 0


def member(spec: dict[str, Any], voice: str) -> dict[str, Any]:
    """The member of a recorded panel that speaks under this name."""
    found: dict[str, Any] = spec["members"][int(voice.removeprefix(MEMBER)) - 1]
    return found


def model_id(spec: dict[str, Any]) -> uuid.UUID | None:
    """The checkpoint that a recorded judge asks in words."""
    return uuid.UUID(spec["checkpoint"]) if spec.get("name") == LLM.name and "checkpoint" in spec else None


def asked(spec: dict[str, Any]) -> dict[str, uuid.UUID]:
    """Every checkpoint that a recorded judge asks, by the path of its field; none of one that was imported."""
    if spec.get("name") not in CATALOGUE:
        return {}
    try:
        return {path: one.checkpoint for path, one in resolve_part(spec).asks.items()}
    except ValidationError:  # an imported judge that is called as one of ours
        return {}
