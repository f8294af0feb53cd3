"""What a task stands at: items done, begun and untouched, labels wanted and given."""

from sqlalchemy import and_, exists, func, select
from sqlalchemy.orm import Session

from backend.datasets.models import Dataset
from backend.labels.models import Label, Lease, Tally
from backend.labels.queries import retracted, skipped, unchanged
from backend.tasks import places
from backend.tasks.models import Place, Share, Task
from backend.throughput.schemas import StandsOut


def stands(session: Session, task: Task) -> StandsOut:
    """What the task stands at now, mostly by sums that are kept; only items that are begun and surplus are counted."""
    dataset = session.get_one(Dataset, task.dataset_id)
    withdrawn = places.withdrawn(session, [dataset.id]).get(dataset.id, 0)
    total = sum(dataset.splits.values()) - withdrawn
    done = session.scalar(select(func.coalesce(func.sum(Tally.done), 0)).where(Tally.task_id == task.id)) or 0
    begun, partly = _begun(session, task)
    late = Label.task_id == task.id, Label.surplus, unchanged(Label), ~retracted(Label), ~skipped(Label)
    surplus = session.scalar(select(func.count()).where(*late)) or 0
    return StandsOut(
        total=total,
        done=done,
        in_work=begun,
        open=max(0, total - done - begun),
        withdrawn=withdrawn,
        wanted=total * task.overlap,
        labels=done * task.overlap + partly,
        surplus=surplus,
    )


def _begun(session: Session, task: Task) -> tuple[int, int]:
    """Items that want more labels and have some, or are on a screen now, and how many labels these have."""
    people = select(Share.user_id).where(Share.task_id == task.id)
    held = Lease.annotator_id.in_(people), Lease.expires_at > func.now()
    on_screen = exists().where(*held, Lease.task_id == task.id, Lease.item_id == Place.item_id)
    own = and_(Place.task_id == task.id, Place.open)
    both = select(func.count(), func.coalesce(func.sum(Place.taken), 0)).where(own, (Place.taken > 0) | on_screen)
    begun, partly = session.execute(both).one()
    return begun, partly
