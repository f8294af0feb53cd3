"""What is said of each annotator, from labels whose sides, lengths and times are known."""

from typing import Any

import pytest

from backend.accounts.models import Role
from backend.datasets.models import Kind
from backend.db import transaction
from backend.tasks.models import Gold, TaskPerson
from backend.tasks.schemas import Question
from tests.conftest import Client
from tests.people import add_person
from tests.voted import MakeWorld, World, read, strengths


def rows(client: Client, world: World, **query: Any) -> dict[str, dict[str, Any]]:
    found = read(client, f"/tasks/{world.task}/annotators", **query)
    assert "100 characters a second" in found["too_fast_rule"]
    return {row["name"].split("-")[0]: row for row in found["items"]}


def test_signed_out(anonymous: Client, make_world: MakeWorld) -> None:
    world = make_world(strengths("++"))
    assert anonymous.get(f"/api/v1/tasks/{world.task}/annotators").status_code == 401
    assert anonymous.get(f"/api/v1/datasets/{world.dataset}/annotators").status_code == 401


def test_annotators_see_themselves_alone(annotator: Client, make_world: MakeWorld) -> None:
    """Nobody else's numbers are an annotator's to see, and no dataset's."""
    world = make_world(strengths("++", "+-"))
    path = f"/tasks/{world.task}/annotators"
    assert read(annotator, path)["items"] == []
    world.people["ann"] = annotator.user.id
    world.add(world.label(0, "ann", {"strength": 1}))

    (own,) = read(annotator, path)["items"]

    assert (own["annotator_id"], own["labels"]) == (str(annotator.user.id), 1)
    assert (own["gold"], own["agreement"], own["surplus"]) == (None, None, None)  # they tell of gold and of others
    assert annotator.get(f"/api/v1/datasets/{world.dataset}/annotators").status_code == 403


def test_only_in_tasks_that_they_may_label(annotator: Client, make_world: MakeWorld) -> None:
    """A task that other people are named for is as missing as none."""
    world = make_world(strengths("+"))
    world.people["me"] = annotator.user.id
    world.add(world.label(0, "me", {"strength": 1}))
    with transaction() as session:
        session.add(TaskPerson(task_id=world.task, user_id=world.people["ann"]))

    assert annotator.get(f"/api/v1/tasks/{world.task}/annotators").status_code == 404


def test_numbers_of_each(researcher: Client, make_world: MakeWorld) -> None:
    """Counts, ties, gold, agreement with the others and time, each with how many it is of."""
    world = make_world(strengths("+++", "+-+", "=-=", "x-x", "s+.", "++-"))
    with transaction() as session:
        for place, value in ((0, {"strength": 1}), (1, {"strength": -3}), (3, {"both_bad": True})):
            session.add(
                Gold(project_id=world.project, dataset_id=world.dataset, item_id=world.items[place], value=value)
            )

    found = rows(researcher, world)

    ann, ben = found["ann"], found["ben"]
    assert (ann["labels"], ann["skips"], ann["both_bad"], ann["origin"]) == (5, 1, 1, "person")
    assert (ann["ties"]["hits"], ann["ties"]["n"]) == (1, 5)
    assert (ann["gold"]["hits"], ann["gold"]["n"]) == (2, 3)
    assert (ben["gold"]["hits"], ben["gold"]["n"]) == (2, 3)
    assert ann["gold"]["low"] < 2 / 3 < ann["gold"]["high"]
    assert (ben["agreement"]["hits"], ben["agreement"]["n"]) == (1, 4)  # on the last item the others are divided
    assert (ann["agreement"]["hits"], ann["agreement"]["n"]) == (1, 1)
    assert (ann["median_seconds"], ann["too_fast"]["value"]) == (10, 0)
    assert next(iter(found)) == "ben"  # who judged most comes first


def test_sides_are_mapped_back(researcher: Client, make_world: MakeWorld) -> None:
    """Who always takes the left has a p-value that says so; who takes the longer one is seen, whatever its side."""
    world = make_world([{} for _ in range(20)])
    world.people = {"left": None, "long": None}
    with transaction() as session:
        for name in world.people:
            world.people[name] = add_person(session, Role.annotator, name).id
    for place in range(20):
        turned = place % 2 == 0
        world.add(
            world.label(place, "left", {"strength": -2 if turned else 2}, swapped=turned, seconds=0.5),
            world.label(place, "long", {"strength": -2}, swapped=turned),
        )

    found = rows(researcher, world)

    assert (found["left"]["left_side"]["rate"]["value"], found["left"]["longer_side"]["rate"]["value"]) == (1, 0.5)
    assert found["left"]["left_side"]["p_value"] == pytest.approx(2 * 0.5**20)
    assert (found["long"]["left_side"]["rate"]["value"], found["long"]["longer_side"]["rate"]["value"]) == (0.5, 1)
    assert found["long"]["left_side"]["p_value"] == 1
    assert found["left"]["too_fast"]["value"] == 1


def test_outside_annotators_have_no_sides(researcher: Client, make_world: MakeWorld) -> None:
    """Of annotators in a file nobody knows the sides; the rest is counted, page by page."""
    world = make_world(strengths("+++", "+-+", "-+."), outside=True)
    path = f"/datasets/{world.dataset}/annotators"

    first = read(researcher, path, limit=2)
    second = read(researcher, path, limit=2, cursor=first["next_cursor"])

    assert [row["name"] for row in first["items"] + second["items"]] == ["ann", "ben", "cy"]
    assert second["next_cursor"] is None
    ann = first["items"][0]
    assert (ann["annotator_id"], ann["left_side"]["rate"]["value"], ann["left_side"]["p_value"]) == (None, None, None)
    assert ann["longer_side"]["rate"]["n"] == 3
    assert researcher.get(f"/api/v1{path}", params={"cursor": "x"}).status_code == 422


def test_rankings_and_thumbs(researcher: Client, make_world: MakeWorld) -> None:
    """Orders are right about gold as a whole; thumbs by themselves; neither has ties or sides."""
    order = [{"ann": {"ranking": [[0], [1, 2]]}, "ben": {"ranking": [[0], [2], [1]]}}]
    ranked = make_world(order, kind=Kind.ranked, question=Question(kind="ranking"), responses=3)
    thumbs = make_world(
        [{"ann": {"thumb": True}, "ben": {"thumb": False}}],
        kind=Kind.unpaired,
        question=Question(kind="thumb"),
        responses=1,
    )
    for world, value in ((ranked, {"ranking": [[0], [2, 1]]}), (thumbs, {"thumb": True})):
        with transaction() as session:
            session.add(Gold(project_id=world.project, dataset_id=world.dataset, item_id=world.items[0], value=value))

        found = rows(researcher, world)

        assert [found[name]["gold"]["value"] for name in ("ann", "ben")] == [1, 0]
        assert found["ann"]["ties"]["value"] is None
        assert found["ann"]["left_side"]["rate"]["value"] is None
