"""What a task stands at: items done, begun and untouched, labels wanted and given."""

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from backend.labels.caller import Caller
from backend.labels.models import Label, Lease
from backend.labels.queries import retracted, skipped, unchanged
from backend.tasks import places, progress
from backend.tasks.models import Place, Share, Task
from backend.throughput.schemas import StandsOut


def stands(session: Session, caller: Caller, task: Task) -> StandsOut:
    """What the task stands at now, mostly by sums that are kept; only items that are begun and surplus are counted."""
    withdrawn = places.withdrawn(session, [task.dataset_id]).get(task.dataset_id, 0)
    far = progress.of(session, caller.user.id, [task])[task.id]
    begun = _begun(session, task)
    late = Label.task_id == task.id, Label.surplus, unchanged(Label), ~retracted(Label), ~skipped(Label)
    surplus = session.scalar(select(func.count()).where(*late)) or 0
    return StandsOut(
        total=far.total,
        done=far.done,
        in_work=begun,
        open=max(0, far.total - far.done - begun),
        withdrawn=withdrawn,
        wanted=far.wanted,
        labels=far.labels,
        surplus=surplus,
    )


def _begun(session: Session, task: Task) -> int:
    """Items that want more labels and have some, or are on a screen now."""
    own = Place.task_id == task.id, Place.open
    labelled = session.scalar(select(func.count()).where(*own, Place.taken > 0)) or 0
    people = select(Share.user_id).where(Share.task_id == task.id)
    held = Lease.annotator_id.in_(people), Lease.expires_at > func.now(), Lease.task_id == task.id
    on_screen = exists().where(*held, Lease.item_id == Place.item_id)
    return labelled + (session.scalar(select(func.count()).where(*own, Place.taken == 0, on_screen)) or 0)
