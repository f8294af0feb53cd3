"""Checkpoints: registering, finding, listing, and what a run leaves behind."""

import uuid
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import ColumnElement, Text, cast, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased, object_session

from backend import paging, storage
from backend.accounts.models import User
from backend.accuracy.models import Accuracy
from backend.audit import service as audit
from backend.checkpoints import folder as folders
from backend.checkpoints.folder import Facts
from backend.checkpoints.models import Checkpoint, CheckpointKind, Fetch, Source
from backend.checkpoints.schemas import CheckpointOut, TemplateState
from backend.errors import Invalid, NotFound
from backend.evaluations.models import Battle, Evaluation, Match
from backend.exports.models import Export, Push
from backend.projects.models import Project
from backend.runs.models import Run, RunThird
from backend.storage import StorageTrouble
from backend.suggestions.holding import takes

JUDGES = Evaluation.judge, Accuracy.judge
TOY_NAME = "Toy world base"
TOY_PATH = "package:alignment/toyworld/base"
log = structlog.get_logger()


class WeightsGone(Invalid):
    title = "Weights gone"


class TemplateMissing(Invalid):
    title = "Chat template missing"


class NoWeightsHere(Invalid):
    title = "No weights here"


class WritesNothing(Invalid):
    title = "Writes nothing"


def find(session: Session, project: Project, checkpoint_id: uuid.UUID, *, lock: bool = False) -> Checkpoint:
    """The checkpoint, if it is this project's.  Raises NotFound."""
    found = session.get(Checkpoint, checkpoint_id, with_for_update=lock or None)
    if found is None or found.project_id != project.id:
        raise NotFound.of("checkpoint")
    return found


def page(
    session: Session, project: Project, cursor: str | None, limit: int, run_id: uuid.UUID | None = None
) -> tuple[Sequence[Checkpoint], str | None]:
    """Checkpoints, newest first, and the cursor of the next page."""
    query = select(Checkpoint).where(Checkpoint.project_id == project.id)
    if run_id is not None:
        query = query.where(Checkpoint.run_id == run_id)
    return paging.page(session, query, Checkpoint.id, cursor, limit)


def out(checkpoint: Checkpoint) -> CheckpointOut:
    """What people see of a checkpoint; whether its weights are still there is looked up now."""
    looked_up = {"available": available(checkpoint), "chat_template": template_state(checkpoint)}
    stored = {name: getattr(checkpoint, name) for name in CheckpointOut.model_fields if name not in looked_up}
    return CheckpointOut(**stored, **looked_up)


def template_state(checkpoint: Checkpoint) -> TemplateState:
    """Where the chat template comes from; an endpoint's server has its own."""
    if checkpoint.source in (Source.endpoint, Source.outputs):
        return "not needed"
    return "own" if checkpoint.own_template else "given" if checkpoint.template else "missing"


def available(checkpoint: Checkpoint) -> bool:
    """Whether the folder still holds what makes it a checkpoint; of an endpoint that is known when it is asked."""
    if checkpoint.source is Source.endpoint:
        return True
    if checkpoint.removed_at is not None or checkpoint.source is Source.outputs:
        return False
    if storage.is_key(checkpoint.path):
        return storage.exists(checkpoint.path)
    return folders.looks_like_checkpoint(storage.outside(checkpoint.path))


def require_weights(checkpoint: Checkpoint, field: str) -> None:
    """Raises WeightsGone, at the field that chose the checkpoint, when its folder no longer holds it.

    From here to the end of the transaction no retention rule removes them: what refers to the checkpoint by then is
    seen first.
    """
    session = object_session(checkpoint)
    if session is not None:
        session.refresh(checkpoint, ["removed_at"], with_for_update={"read": True, "key_share": True})
    if checkpoint.removed_at is not None:
        raise WeightsGone(
            f"The weights of “{checkpoint.name}” were deleted by the retention rule “{checkpoint.removed_by}”.",
            field=field,
            remedy="Choose another checkpoint.",
        )
    if checkpoint.source is Source.outputs:
        raise NoWeightsHere(
            f"“{checkpoint.name}” is known by imported outputs alone: there is nothing that could answer.",
            field=field,
            remedy="Choose a checkpoint with weights or an endpoint.",
        )
    if not available(checkpoint):
        raise WeightsGone(
            f"The weights of “{checkpoint.name}” are no longer in their folder.",
            field=field,
            remedy="Choose another checkpoint, or put the folder back.",
        )


