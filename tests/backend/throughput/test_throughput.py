"""Labels as they come: by hour, day and person, in the caller's time; what a new task can reckon with."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from backend.accounts.models import Role, User
from backend.datasets.models import Dataset, Item
from backend.db import transaction
from backend.labels import tallies
from backend.labels.models import Label, LabelSource
from backend.projects.models import Project
from backend.tasks import service as tasks
from tests.backend.labels.conftest import MakePairs, send
from tests.backend.tasks.conftest import deal, make_task
from tests.conftest import Client

MakeClient = Callable[..., Client]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def standing(dataset: uuid.UUID) -> uuid.UUID:
    """The dataset's standing task, made if need be."""
    with transaction() as session:
        return tasks.standing(session, session.get_one(Dataset, dataset)).id


def give(dataset: uuid.UUID, position: int, person: User, ago: timedelta, **columns: Any) -> None:
    """A person's label of an item, made some time ago."""
    with transaction() as session:
        item = session.scalars(select(Item).where(Item.dataset_id == dataset, Item.position == position)).one()
        row = {
            "id": func.uuidv7(-ago),
            "created_at": func.now() - ago,
            "project_id": item.project_id,
            "item_id": item.id,
            "dataset_id": dataset,
            "task_id": tasks.standing(session, session.get_one(Dataset, dataset)).id,
            "annotator_id": person.id,
            "source": LabelSource.person,
            "value": {"strength": 1},
            "seconds": 10.0,
        }
        session.execute(insert(Label).values(**row | columns))
        tallies.recount(session, [dataset])


