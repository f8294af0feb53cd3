"""What a run is told to take of labelled pairs is what freezing takes, whoever judged them and however often."""

import random
from typing import Any, get_args

import pytest

from alignment.formats import Item, LabelFacts
from alignment.formats.preference import Policy, Sources, decisions
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
from tests import loop, people
from tests.conftest import Client

VALUES: list[dict[str, Any]] = [
    {"strength": 1},
    {"strength": -2},
    {"strength": 3},
    {"strength": 0},
    {"both_bad": True},
    {"skip": "unsure"},
    {"retracted": True},
]


def of_file(rng: random.Random) -> LabelFacts:
    """A label of an imported file: by somebody named, or nobody; of its own tool's people, or of a judge."""
    who = rng.choice([None, "Ann", "Bob"])
    return LabelFacts(rng.choice(VALUES[:5]), rng.choice(["import", "person", "judge"]), who)


@pytest.fixture
def judged(clean: None) -> Dataset:
    """Two hundred pairs with up to four labels each of people here, files and judges, some taken back or changed."""
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
        for read, _, _ in list(reading.walk(session, dataset.id)):
            for person in rng.sample(some, rng.choice([0, 0, 1, 2, 3])):
                for version in range(1, rng.choice([1, 1, 2]) + 1):
                    label = Label(item_id=read.id, dataset_id=dataset.id, annotator_id=person.id, version=version)
                    label.project_id, label.source, label.value = project.id, LabelSource.person, rng.choice(VALUES)
                    session.add(label)
                    session.flush()
        return dataset


def body_of(dataset: Dataset, base: Checkpoint, policy: Policy) -> RunIn:
    return RunIn.model_validate(loop.run_body(base, dataset, policy=policy.model_dump()))


@pytest.mark.parametrize("unit", ["pair", "label"])
@pytest.mark.parametrize("sources", get_args(Sources))
def test_the_count_is_what_freezing_takes(
    researcher: Client, judged: Dataset, base: Checkpoint, sources: Sources, unit: Any
) -> None:
    """By every rule for whose labels count, and how many must agree to judge at all."""
    for least in (1, 2, 3):
        policy = Policy(sources=sources, unit=unit, min_votes=least)
        expected = {"train": 0, "validation": 0}
        with transaction() as session:
            for item, split, _ in reading.walk(session, judged.id):
                made = decisions(item, policy)
                if split in expected and not isinstance(made, str):
                    expected[split] += len(made)
            found = counts.of_dataset(session, judged, body_of(judged, base, policy))

        assert {"train": found.train, "validation": found.validation} == expected
        assert least > 1 or expected["train"] > 5
