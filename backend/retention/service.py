"""Rules of what a project keeps: reading and setting them, what they would remove, and applying them."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy import ARRAY, Text, Uuid, any_, cast, delete, func, literal, select, update
from sqlalchemy.orm import Session

from backend import storage
from backend.accounts.models import User
from backend.audit import service as audit
from backend.checkpoints.models import Checkpoint
from backend.evaluations.models import REMOVED, Battle, Match, TokenScores
from backend.exports import service as exports
from backend.exports.models import Export
from backend.projects.models import Project
from backend.retention import choosing
from backend.retention.models import RetentionRules
from backend.retention.schemas import GoesOut, RetentionPreviewOut, Rule, RulesIn, RulesOut
from backend.runs import resuming
from backend.runs.models import Run
from backend.work import now

log = structlog.get_logger()

EVERY = timedelta(days=1)
SHOWN = 10
GONE = {"error": REMOVED, "detail": "The answer was deleted by a retention rule of the project."}

Deed = Callable[[Session], object]


class Due(NamedTuple):
    """The rules of a project at the time when they are applied."""

    project_id: uuid.UUID
    rules: RulesIn


def read(session: Session, project: Project) -> RulesOut:
    """The rules of a project; those of one that never had any remove nothing."""
    row = _row(session, project)
    if row is None:
        return RulesOut(set_by=None, set_at=None, due_at=None)
    by = session.get(User, row.set_by) if row.set_by else None
    rules = _rules(row)
    return RulesOut(
        **rules.model_dump(),
        set_by=by.name if by else None,
        set_at=row.set_at,
        due_at=row.due_at if rules != RulesIn() else None,
    )


def write(session: Session, project: Project, user: User, rules: RulesIn) -> RulesOut:
    """Set the rules; they are first applied a day later, so that a slip can be taken back."""
    row = _row(session, project)
    if row is None:
        row = RetentionRules(project_id=project.id)
        session.add(row)
    for name, value in rules.model_dump().items():
        setattr(row, name, value)
    row.set_by, row.set_at, row.due_at = user.id, now(), now() + EVERY
    session.flush()
    audit.record(session, user, project.id, "change", "retention", project.id, rules.model_dump())
    return read(session, project)


def _row(session: Session, project: Project) -> RetentionRules | None:
    return session.scalars(select(RetentionRules).where(RetentionRules.project_id == project.id)).first()


def _rules(row: RetentionRules) -> RulesIn:
    return RulesIn(**{name: getattr(row, name) for name in RulesIn.model_fields})


def preview(session: Session, project_id: uuid.UUID, rules: RulesIn) -> RetentionPreviewOut:
    """What the rules would remove if they were applied now."""
    goes = [*_checkpoints_that_go(session, project_id, rules)]
    if rules.exports_days is not None:
        old = choosing.old_exports(session, project_id, rules.exports_days)
        goes.append(_going("exports_days", [export.name for export in old], [export.bytes for export in old]))
    if rules.answers_days is not None:
        size = (
            func.octet_length(Match.response_a["content"].astext),
            func.octet_length(Match.response_b["content"].astext),
        )
        found = select(func.count(), *(func.coalesce(func.sum(one), 0) for one in size)).where(
            *choosing.old_answers(project_id, rules.answers_days)
        )
        count, *bytes_of = session.execute(found).one()
        texts = func.coalesce(func.sum(func.octet_length(cast(Battle.answers, Text))), 0)
        battles = select(func.count(), texts).where(*choosing.old_battles(project_id, rules.answers_days))
        more, bytes_of_battles = session.execute(battles).one()
        count, bytes_of = count + more, [*bytes_of, bytes_of_battles]
        goes.append(GoesOut(rule="answers_days", count=count, bytes=sum(bytes_of), unmeasured=0, names=[]))
    return RetentionPreviewOut(count=sum(one.count for one in goes), bytes=sum(one.bytes for one in goes), goes=goes)


def _checkpoints_that_go(session: Session, project_id: uuid.UUID, rules: RulesIn) -> Iterator[GoesOut]:
    for rule, found in checkpoints(session, project_id, rules):
        yield _going(rule, [one.name for one in found], [one.bytes for one in found])


def _going(rule: Rule, names: Sequence[str], sizes: Sequence[int | None]) -> GoesOut:
    known = [size for size in sizes if size is not None]
    return GoesOut(
        rule=rule, count=len(names), bytes=sum(known), unmeasured=len(names) - len(known), names=[*names[:SHOWN]]
    )


def checkpoints(session: Session, project_id: uuid.UUID, rules: RulesIn) -> Iterator[tuple[Rule, Sequence[Checkpoint]]]:
    """The checkpoints that go, by the rule that lets them go."""
    if rules.last_checkpoints is not None:
        yield "last_checkpoints", choosing.old_checkpoints(session, project_id, rules.last_checkpoints)
    if rules.failed_days is not None:
        yield "failed_days", choosing.of_failed_runs(session, project_id, rules.failed_days)


def in_words(rule: Rule, rules: RulesIn) -> str:
    """A rule as people read it beside what it has removed."""
    number = getattr(rules, rule)
    days = f"{number} day{'' if number == 1 else 's'}"
    return {
        "last_checkpoints": f"keep the last {number} and the best of each finished run",
        "failed_days": f"keep weights of failed and cancelled runs for {days}",
        "answers_days": f"keep answers of the arena and of unfinished evaluations for {days}",
        "exports_days": f"keep exports for {days}",
    }[rule]


# ---- what a worker does ---------------------------------------------------------------------------------------------


def take(session: Session) -> Due | None:
    """A project whose rules are due; they are due again a day later. None when there is none."""
    found = (
        select(RetentionRules)
        .join(Project, Project.id == RetentionRules.project_id)
        .where(RetentionRules.due_at <= now(), Project.deleted_at.is_(None))
        .order_by(RetentionRules.due_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=RetentionRules)
    )
    row = session.scalars(found).first()
    if row is None:
        return None
    row.due_at = now() + EVERY
    return Due(row.project_id, _rules(row))


def deeds(session: Session, due: Due) -> list[Deed]:
    """What is to be done, each in a transaction of its own: what fails holds up nothing else."""
    rules, found = due.rules, list[Deed]()
    for rule, going in checkpoints(session, due.project_id, rules):
        found += [partial(remove_weights, checkpoint_id=one.id, rule=in_words(rule, rules)) for one in going]
    if rules.failed_days is not None:
        why = in_words("failed_days", rules)
        states = choosing.states_of_failed_runs(session, due.project_id, rules.failed_days)
        found += [partial(remove_state, run_id=run_id, rule=why) for run_id in states]
    if rules.exports_days is not None:
        why = in_words("exports_days", rules)
        old = choosing.old_exports(session, due.project_id, rules.exports_days)
        found += [partial(remove_export, export_id=export.id, rule=why) for export in old]
    if rules.answers_days is not None:
        why = in_words("answers_days", rules)
        found.append(partial(remove_answers, project_id=due.project_id, days=rules.answers_days, rule=why))
    return found


def remove_weights(session: Session, checkpoint_id: uuid.UUID, rule: str) -> bool:
    """Afterwards the weights are gone and their row says why, unless somebody uses them by now.  Raises StorageTrouble.

    The files first: what breaks off is done again a day later, and no row says that weights are gone which are there.
    """
    locked = session.get(Checkpoint, checkpoint_id, with_for_update={"skip_locked": True})
    # Locked first: whoever was about to refer to it has done so by now, or will find it gone.
    if locked is None or session.scalars(choosing.free(checkpoint_id)).first() is None:
        return False
    storage.delete(locked.path)
    locked.removed_at, locked.removed_by = now(), rule
    told = {"name": locked.name, "bytes": locked.bytes, "rule": rule}
    audit.record(session, None, locked.project_id, "delete", "weights", checkpoint_id, told)
    return True


def remove_state(session: Session, run_id: uuid.UUID, rule: str) -> bool:
    """Afterwards the run cannot be continued and what that took is gone, unless it goes on by now.  Raises
    StorageTrouble."""
    run = session.get(Run, run_id, with_for_update={"skip_locked": True})
    if run is None or run.state not in choosing.GIVEN_UP or run.state_step is None:
        return False
    storage.delete(resuming.key(run))
    run.state_step = None
    audit.record(session, None, run.project_id, "delete", "state", run_id, {"name": run.name, "rule": rule})
    return True


def remove_export(session: Session, export_id: uuid.UUID, rule: str) -> bool:
    """Afterwards the export is gone, unless it is being uploaded by now.  Raises StorageTrouble."""
    export = session.get(Export, export_id, with_for_update={"skip_locked": True})
    if export is None:
        return False
    told = {"name": export.name, "bytes": export.bytes, "rule": rule}
    exports.remove(session, session.get_one(Project, export.project_id), export_id)
    audit.record(session, None, export.project_id, "delete", "export", export_id, told)
    return True


def remove_answers(session: Session, project_id: uuid.UUID, days: int, rule: str) -> int:
    """Afterwards matches and battles are without the answers that are so old; returns how many. Prompts, verdicts and
    votes stay; what was read of their tokens goes too.

    Evaluations that are just being resumed keep theirs, and the others cannot be resumed until it is done.
    """
    session.execute(choosing.unfinished(project_id, days).with_for_update())
    old = update(Match).where(*choosing.old_answers(project_id, days)).values(response_a=GONE, response_b=GONE)
    gone = session.scalars(old.returning(Match.id)).all()
    session.execute(delete(TokenScores).where(TokenScores.match_id == any_(literal(list(gone), ARRAY(Uuid)))))
    fought = update(Battle).where(*choosing.old_battles(project_id, days)).values(answers=None)
    battles = len(session.scalars(fought.returning(Battle.id)).all())
    if gone or battles:
        told = {"matches": len(gone), "battles": battles, "rule": rule}
        audit.record(session, None, project_id, "delete", "answers", None, told)
    return len(gone) + battles