def ready(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint could answer now."""
    can = checkpoint.kind is CheckpointKind.language_model and template_state(checkpoint) != "missing"
    return can and available(checkpoint)


def present(session: Session, project: Project, checkpoint_id: uuid.UUID, field: str) -> Checkpoint:
    """The checkpoint that a field names.  Raises NotFound at that field."""
    try:
        return find(session, project, checkpoint_id)
    except NotFound as error:
        raise NotFound(error.detail, field=field, remedy="Choose another checkpoint.") from error


def require_ready(checkpoint: Checkpoint, field: str) -> None:
    """Raises WeightsGone, WritesNothing or TemplateMissing, at the field that chose it, when it cannot answer."""
    require_weights(checkpoint, field)
    if checkpoint.kind is CheckpointKind.reward_model:
        raise WritesNothing(
            f"“{checkpoint.name}” is a reward model: it scores responses, and writes none.",
            field=field,
            remedy="Choose a language model.",
        )
    require_template(checkpoint, field)


def require_template(checkpoint: Checkpoint, field: str) -> None:
    """Raises TemplateMissing, at the field that chose it, when nothing says how it reads texts."""
    if template_state(checkpoint) == "missing":
        raise TemplateMissing(
            f"“{checkpoint.name}” has no chat template, so nobody can tell where a response begins.",
            field=field,
            remedy="Give it one on its page.",
        )


def require_trainable(checkpoint: Checkpoint, field: str) -> None:
    """Raises what `require_ready` does, and NoWeightsHere for an endpoint."""
    if checkpoint.source is Source.endpoint:
        raise NoWeightsHere(
            f"“{checkpoint.name}” is an endpoint: its weights are not here, and nothing can be trained or measured"
            " with them.",
            field=field,
            remedy="Choose a checkpoint with weights. Endpoints answer and judge in evaluations and in the arena.",
        )
    require_ready(checkpoint, field)


def pin(session: Session, project: Project, user: User, checkpoint_id: uuid.UUID, *, pinned: bool) -> Checkpoint:
    """Afterwards no retention rule may delete the weights, or any may again.  Raises NotFound, WeightsGone."""
    found = find(session, project, checkpoint_id, lock=True)
    if pinned:
        require_weights(found, "pinned")
    if found.pinned != pinned:
        found.pinned = pinned
        audit.record(session, user, project.id, "pin" if pinned else "unpin", "checkpoint", found.id)
    return found


def register_toy(session: Session, project: Project) -> Checkpoint:
    """The base checkpoint of the toy world, registered once; always marked as a toy."""
    known = at(session, project, TOY_PATH)
    if known is not None:
        return known
    facts = folders.read_outside(storage.outside(TOY_PATH))
    return add(session, project, TOY_NAME, TOY_PATH, facts, source=Source.toy, toy=True)


def register_fetched(session: Session, fetch: Fetch, key: str, facts: Facts) -> Checkpoint:
    """The checkpoint that a download has become, stored under `key`."""
    project = session.get_one(Project, fetch.project_id)
    checkpoint = add(
        session,
        project,
        fetch.name,
        key,
        facts,
        source=Source.hub,
        hub_id=fetch.hub_id,
        revision=fetch.commit,
        created_by=fetch.created_by,
        template=fetch.template,
        license=fetch.license,
    )
    fetch.checkpoint_id = checkpoint.id
    return checkpoint


def add_product(
    session: Session, *, run_id: uuid.UUID, run_name: str, parent: Checkpoint, step: int, key: str, facts: Facts
) -> Checkpoint:
    """The checkpoint that a run wrote at `step`; a second call for the same step gives the first one's row."""
    values = {
        "project_id": parent.project_id,
        "name": f"{run_name} · step {step}",
        "source": Source.run,
        "path": key,
        "run_id": run_id,
        "parent_id": parent.id,
        "step": step,
        "adapter": facts.adapter,
        "kind": _kind(facts),
        "architecture": facts.architecture,
        "parameters": facts.parameters,
        "max_tokens": facts.max_tokens,
        "toy": parent.toy,
        "own_template": facts.template,
        "template": None,
        "created_by": None,
    }
    session.execute(insert(Checkpoint).values(values).on_conflict_do_nothing())
    return session.scalars(select(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.step == step)).one()


def _kind(facts: Facts) -> CheckpointKind:
    return CheckpointKind.reward_model if facts.reward_model else CheckpointKind.language_model


def forget_product(session: Session, run_id: uuid.UUID, key: str) -> None:
    """Delete a checkpoint that its run has deleted, and what is stored of it; one that something refers to stays."""
    found = session.scalars(
        select(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.path == key).with_for_update()
    ).first()
    # Locked first: whoever was about to refer to it has done so by now, or will find it gone.
    if found is None or used(session, found):
        return
    session.delete(found)
    session.flush()
    try:
        storage.delete(key)
    except StorageTrouble as error:
        log.warning("removed checkpoint left in the storage", key=key, cause=error.detail)


def used(session: Session, checkpoint: Checkpoint) -> bool:
    """Whether a run, an answer, a judge, an export or another checkpoint refers to it."""
    return bool(session.scalar(select(referred_to(checkpoint.id))))


def referred_to(checkpoint_id: uuid.UUID | InstrumentedAttribute[uuid.UUID]) -> ColumnElement[bool]:
    """Whether a run, answer, judge, export, unfinished suggestion or other checkpoint refers to it, as a condition."""
    child = aliased(Checkpoint)
    return or_(
        exists().where(child.parent_id == checkpoint_id),
        exists().where(or_(Run.checkpoint_id == checkpoint_id, Run.reference_id == checkpoint_id)),
        exists().where(RunThird.checkpoint_id == checkpoint_id),
        exists().where(or_(Match.checkpoint_a == checkpoint_id, Match.checkpoint_b == checkpoint_id)),
        exists().where(Battle.contestants.contains(func.to_jsonb(cast(checkpoint_id, Text)))),
        exists().where(Export.checkpoint_id == checkpoint_id),
        exists().where(Push.checkpoint_id == checkpoint_id),
        takes(checkpoint_id),
        *(exists().where(cast(judge, Text).contains(cast(checkpoint_id, Text))) for judge in JUDGES),  # wherever in it
    )


def at(session: Session, project: Project, path: str) -> Checkpoint | None:
    """The project's checkpoint at a row's path, if there is one."""
    return session.scalars(
        select(Checkpoint).where(Checkpoint.project_id == project.id, Checkpoint.path == path)
    ).first()


def owns(session: Session, project: Project) -> Callable[[str], bool]:
    """Tells whether the project has a checkpoint at a row's path."""
    return lambda path: at(session, project, path) is not None


def add(
    session: Session,
    project: Project,
    name: str,
    path: str,
    facts: Facts,
    *,
    source: Source,
    toy: bool = False,
    hub_id: str | None = None,
    revision: str | None = None,
    created_by: uuid.UUID | None = None,
    template: str | None = None,
    license: str | None = None,
) -> Checkpoint:
    """A row for weights whose facts were read."""
    checkpoint = Checkpoint(
        project_id=project.id,
        name=name,
        source=source,
        path=path,
        hub_id=hub_id,
        revision=revision,
        adapter=facts.adapter,
        kind=_kind(facts),
        architecture=facts.architecture,
        parameters=facts.parameters,
        max_tokens=facts.max_tokens,
        toy=toy,
        created_by=created_by,
        own_template=facts.template,
        template=None if facts.template else template,
        license=license,
    )
    session.add(checkpoint)
    session.flush()
    return checkpoint
