"""Chat templates that people give to weights without one: tried in a process with limits, kept in the row.

The folder of the weights is not touched; `backend.checkpoints.places` shows the template beside them in use.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from alignment.templates import special_tokens
from alignment.training.errors import CheckpointRefused
from backend.checkpoints import places, roots, service
from backend.checkpoints.models import Checkpoint, Source
from backend.checkpoints.schemas import TemplateCheckIn, TemplateCheckOut
from backend.errors import Conflict, Invalid
from backend.outbound import turn
from backend.projects.models import Project

SECONDS = 30.0
ENVIRONMENT = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV")  # nothing secret
EXAMPLE = {"bos_token": "<s>", "eos_token": "</s>"}
READ = "Compare with the template of a model of the same family; Jinja's rules are at jinja.palletsprojects.com."


class TemplateRefused(Invalid):
    title = "Chat template refused"


class HasTemplate(Conflict):
    title = "Has a chat template"


def check(template: str, tokens: dict[str, str] | None = None) -> TemplateCheckOut:
    """What the template makes of sample dialogues.  Raises TemplateRefused, TooManyChecks."""
    if "messages" not in template:
        raise TemplateRefused(
            "It never reads `messages`, so nothing of a dialogue is left.", field="chat_template", remedy=READ
        )
    asked = json.dumps({"template": template, "tokens": EXAMPLE if tokens is None else tokens})
    with turn():
        said = _try(asked)
    if "problem" in said:
        raise TemplateRefused(said["problem"], field="chat_template", remedy=READ)
    return TemplateCheckOut.model_validate(said)


def _try(asked: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "alignment.templates"]
    plain = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    try:
        ended = subprocess.run(  # noqa: S603  (a list, from our own code)
            command, input=asked, capture_output=True, text=True, timeout=SECONDS, check=False, env=plain
        )
    except subprocess.TimeoutExpired:
        return {"problem": "It does not come to an end."}
    lines = ended.stdout.splitlines()
    if ended.returncode != 0 or not lines:
        return {"problem": "It does not come to an end, or takes too much memory."}
    said = json.loads(lines[-1])
    return said if isinstance(said, dict) else {}


def try_out(session: Session, project: Project, body: TemplateCheckIn, allowed: Sequence[Path]) -> TemplateCheckOut:
    """The same with the special tokens of a checkpoint or of a folder that could be one.  Raises also NotFound,
    OutsideRoots."""
    tokens = None
    if body.checkpoint_id is not None:
        tokens = _tokens(places.outline(session, service.find(session, project, body.checkpoint_id)))
    elif body.folder is not None:
        tokens = _tokens(roots.resolve(allowed, body.folder, service.owns(session, project)))
    return check(body.chat_template, tokens)


def give(session: Session, project: Project, checkpoint_id: uuid.UUID, template: str) -> Checkpoint:
    """Give the checkpoint a template; another one only while nothing was made with the first.

    Raises NotFound, HasTemplate, TemplateRefused.
    """
    checkpoint = service.find(session, project, checkpoint_id, lock=True)
    if checkpoint.source is Source.endpoint or checkpoint.own_template:
        raise HasTemplate(f"“{checkpoint.name}” has a chat template of its own.", field="chat_template")
    if checkpoint.template is not None and service.used(session, checkpoint):
        raise HasTemplate(
            "Runs or answers were made with the template it has.",
            field="chat_template",
            remedy="Register the weights once more from a copy of their folder, with the other template.",
        )
    check(template, _tokens(places.outline(session, checkpoint)))
    checkpoint.template = template
    return checkpoint


def _tokens(folder: Path) -> dict[str, str]:
    try:
        return special_tokens(folder)
    except CheckpointRefused as error:
        raise TemplateRefused(error.detail, field="chat_template", remedy=error.remedy) from error
