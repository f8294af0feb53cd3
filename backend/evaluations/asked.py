"""Checkpoints that judges ask: found in the project, fit for what they are asked, their settings spelled out."""

import uuid
from typing import Any

from sqlalchemy.orm import Session

from alignment.judges import Asked, Judge
from alignment.judges.checks import Checks, installed
from alignment.judges.density_ratio import DensityRatio
from alignment.judges.implicit_reward import ImplicitReward
from alignment.judges.panel import Panel
from alignment.objectives.rewards import BETA, per_token
from alignment.training import folder as folders
from alignment.training.errors import CheckpointRefused
from backend.checkpoints import places
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint, CheckpointKind, Source
from backend.checkpoints.schemas import EndpointFacts
from backend.errors import AppError
from backend.evaluations.judging import BadJudge
from backend.projects.models import Project
from backend.runs.models import Run
from backend.secrets import service as secrets
from backend.settings import get_settings

LIST = "Choose one from the list."
ITSELF = "A checkpoint measured against itself finds all answers alike."


def settled(session: Session, project: Project, judge: Judge, field: str = "judge") -> Judge:
    """The judge with everything said that its checkpoints' runs say of it.  Raises BadJudge."""
    if isinstance(judge, ImplicitReward):
        return _of_run(session, project, judge, field)
    if isinstance(judge, Panel):
        own = enumerate(judge.members)
        members = tuple(settled(session, project, one, f"{field}.members.{place}") for place, one in own)
        return judge.model_copy(update={"members": members})
    if isinstance(judge, DensityRatio) and judge.strong == judge.weak:
        raise BadJudge(ITSELF, field=f"{field}.weak", remedy="Choose another one.")
    if isinstance(judge, Checks):
        known = installed(get_settings().checks)
        for place, name in enumerate(judge.checks):
            if name not in known:
                raise BadJudge(
                    f"No check “{name}” is installed here.",
                    field=f"{field}.checks.{place}",
                    remedy="Ask whoever runs the program to put it into the folder PLUMBLINE_CHECKS.",
                )
    return judge


def _of_run(session: Session, project: Project, judge: ImplicitReward, field: str) -> ImplicitReward:
    """Reference, beta and the way over tokens of the run that trained the checkpoint, where they are not given."""
    trained = _find(session, project, judge.checkpoint, f"{field}.checkpoint")
    run = session.get(Run, trained.run_id) if trained.run_id else None
    objective: dict[str, Any] = run.spec.get("objective", {}) if run else {}
    reference = judge.reference or (run and (run.reference_id or run.checkpoint_id))
    if reference is None:
        raise BadJudge(
            f"“{trained.name}” comes from no run here, so nobody knows what it was trained from.",
            field=f"{field}.reference",
            remedy="Choose the checkpoint that it was trained from.",
        )
    if reference == trained.id:
        raise BadJudge(ITSELF, field=f"{field}.reference", remedy="Choose the checkpoint that it was trained from.")
    beta = judge.beta or objective.get("beta") or BETA
    over = judge.over or ("mean" if per_token(objective) else "sum")
    return judge.model_copy(update={"reference": reference, "beta": float(beta), "over": over})


def models(session: Session, project: Project, judge: Judge) -> dict[str, Checkpoint]:
    """The checkpoints that `judge` asks, by the path of the field, kept from being deleted until the transaction ends.

    Raises BadJudge, WeightsGone, WritesNothing or TemplateMissing, each at its field.
    """
    found = {}
    for path, one in judge.asks.items():
        field = f"judge.{path}"
        found[path] = _find(session, project, one.checkpoint, field)
        _require_fit(session, project, found[path], one, field)
    return found


def _find(session: Session, project: Project, checkpoint_id: uuid.UUID, field: str) -> Checkpoint:
    found = session.get(Checkpoint, checkpoint_id, with_for_update={"read": True})
    if found is None or found.project_id != project.id:
        raise BadJudge("There is no such checkpoint.", field=field, remedy=LIST)
    return found


def _require_fit(session: Session, project: Project, found: Checkpoint, asked: Asked, field: str) -> None:
    if found.source is Source.endpoint:
        if asked.kind != "model":
            raise BadJudge(
                f"“{found.name}” is an endpoint, which tells nothing of answers that others wrote.",
                field=field,
                remedy="Choose a checkpoint whose weights are here.",
            )
        _require_key(session, project, found, field)
    elif asked.kind == "reward_model":
        _require_reward_model(session, found, field)
    else:
        checkpoints.require_ready(found, field)


def _require_key(session: Session, project: Project, found: Checkpoint, field: str) -> None:
    facts = EndpointFacts.model_validate(found.endpoint)
    if facts.secret is not None:
        try:
            secrets.require(session, project.id, facts.secret, url=facts.base_url)
        except AppError as error:
            raise BadJudge(error.detail, field=field, remedy=error.remedy) from error


def _require_reward_model(session: Session, found: Checkpoint, field: str) -> None:
    if found.kind is not CheckpointKind.reward_model:
        raise BadJudge(
            f"“{found.name}” writes answers and is no reward model: it gives no scores.",
            field=field,
            remedy="Choose a reward model, or let the implicit reward of this checkpoint judge.",
        )
    checkpoints.require_weights(found, field)
    checkpoints.require_template(found, field)
    try:
        folders.reading_of(places.outline(session, found))
    except CheckpointRefused as error:
        raise BadJudge(error.detail, field=field, remedy=error.remedy) from error
