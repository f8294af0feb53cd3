"""Agreement of the labels of a task and of a dataset: which of them count, and who may see it."""

import uuid
from typing import Any

import pytest
from sqlalchemy import update

from backend.datasets.models import Item, Kind
from backend.db import transaction
from backend.labels.models import LabelSource
from backend.tasks.models import Task
from backend.tasks.schemas import Question
from tests.conftest import Client
from tests.voted import MakeWorld, read, strengths

VOTES = strengths("++", "+-", "--", "==", "-=", "xx", "++", "--", "++", "+x", "s+", "..")


def value(found: dict[str, Any], name: str) -> Any:
    return next(one for one in found["coefficients"] if one["name"] == name)


def test_signed_out_and_not_allowed(anonymous: Client, annotator: Client, make_world: MakeWorld) -> None:
    """Agreement is for researchers; signed out there is nothing."""
    world = make_world(VOTES)
    for path in (f"/tasks/{world.task}/agreement", f"/datasets/{world.dataset}/agreement"):
        assert anonymous.get(f"/api/v1{path}").status_code == 401
        assert annotator.get(f"/api/v1{path}").status_code == 403


def test_unknown_ones_are_not_found(researcher: Client) -> None:
    """A task or a dataset that is not there is 404."""
    assert researcher.get(f"/api/v1/tasks/{uuid.uuid4()}/agreement").status_code == 404
    assert researcher.get(f"/api/v1/datasets/{uuid.uuid4()}/agreement").status_code == 404


def test_what_is_counted(researcher: Client, make_world: MakeWorld) -> None:
    """Of twelve items ten have judgements of two: seven alike; a skip is none; each answer is counted."""
    found = read(researcher, f"/tasks/{make_world(VOTES).task}/agreement")

    assert (found["kind"], found["items"], found["labels"], found["skips"], found["annotators"]) == (
        "pair",
        11,
        21,
        1,
        2,
    )
    assert found["labels_per_item"] == {"1": 1, "2": 10}
    assert found["choices"] == {"first": 9, "second": 6, "tie": 3, "both_bad": 3}
    percent = value(found, "percent")
    assert (percent["value"], percent["n"], percent["labels"]) == (0.7, 10, 20)
    assert (percent["level"], percent["seed"], percent["rounds"]) == (0.95, 0, 1000)
    assert percent["low"] < 0.7 < percent["high"]
    kappa = value(found, "cohen_kappa")
    assert found["pairs"][0]["kappa"] == kappa
    assert 0.5 < kappa["value"] < 0.7
    assert value(found, "krippendorff_alpha_ordinal")["n"] == 8  # both-bad has no place on the scale


@pytest.mark.parametrize("outside", [False, True])
def test_files_and_people_agree_alike(researcher: Client, make_world: MakeWorld, outside: bool) -> None:
    """A dataset without a task has the same agreement, also where a file brought its annotators."""
    world = make_world(VOTES, outside=outside)
    found = read(researcher, f"/datasets/{world.dataset}/agreement")

    assert value(found, "percent")["value"] == 0.7
    names = {found["pairs"][0][one]["name"].split("-")[0] for one in ("first", "second")}
    assert names == {"ann", "ben"}
    assert (found["pairs"][0]["first"]["annotator_id"] is None) is outside


def test_only_the_newest_of_each_counts(researcher: Client, make_world: MakeWorld) -> None:
    """What somebody changed counts as changed; taken back, it counts no more; adjudications and the votes of others
    outside of the task are no part of it."""
    world = make_world(strengths("+-", "+-"))
    path = f"/tasks/{world.task}/agreement"
    assert value(read(researcher, path), "percent")["value"] == 0

    world.add(world.label(0, "ben", {"strength": 3}, version=2))
    assert value(read(researcher, path), "percent")["value"] == 0.5
    world.add(world.label(1, "ben", {"retracted": True}, version=2))
    assert value(read(researcher, path), "percent")["value"] == 1
    world.add(world.label(0, "ann", {"strength": -3}, version=2, source=LabelSource.adjudication, task_id=None))
    world.add(world.label(1, "ben", {"strength": -3}, version=3, task_id=None))
    after = read(researcher, path)
    assert (value(after, "percent")["value"], after["labels"]) == (1, 3)