def read(client: Client, task: uuid.UUID, ahead: int = 0, **query: Any) -> dict[str, Any]:
    headers = {"x-utc-offset": str(ahead)}
    answer = client.get(f"/api/v1/tasks/{task}/throughput", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_signed_out(anonymous: Client, make_pairs: MakePairs) -> None:
    dataset = make_pairs(1)

    assert anonymous.get(f"/api/v1/tasks/{standing(dataset)}/throughput").status_code == 401
    assert anonymous.get(f"/api/v1/datasets/{dataset}/pace").status_code == 401


def test_somebody_elses(annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Who gave how many is for leads; another project's task is as missing as none."""
    dataset = make_pairs(1)
    paths = f"/api/v1/tasks/{standing(dataset)}/throughput", f"/api/v1/datasets/{dataset}/pace"
    with transaction() as session:
        elsewhere = Project(name="Elsewhere")
        session.add(elsewhere)
        session.flush()
    stranger = make_client(Role.researcher, project=elsewhere)

    for path in paths:
        assert annotator.get(path).status_code == 403
        assert stranger.get(path).status_code == 404


def test_what_counts(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Judgements count once, however often they were changed; skips, labels taken back and imports do not."""
    dataset, me = make_pairs(6), annotator.user
    give(dataset, 0, me, HOUR)
    give(dataset, 0, me, HOUR / 2, version=2, value={"strength": -2})
    give(dataset, 1, me, HOUR / 2, value={"skip": "no idea"})
    give(dataset, 2, me, HOUR / 2)
    give(dataset, 2, me, HOUR / 3, version=2, value={"retracted": True})
    give(dataset, 3, me, HOUR / 4, seconds=5000.0)
    give(dataset, 5, me, HOUR / 4, seconds=None)  # made by an edit, which took no time of its own
    give(dataset, 4, me, 400 * DAY)

    found = read(researcher, standing(dataset), by="hour")
    (person,) = found["people"]
    assert (person["name"], person["labels"]) == (me.name, 3)
    assert person["work_seconds"] == 10.0 + 600.0  # a card that lay open for an hour was no hour of work
    assert person["per_hour"] == pytest.approx(3 / 610 * 3600)
    assert sum(found["totals"]) == sum(person["buckets"]) == 3


def test_days_are_the_callers(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Days begin at the caller's midnight; every label lies in the bucket that holds its moment."""
    dataset = make_pairs(4)
    gone = [timedelta(hours=hours) for hours in (1, 13, 30, 60)]
    for position, ago in enumerate(gone):
        give(dataset, position, annotator.user, ago)
    now = datetime.now(UTC)

    for ahead in (-660, -1, 0, 90, 840):
        found = read(researcher, standing(dataset), ahead, by="day", last=5)
        starts = [datetime.fromisoformat(start) for start in found["starts"]]
        assert len(starts) == 5
        assert all((start + timedelta(minutes=ahead)).astimezone(UTC).time().hour == 0 for start in starts)
        assert starts[-1] <= now < starts[-1] + DAY
        expected = [sum(start <= now - ago < start + DAY for ago in gone) for start in starts]
        assert found["totals"] == expected
        assert sum(expected) == 4


def test_what_it_stands_at(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Done, open and withdrawn items, labels that count and surplus ones, side by side."""
    dataset = make_pairs(5)
    task = standing(dataset)
    with transaction() as session:
        ids = list(session.scalars(select(Item.id).where(Item.dataset_id == dataset).order_by(Item.position)))
    annotator.post(f"/api/v1/tasks/{task}/cards", json={"n": 1})  # every item has its place, and one is on a screen
    for position in (1, 2):
        give(dataset, position, annotator.user, HOUR)
    give(dataset, 2, researcher.user, HOUR / 2, surplus=True)
    researcher.post(f"/api/v1/items/{ids[4]}/withdraw", json={"reason": "twice"})

    stands = read(researcher, task)["stands"]
    assert stands == {
        "total": 4,
        "done": 2,
        "in_work": 1,
        "open": 1,
        "withdrawn": 1,
        "wanted": 4,
        "labels": 2,
        "surplus": 1,
    }


def test_what_is_still_wanted(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Labels of withdrawn items, and those that a lowered overlap has no use for, fill no other item's places."""
    dataset = make_pairs(4)
    task = make_task(researcher, dataset, overlap=3)
    for person in (researcher, annotator):
        send(person, deal(person, task)[0])
    (second,) = deal(annotator, task)
    send(annotator, second)
    number = uuid.UUID(task["id"])

    stands = read(researcher, number)["stands"]
    assert (stands["wanted"], stands["labels"], stands["done"]) == (12, 3, 0)
    researcher.post(f"/api/v1/items/{second['item_id']}/withdraw", json={"reason": "twice"})
    found = read(researcher, number)
    assert (found["stands"]["wanted"], found["stands"]["labels"]) == (9, 2)
    assert found["forecast"]["remaining"] == 7
    researcher.patch(f"/api/v1/tasks/{task['id']}", json={"overlap": 1})
    found = read(researcher, number)
    assert (found["stands"]["wanted"], found["stands"]["labels"], found["stands"]["done"]) == (3, 1, 1)
    assert found["forecast"]["remaining"] == 2


def test_the_forecast_follows_the_week(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Two a day for three days, six of twelve to go: three days more; surplus labels bring the end no nearer."""
    dataset = make_pairs(12)
    annotator.post(f"/api/v1/tasks/{standing(dataset)}/cards", json={"n": 1})
    for position in range(6):
        give(dataset, position, annotator.user, timedelta(hours=72 - position * 12 - 0.01))
        give(dataset, position, researcher.user, HOUR, surplus=True)

    forecast = read(researcher, standing(dataset))["forecast"]
    assert forecast["remaining"] == 6
    assert forecast["per_day"] == pytest.approx(2, rel=0.01)
    done_at = datetime.fromisoformat(forecast["done_at"])
    assert done_at - datetime.now(UTC) == pytest.approx(3 * DAY, abs=HOUR)


def test_nothing_yet(researcher: Client, make_pairs: MakePairs) -> None:
    found = read(researcher, standing(make_pairs(3)))

    assert (found["people"], found["forecast"]) == ([], None)
    assert set(found["totals"]) == {0}


@pytest.mark.parametrize("query", [{"by": "week"}, {"last": 0}, {"last": 367}, {"last": "a"}])
def test_what_cannot_be_drawn_is_refused(researcher: Client, make_pairs: MakePairs, query: dict[str, Any]) -> None:
    task = standing(make_pairs(1))

    assert researcher.get(f"/api/v1/tasks/{task}/throughput", params=query).status_code == 422
    assert researcher.get(f"/api/v1/tasks/{task}/throughput", headers={"x-utc-offset": "99999"}).status_code == 422


def test_the_pace(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """The dataset's own median, without it the project's, without that nothing is claimed."""
    one, other = make_pairs(3), make_pairs(3)

    nothing = {"items": 3, "median_seconds": None, "labels": 0, "of": None}
    assert researcher.get(f"/api/v1/datasets/{one}/pace").json() == nothing
    for position, seconds in enumerate((4.0, 8.0, 5000.0)):
        give(one, position, annotator.user, HOUR, seconds=seconds)
    own = {"items": 3, "median_seconds": 8.0, "labels": 3, "of": "dataset"}
    assert researcher.get(f"/api/v1/datasets/{one}/pace").json() == own
    assert researcher.get(f"/api/v1/datasets/{other}/pace").json() == own | {"of": "project"}
