"""What was asked about a dataset: whether a policy's task is one of it, and which questions it mixes."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from alignment.formats.preference import Policy
from backend.datasets.models import Dataset
from backend.errors import Invalid
from backend.labels.models import Label
from backend.tasks.models import Task

_ALIKE: Final = ("both_bad", "rationale", "edits")
"""Parts of a question that change nothing about what a label says."""


class OtherTask(Invalid):
    title = "Not a task of this dataset"


def refuse_other_task(session: Session, dataset: Dataset, policy: Policy, field: str = "policy.task") -> None:
    """Raise OtherTask unless the policy's task, if it names one, is about this dataset."""
    if policy.task is None:
        return
    if session.scalar(select(Task.dataset_id).where(Task.id == policy.task)) != dataset.id:
        raise OtherTask(
            f"“{dataset.name}” has no such task.",
            field=field,
            remedy="Choose one of its own tasks; several datasets are frozen one by one, each by its own policy.",
        )


CHOOSE: Final = "Choose one under “Labels of the task”."
"""What to do about tasks that are mixed."""


def mixed(session: Session, dataset: Dataset, policy: Policy) -> str | None:
    """Which tasks that ask different questions, or under other guidelines, a policy would mix; None for none."""
    if policy.task is not None or policy.sources not in ("people_first", "people"):
        return None
    judging = ~Label.value.has_key("skip"), ~Label.value.has_key("retracted")
    answered = exists().where(Label.task_id == Task.id, *judging)
    tasks = session.scalars(select(Task).where(Task.dataset_id == dataset.id, answered).order_by(Task.id))
    first: dict[tuple[str, str], str] = {}
    for task in tasks:
        first.setdefault(_asks(task), f"“{task.name}”")
    if len(first) < 2:
        return None
    return (
        f"{_listed(list(first.values()))} ask different questions, or ask under other guidelines, and their labels are"
        " mixed here: of each person the newest counts."
    )


def _asks(task: Task) -> tuple[str, str]:
    question = {name: value for name, value in task.question.items() if name not in _ALIKE}
    return repr(sorted(question.items())), " ".join(task.guidelines.lower().split())


def _listed(names: Sequence[str], most: int = 5) -> str:
    """Names in a sentence, the first ones of many."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"
