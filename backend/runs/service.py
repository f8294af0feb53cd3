"""Runs: launching, finding, listing, cancelling."""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.objectives import REFERENCE, rewards
from alignment.training.spec import Spec
from backend import paging, queue, storage, work
from backend.accounts.models import User
from backend.checkpoints import places
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.errors import Invalid, NotFound
from backend.projects.models import Project
from backend.regressions import service as regressions
from backend.runs import alike, counts, devices, estimate, mixture, spec, suited, thirds
from backend.runs.models import Place, Run, RunEvent
from backend.runs.schemas import RunIn
from backend.settings import Settings

MOST_STEPS = 100_000_000  # as many as a spec may ask for by number


class TooFewExamples(Invalid):
    title = "The dataset is too small"


class TooManySteps(Invalid):
    title = "Too many steps"


def launch(session: Session, project: Project, user: User, body: RunIn, settings: Settings) -> Run:
    """A queued run on a frozen snapshot; a worker is rung after the commit. Nothing is kept when it is refused.

    Raises NotFound, WeightsGone, UnsupportedRun, UnlikeCheckpoints, UnsuitedData, UnfitExample, NothingToTrainOn,
    TooManyDevices, TooFewExamples, TooManySteps, NoSpace.
    """
    base = usable(session, project, body.checkpoint_id, "checkpoint_id")
    others = {name: usable_third(session, project, name, found, body) for name, found in body.third_ids.items()}
    if body.reference_id is not None:
        others[REFERENCE] = usable(session, project, body.reference_id, "reference_id")
    suited.refuse_unsupported(body)
    alike.refuse_unlike(session, base, others, body)
    parts = mixture.freeze(session, project, body, settings)
    field = body.ingredients()[0][0]
    examples = mixture.together([counts.of_snapshot(part.snapshot, body) for part in parts], body, field).train
    if body.devices > 1:
        devices.refuse_too_many(body, devices.largest(settings.redis_url))
    refuse_unfitting(examples, body, field)
    run = Run(
        project_id=project.id,
        name=body.name,
        kind=body.kind,
        spec=body.recipe(),
        objective=body.objective.name,
        checkpoint_id=base.id,
        reference_id=body.reference_id,
        snapshot_id=parts[0].snapshot.id,
        total=estimate.steps(body, examples),
        guard=regressions.guard(body.guard),
        place=Place.elsewhere if body.where == "report" else Place.worker,
        created_by=user.id,
    )
    session.add(run)
    session.flush()
    mixture.keep(session, run.id, parts)
    thirds.keep(session, run.id, body.third_ids)
    if run.place is Place.worker:
        queue.ring(session, "train")
    return run


def usable(session: Session, project: Project, checkpoint_id: uuid.UUID, field: str) -> Checkpoint:
    """A checkpoint of this project whose weights are still there.  Raises NotFound, WeightsGone,
    TemplateMissing, NoWeightsHere."""
    found = checkpoints.present(session, project, checkpoint_id, field)
    checkpoints.require_trainable(found, field)
    return found


def usable_third(session: Session, project: Project, name: str, checkpoint_id: uuid.UUID, body: RunIn) -> Checkpoint:
    """The same of a further checkpoint; one whose rewards are asked may be a reward model.

    Raises NotFound, WeightsGone, WritesNothing, TemplateMissing, NoWeightsHere, NoReward.
    """
    found = checkpoints.present(session, project, checkpoint_id, "third_ids")
    if name in rewards.rewards(body.third_ids):
        thirds.require_reward(session, found, name, body)
    else:
        checkpoints.require_trainable(found, "third_ids")
    return found


