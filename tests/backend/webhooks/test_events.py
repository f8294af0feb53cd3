"""What webhooks are told of, and when: in the transaction of the change, and of nothing else."""

from typing import Any

import pytest

from backend import work
from backend.datasets.models import Dataset, Import, Item, Kind, Upload
from backend.db import transaction
from backend.evaluations.models import Evaluation
from backend.labels import tallies
from backend.labels.models import Label, LabelSource
from backend.projects.models import Project
from backend.runs.models import Run
from backend.webhooks import outbox
from backend.webhooks.models import DeliveryState
from tests.backend.labels.conftest import MakePairs, send
from tests.backend.tasks.conftest import deal, make_task
from tests.backend.webhooks.conftest import add, deliveries
from tests.conftest import Client


class TestEvents:
    def test_labels_and_their_end(self, hook: dict[str, Any], owner: Client, project: Project) -> None:
        """A label that is stored is told with its value in the item's order, one that is taken back as such."""
        with transaction() as session:
            dataset = Dataset(project_id=project.id, name="d", kind=Kind.paired)
            session.add(dataset)
            session.flush()
            hashes = {"prompt_hash": "p", "content_hash": "c"}
            item = Item(
                project_id=project.id,
                dataset_id=dataset.id,
                position=0,
                split="train",
                prompt=[],
                responses=[],
                **hashes,
            )
            session.add(item)
            session.flush()
            outside = {"annotator": "ada@example.com", "origin": "person"}
            for value in (
                {"strength": 2},
                {"retracted": True},
                {"skip": "she wrote why"} | outside,
                {"thumb": True} | outside,
            ):
                label = Label(
                    project_id=project.id, item_id=item.id, dataset_id=dataset.id, source=LabelSource.judge, value=value
                )
                session.add(label)
                tallies.note(session, label)
        thumb, skip, taken, made = deliveries(owner, hook)
        assert skip["body"]["data"]["value"] == {"skip": True}  # what people wrote, and who they are, stays here
        assert thumb["body"]["data"]["value"] == {"thumb": True}
        assert (made["event"], made["body"]["data"]["value"]) == ("label.created", {"strength": 2})
        assert made["body"]["data"]["item_id"] == str(item.id)
        assert taken["event"] == "label.retracted"

    def test_every_end_of_work_is_told_once(self, owner: Client, project: Project) -> None:
        """Ends of runs, imports and evaluations name an event that there is; a second end tells nothing."""
        for table in (Run, Evaluation, Import):
            assert set(table.TOLD.values()) <= outbox.EVENTS.keys()
        hook = add(owner, "https://example.com/hook", "dataset.imported")
        with transaction() as session:
            upload = Upload(project_id=project.id, filename="f", size=1, sha256="0" * 64, path="uploads/x")
            session.add(upload)
            session.flush()
            row = Import(project_id=project.id, upload_id=upload.id, name="mine", format="native")
            session.add(row)
            session.flush()
            work.finish(row, work.State.succeeded)
            work.finish(row, work.State.failed, "too late")
        (one,) = deliveries(owner, hook)
        assert (one["event"], one["body"]["data"]["name"]) == ("dataset.imported", "mine")
        assert one["state"] == DeliveryState.waiting

    @pytest.mark.parametrize("way", ["overlap", "withdrawn"])
    def test_a_task_is_completed_another_way(
        self, owner: Client, annotator: Client, make_pairs: MakePairs, way: str
    ) -> None:
        """A task whose last open item is withdrawn, or wants no more as the overlap is lowered, is told of once."""
        hook = add(owner, "https://example.com/hook", "task.completed")
        task = make_task(owner, make_pairs(2), overlap=2 if way == "overlap" else 1)
        cards = deal(annotator, task, 2)
        send(annotator, cards[0])
        if way == "overlap":
            send(annotator, cards[1])
            assert deliveries(owner, hook) == []
            owner.patch(f"/api/v1/tasks/{task['id']}", json={"overlap": 1})
            owner.patch(f"/api/v1/tasks/{task['id']}", json={"name": "Other"})
        else:
            assert deliveries(owner, hook) == []
            for card in (cards[1], cards[0]):
                answer = owner.post(f"/api/v1/items/{card['item_id']}/withdraw", json={"reason": "twice"})
                assert answer.status_code == 200
        (one,) = deliveries(owner, hook)
        assert (one["event"], one["body"]["data"]["id"]) == ("task.completed", task["id"])

    def test_a_task_is_completed_and_closed_once(self, owner: Client, annotator: Client, make_pairs: MakePairs) -> None:
        """The last label that a task wanted is told as such, and closing it twice is closing it once."""
        hook = add(owner, "https://example.com/hook", "task.completed", "task.closed")
        task = make_task(owner, make_pairs(2))
        for card in deal(annotator, task, 2):
            assert deliveries(owner, hook) == []
            send(annotator, card)
        owner.post(f"/api/v1/tasks/{task['id']}/close")
        owner.post(f"/api/v1/tasks/{task['id']}/close")
        told = [(one["event"], one["body"]["data"]["id"]) for one in deliveries(owner, hook)]
        assert told == [("task.closed", task["id"]), ("task.completed", task["id"])]