def test_withdrawn_items_are_left_out(researcher: Client, make_world: MakeWorld) -> None:
    """An item that was withdrawn counts in no number."""
    world = make_world(strengths("+-", "++"))
    with transaction() as session:
        session.execute(update(Item).where(Item.id == world.items[0]).values(withdrawn_at=Item.created_at))

    found = read(researcher, f"/tasks/{world.task}/agreement")

    assert (found["items"], value(found, "percent")["value"]) == (1, 1)


def test_judgements_beside_a_suggestion_can_be_left_out(researcher: Client, make_world: MakeWorld) -> None:
    """Agreement without those who saw a suggestion is asked for by name."""
    world = make_world(strengths("++", "++"))
    world.add(world.label(0, "ben", {"strength": 1}, version=2, aided={"strength": 1}))
    path = f"/tasks/{world.task}/agreement"

    assert read(researcher, path)["aided"] == 1
    assert read(researcher, path, unaided=True)["labels"] == 3


def test_rankings_agree_by_every_two_responses(researcher: Client, make_world: MakeWorld) -> None:
    """Three responses are three comparisons on one item: two of three alike."""
    orders = {"ann": {"ranking": [[0], [1], [2]]}, "ben": {"ranking": [[0], [2], [1]]}}
    world = make_world([orders] * 12, kind=Kind.ranked, question=Question(kind="ranking"), responses=3)

    found = read(researcher, f"/tasks/{world.task}/agreement")

    assert (found["kind"], found["items"], found["labels"]) == ("ranking", 12, 24)
    assert found["choices"] == {"before": 60, "after": 12, "tied": 0}
    percent = value(found, "percent")
    assert (percent["value"], percent["n"]) == (pytest.approx(2 / 3), 12)
    assert value(found, "krippendorff_alpha_ordinal")["value"] is None


def test_thumbs_agree(researcher: Client, make_world: MakeWorld) -> None:
    """Single responses are judged good or bad."""
    up, down = {"thumb": True}, {"thumb": False}
    votes = [{"ann": up, "ben": up}, {"ann": down, "ben": up}]
    world = make_world(votes, kind=Kind.unpaired, question=Question(kind="thumb"), responses=1)

    found = read(researcher, f"/tasks/{world.task}/agreement")

    assert (found["kind"], found["choices"]) == ("thumb", {"good": 3, "bad": 1})
    assert value(found, "percent")["value"] == 0.5


def test_nothing_yet(researcher: Client, make_world: MakeWorld) -> None:
    """Without labels every number says why it is not there."""
    found = read(researcher, f"/tasks/{make_world([{}, {}]).task}/agreement")

    assert (found["items"], found["labels"], found["pairs"]) == (0, 0, [])
    assert all(one["value"] is None and one["reason"] for one in found["coefficients"])


@pytest.mark.parametrize("query", [{"level": 1}, {"level": "nan"}, {"level": 0}, {"seed": -1}, {"seed": 2**31}])
def test_levels_and_seeds_that_make_no_sense(researcher: Client, make_world: MakeWorld, query: dict[str, Any]) -> None:
    """Refused at their field."""
    answer = researcher.get(f"/api/v1/tasks/{make_world([{}]).task}/agreement", params=query)
    assert answer.status_code == 422


def test_the_standing_task_counts_what_was_judged_before(researcher: Client, make_world: MakeWorld) -> None:
    """Labels without a task belong to the dataset's standing task, and to no other."""
    world = make_world(strengths("++"))
    with transaction() as session:
        session.execute(update(Task).where(Task.id == world.task).values(standing=True))
    world.add(world.label(0, "ben", {"strength": -1}, version=2, task_id=None))

    assert value(read(researcher, f"/tasks/{world.task}/agreement"), "percent")["value"] == 0
