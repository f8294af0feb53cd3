"""When a task takes no more labels: it was closed, or its deadline has passed by the server's clock."""

from datetime import datetime

from backend.errors import Conflict
from backend.tasks.models import Task
from backend.work import now


class TaskClosed(Conflict):
    title = "Task closed"


class DeadlinePassed(Conflict):
    title = "Deadline passed"


def ended(task: Task) -> datetime | None:
    """Since when the task takes no more labels, if it does not."""
    if task.closed_at is not None:
        return task.closed_at
    return task.deadline if task.deadline is not None and task.deadline <= now() else None


def refuse_ended(task: Task) -> None:
    """Raises TaskClosed, DeadlinePassed."""
    if task.closed_at is not None:
        raise TaskClosed(
            f"“{task.name}” is closed; what you labelled before is kept.", remedy="Choose another task, or ask why."
        )
    if ended(task) is not None:
        raise DeadlinePassed(
            f"The deadline of “{task.name}” has passed; what you labelled before is kept.",
            remedy="Choose another task, or ask for more time.",
        )