def refuse_unfitting(examples: int, body: RunIn, field: str) -> None:
    """Raise TooFewExamples when the training split does not fill one optimizer step, TooManySteps when it fills more
    than a run may take."""
    wanted = body.batch.examples_per_step
    if examples < wanted:
        raise TooFewExamples(
            f"There are {examples:,} training examples, and one step takes {wanted:,}.",
            field="batch.examples_per_step" if examples else field,
            remedy=f"Lower the examples per step to {max(examples, 1):,} or less, or add more data.",
        )
    if estimate.steps(body, examples) > MOST_STEPS:
        raise TooManySteps(
            f"{body.duration.epochs:g} epochs of {examples:,} examples are more than {MOST_STEPS:,} steps.",
            field="duration.epochs",
            remedy="Take fewer epochs, or a larger batch.examples_per_step.",
        )


def find(session: Session, project: Project, run_id: uuid.UUID, *, lock: bool = False) -> Run:
    """The run, if it is this project's.  Raises NotFound."""
    found = session.get(Run, run_id, with_for_update=lock or None)
    if found is None or found.project_id != project.id:
        raise NotFound.of("run")
    return found


def page(
    session: Session,
    project: Project,
    cursor: str | None,
    limit: int,
    states: Sequence[work.State] | None = None,
    checkpoint_id: uuid.UUID | None = None,
) -> tuple[Sequence[Run], str | None]:
    """Runs, newest first, and the cursor of the next page."""
    query = select(Run).where(Run.project_id == project.id)
    if states:
        query = query.where(Run.state.in_(states))
    if checkpoint_id is not None:
        query = query.where(Run.checkpoint_id == checkpoint_id)
    return paging.page(session, query, Run.id, cursor, limit)


def cancel(session: Session, project: Project, run_id: uuid.UUID) -> Run:
    """Ask a run to stop; a queued one is cancelled at once.  Raises AlreadyEnded."""
    run = find(session, project, run_id, lock=True)
    work.request_stop(run)
    return run


def events(
    session: Session, run: Run, after: uuid.UUID | None, kinds: Sequence[str] | None, limit: int
) -> Sequence[RunEvent]:
    """Events after a cursor, oldest first; without one, the newest `limit`, also oldest first."""
    query = select(RunEvent).where(RunEvent.run_id == run.id)
    if kinds:
        query = query.where(RunEvent.kind.in_(kinds))
    if after is not None:
        return session.scalars(query.where(RunEvent.id > after).order_by(RunEvent.id).limit(limit)).all()
    return list(reversed(session.scalars(query.order_by(RunEvent.id.desc()).limit(limit)).all()))


class Materials(NamedTuple):
    """What a run is made of: its recipe, the chains of its checkpoints, and its data; needs no session."""

    recipe: dict[str, Any]
    base: list[Checkpoint]
    reference: list[Checkpoint] | None
    third: dict[str, list[Checkpoint]]
    data: list[mixture.Part]

    def fetched(self, use: storage.Use) -> Spec:
        """The whole spec with the places on this machine.  Raises StorageTrouble, ObjectMissing, NoSpace."""
        reference = str(places.place(self.reference, use)) if self.reference else None
        third = {name: str(places.place(chain, use)) for name, chain in self.third.items()}
        data = [(str(use(part.snapshot.path)), part.weight) for part in self.data]
        return spec.with_paths(self.recipe, str(places.place(self.base, use)), reference, third, data)

    def shown(self) -> Spec:
        """The whole spec with what people are told of the places."""
        reference = storage.shown(self.reference[0].path) if self.reference else None
        third = {name: storage.shown(chain[0].path) for name, chain in self.third.items()}
        data = [(storage.shown(part.snapshot.path), part.weight) for part in self.data]
        return spec.with_paths(self.recipe, storage.shown(self.base[0].path), reference, third, data)


def materials(session: Session, run: Run) -> Materials:
    """Everything that training needs to be told of a run."""
    reference = session.get_one(Checkpoint, run.reference_id) if run.reference_id else None
    return Materials(
        run.spec,
        places.chain(session, session.get_one(Checkpoint, run.checkpoint_id)),
        places.chain(session, reference) if reference else None,
        {name: places.chain(session, found) for name, found in thirds.of(session, run.id).items()},
        mixture.of(session, run.id),
    )
