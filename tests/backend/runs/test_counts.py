"""What a run is told to take of labelled pairs is what freezing takes, whoever judged them and however often."""

import random
from itertools import islice
from typing import Any, get_args

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.formats import Item, LabelFacts
from alignment.formats.preference import Policy, Sources, decisions
from alignment.formats.split import split_of
from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint
from backend.datasets import reading
from backend.datasets import service as datasets
from backend.datasets.models import Dataset, Kind
from backend.datasets.writer import Writer
from backend.db import transaction
from backend.labels.models import Label, LabelSource
from backend.projects import service as projects
from backend.runs import counts
from backend.runs.schemas import RunIn
from backend.tasks import service as tasks
from backend.tasks.models import Task
from backend.tasks.schemas import Question
from tests import loop, people
from tests.conftest import Client

VALUES: list[dict[str, Any]] = [
    {"strength": 1},
    {"strength": -2},
    {"strength": 3},
    {"strength": 0},
    {"both_bad": True},
    {"skip": "unsure"},
    {"ranking": [[1], [0]]},
    {"ranking": [[0, 1]]},
    {"retracted": True},
]


def of_file(rng: random.Random) -> LabelFacts:
    """A label of an imported file: by somebody named, or nobody; of its own tool's people, or of a judge."""
    who = rng.choice([None, "Ann", "Bob"])
    return LabelFacts(rng.choice(VALUES[:5]), rng.choice(["import", "person", "judge"]), who)


@pytest.fixture
def judged(clean: None) -> Dataset:
    """Two hundred pairs with labels of people here in several tasks and outside of all, of files and judges, some taken
    back or changed, some more than were asked for, and one in three adjudicated, once or twice, also by who judged."""
    rng = random.Random(5)
    items: list[Item] = loop.pairs(200)
    for item in items:
        item.labels = [of_file(rng) for _ in range(rng.choice([0, 0, 1, 2]))]
    with transaction() as session:
        project = projects.default(session)
        dataset = datasets.create(session, project, "Judged", Kind.paired)
        Writer(session, dataset).add(items)
        session.flush()
        some = [people.add_person(session, Role.annotator) for _ in range(3)]
        leads = [people.add_person(session, Role.researcher), some[0]]
        asked = [None, tasks.standing(session, dataset).id, *(add_task(session, dataset).id for _ in range(2))]
        for read, _, _ in list(reading.walk(session, dataset.id)):
            for person in rng.sample(some, rng.choice([0, 0, 1, 2, 3])):
                for version in range(1, rng.choice([1, 1, 2, 3]) + 1):
                    label = Label(item_id=read.id, dataset_id=dataset.id, annotator_id=person.id, version=version)
                    label.task_id = rng.choice(asked)
                    label.project_id, label.source, label.value = project.id, LabelSource.person, rng.choice(VALUES)
                    label.surplus = rng.random() < 0.2
                    session.add(label)
                    session.flush()
            for lead in leads[: rng.choice([0, 0, 0, 1, 1, 2])]:
                label = Label(item_id=read.id, dataset_id=dataset.id, annotator_id=lead.id, version=rng.choice([0, 9]))
                label.project_id, label.source, label.value = (
                    project.id,
                    LabelSource.adjudication,
                    rng.choice(VALUES[:5]),
                )
                session.add(label)
                session.flush()
        return dataset


def add_task(session: Session, dataset: Dataset) -> Task:
    task = Task(project_id=dataset.project_id, dataset_id=dataset.id, name="T", question=Question().model_dump())
    session.add(task)
    session.flush()
    return task


def body_of(dataset: Dataset, base: Checkpoint, policy: Policy) -> RunIn:
    return RunIn.model_validate(loop.run_body(base, dataset, policy=policy.model_dump()))


@pytest.mark.parametrize("unit", ["pair", "label"])
@pytest.mark.parametrize("sources", get_args(Sources))
def test_the_count_is_what_freezing_takes(
    researcher: Client, judged: Dataset, base: Checkpoint, sources: Sources, unit: Any
) -> None:
    """By every rule for whose labels count, how many must agree to judge at all, and what is asked of the outcome."""
    with transaction() as session:
        tasks_there = session.scalars(select(Task).where(Task.dataset_id == judged.id).order_by(Task.standing, Task.id))
        made, *_, standing = (task.id for task in tasks_there)
    others: list[dict[str, Any]] = [{"min_margin": 1.5}, {"ties": "half"}, {"surplus": False, "ties": "half"}]
    for change in ({}, {"min_votes": 2}, {"min_votes": 3}, *others, {"task": made}, {"task": standing, "ties": "half"}):
        policy = Policy(sources=sources, unit=unit, **change)
        expected = {"train": 0, "validation": 0}
        with transaction() as session:
            for item, split, _ in reading.walk(session, judged.id, task_id=policy.task):
                decided = decisions(item, policy)
                if split in expected and not isinstance(decided, str):
                    expected[split] += len(decided)
            found = counts.of_dataset(session, judged, body_of(judged, base, policy))

        assert {"train": found.train, "validation": found.validation} == expected
        assert change or expected["train"] > 5


@pytest.mark.parametrize(("min_margin", "expected"), [(0, 2), (0.1, 0)])
def test_a_majority_less_sure_than_the_others(
    researcher: Client, clean: None, base: Checkpoint, min_margin: float, expected: int
) -> None:
    """Two slightly for a side beat one strongly for the other, unless a margin is asked, which is the others' then."""
    policy = Policy(min_margin=min_margin)
    with transaction() as session:
        project = projects.default(session)
        outside_test = (one for one in loop.pairs(40) if split_of(str(project.id), one.prompt_hash) != "test")
        items: list[Item] = list(islice(outside_test, 2))
        for sign, item in zip((1, -1), items, strict=True):
            item.labels = [LabelFacts({"strength": sign * one}) for one in (1, 1, -3)]
        dataset = datasets.create_from_items(session, project, "Unsure", items)
        made = [decisions(item, policy) for item, _, _ in reading.walk(session, dataset.id)]
        found = counts.of_dataset(session, dataset, body_of(dataset, base, policy))

    assert sum(not isinstance(one, str) for one in made) == found.train + found.validation == expected
