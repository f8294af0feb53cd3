"""Outputs of other tools' models: kept by prompt when a file is imported, and given as answers in new evaluations."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint, Source
from backend.errors import Invalid
from backend.evaluations import contestants
from backend.evaluations.models import Output
from backend.evaluations.prompts import Prompt

AT_ONCE = 1_000
ABSENT = {"error": "not imported", "detail": "Its imported outputs hold no answer to this prompt."}
Given = Mapping[tuple[uuid.UUID, str], dict[str, Any]]
"""Answers that need not be asked for, by contestant and prompt hash; every prompt of a contestant known by outputs."""


class NoOutputs(Invalid):
    title = "No outputs"


class Kept(NamedTuple):
    """An answer that a file holds."""

    checkpoint_id: uuid.UUID
    prompt: Prompt
    answer: dict[str, Any]


def keep(session: Session, project_id: uuid.UUID, answers: Iterable[Kept]) -> None:
    """Afterwards these are what the contestants answer to these prompts; the last one counts."""
    last = {(one.checkpoint_id, one.prompt.hash): one for one in answers}
    rows = [
        {
            "project_id": project_id,
            "checkpoint_id": checkpoint_id,
            "prompt_hash": hashed,
            "prompt": one.prompt.messages,
            "answer": one.answer,
        }
        for (checkpoint_id, hashed), one in sorted(last.items())
    ]
    adding = insert(Output)
    replacing = adding.on_conflict_do_update(
        index_elements=[Output.checkpoint_id, Output.prompt_hash], set_={"answer": adding.excluded.answer}
    )
    for start in range(0, len(rows), AT_ONCE):
        session.execute(replacing, rows[start : start + AT_ONCE])


def taking_part(session: Session, project_id: uuid.UUID, ids: Sequence[uuid.UUID]) -> list[Checkpoint]:
    """Contestants that can answer now, or have answered.  Raises UnknownCheckpoint, and what `require_ready` does."""
    found = contestants.find_all(session, project_id, ids, "contestants")
    for place, one in enumerate(found):
        if one.source is not Source.outputs:
            checkpoints.require_ready(one, f"contestants.{place}")
    return found


def given(session: Session, found: Sequence[Checkpoint], prompts: Sequence[Prompt]) -> Given:
    """What contestants known by outputs have answered to the prompts, or that they have not.

    Raises NoOutputs for one that has answered none of them.
    """
    told: dict[tuple[uuid.UUID, str], dict[str, Any]] = {}
    hashes = [prompt.hash for prompt in prompts]
    for place, one in enumerate(found):
        if one.source is not Source.outputs:
            continue
        query = select(Output.prompt_hash, Output.answer).where(Output.checkpoint_id == one.id)
        answers: dict[str, dict[str, Any]] = dict(session.execute(query.where(Output.prompt_hash.in_(hashes))).all())
        if not answers:
            raise NoOutputs(
                f"The imported outputs of “{one.name}” answer none of these prompts.",
                field=f"contestants.{place}",
                remedy="Take the prompts that its outputs answer.",
            )
        told |= {(one.id, hashed): answers.get(hashed, dict(ABSENT)) for hashed in hashes}
    return told


def lacking(found: Sequence[Checkpoint], given: Given) -> list[str]:
    """A sentence for every contestant whose outputs lack answers."""
    said = []
    for one in found:
        own = [answer for (checkpoint_id, _), answer in given.items() if checkpoint_id == one.id]
        missing = sum("content" not in answer for answer in own)
        if missing:
            said.append(
                f"The imported outputs of “{one.name}” lack {missing:,} of the {len(own):,} prompts: those matches"
                " have no answer, and count for nobody."
            )
    return said
