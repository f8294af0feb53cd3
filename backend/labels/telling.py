"""What webhooks are told of labels, and of tasks whose items have them all."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from backend.labels.models import Label
from backend.tasks.models import Task
from backend.webhooks import outbox


def tell(session: Session, label: Label) -> None:
    """Tell of a label that was just added, or takes one back."""
    ids = {name: getattr(label, name) for name in ("item_id", "dataset_id", "task_id", "annotator_id")}
    data = {
        "id": str(label.id),
        **{name: value and str(value) for name, value in ids.items()},
        "source": label.source.value,
        "kind": label.kind,
        "value": _told(label.value),
        "version": label.version,
        "surplus": label.surplus,
    }
    event = "label.retracted" if "retracted" in label.value else "label.created"
    outbox.tell(session, label.project_id, event, data)


def _told(value: Mapping[str, Any]) -> dict[str, Any]:
    """What a label says without what people wrote: why somebody skipped, and what files and senders call people."""
    if "skip" in value:
        return {"skip": True}
    return {name: said for name, said in value.items() if name not in ("annotator", "origin")}


def tell_completed(session: Session, task: Task) -> None:
    """Tell webhooks that no item of the task wants more labels."""
    data = {"id": str(task.id), "dataset_id": str(task.dataset_id), "name": task.name, "overlap": task.overlap}
    outbox.tell(session, task.project_id, "task.completed", data)
