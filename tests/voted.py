"""Datasets whose labels are known, of people and of annotators that a file names."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import insert

from backend.accounts.models import Role
from backend.datasets.models import Dataset, Item, Kind
from backend.db import transaction
from backend.labels import tallies
from backend.labels.models import Label, LabelSource
from backend.projects import service as projects
from backend.tasks.models import Task
from backend.tasks.schemas import Question
from tests.conftest import Client
from tests.people import add_person

Value = dict[str, Any]
Votes = Sequence[Mapping[str, Value]]
WORDS = ("short", "a much longer answer", "the longest answer of all of them here")


def read(client: Client, path: str, **query: Any) -> dict[str, Any]:
    """What a route answers."""
    answer = client.get(f"/api/v1{path}", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


class World:
    """A dataset with one item for each place of `votes`, each voted on by people of these names."""

    def __init__(self, votes: Votes, *, kind: Kind, outside: bool, question: Question, responses: int) -> None:
        with transaction() as session:
            project = projects.default(session)
            dataset = Dataset(project_id=project.id, name=f"q-{uuid.uuid4().hex[:6]}", kind=kind)
            session.add(dataset)
            session.flush()
            task = Task(
                project_id=project.id, dataset_id=dataset.id, name="T", question=question.model_dump(), overlap=3
            )
            session.add(task)
            session.flush()
            self.project, self.dataset, self.task = project.id, dataset.id, task.id
            self.items = [uuid.uuid4() for _ in votes]
            session.execute(insert(Item), [self._item(place, responses) for place in range(len(votes))])
            names = dict.fromkeys(name for each in votes for name in each)
            self.people: dict[str, uuid.UUID | None] = {
                name: None if outside else add_person(session, Role.annotator, f"{name}-{uuid.uuid4().hex[:6]}").id
                for name in names
            }
            for place, each in enumerate(votes):
                for name, value in each.items():
                    session.add(self.label(place, name, value))
            session.flush()
            tallies.recount(session, [dataset.id])

    def _item(self, place: int, responses: int) -> dict[str, Any]:
        return {
            "id": self.items[place],
            "project_id": self.project,
            "dataset_id": self.dataset,
            "position": place,
            "split": "train",
            "prompt": [{"role": "user", "content": f"Question {place}"}],
            "prompt_hash": f"p{place // 2}",
            "content_hash": f"c{place}",
            "responses": [{"role": "assistant", "content": WORDS[one % 3]} for one in range(responses)],
            "facts": {},
        }

    def label(self, place: int, name: str, value: Value, **more: Any) -> Label:
        """A label as this annotator would have given it, with seconds 10 unless told otherwise."""
        person = self.people[name]
        columns = {
            "project_id": self.project,
            "item_id": self.items[place],
            "dataset_id": self.dataset,
            "seconds": 10.0,
        }
        if person is None:
            outside = {"annotator": name, "origin": "person"}
            return Label(**columns | {"source": LabelSource.imported, "value": value | outside} | more)
        own = {"source": LabelSource.person, "annotator_id": person, "task_id": self.task, "value": value}
        return Label(**columns | own | more)

    def add(self, *labels: Label) -> None:
        with transaction() as session:
            session.add_all(labels)


MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(clean: None) -> MakeWorld:
    """Makes a dataset with a task; `outside` makes its annotators those of an imported file."""

    def make(
        votes: Votes,
        *,
        kind: Kind = Kind.paired,
        outside: bool = False,
        question: Question | None = None,
        responses: int = 2,
    ) -> World:
        return World(votes, kind=kind, outside=outside, question=question or Question(), responses=responses)

    return make


def strengths(*rows: str) -> list[dict[str, Value]]:
    """Votes of Ann, Ben, Cy … by one word an item: `+` and `-` for a side, `=` a tie, `x` both bad, `s` a skip, a dot
    for nothing."""
    said: dict[str, Value] = {
        "+": {"strength": 2},
        "-": {"strength": -1},
        "=": {"strength": 0},
        "x": {"both_bad": True},
        "s": {"skip": "unclear"},
    }
    names = ("ann", "ben", "cy", "dee")
    return [{name: said[sign] for name, sign in zip(names, row, strict=False) if sign != "."} for row in rows]
