"""Suggestions: shown where a task says so and marked for ever, off otherwise, and the least certain first."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from backend.accounts.models import Role
from backend.datasets.models import Item
from backend.db import transaction
from backend.labels.models import Label
from backend.projects.models import Project
from backend.suggestions.models import Suggestion
from tests.backend.labels.conftest import MakePairs, send
from tests.backend.tasks.conftest import API, asked, deal, make_task
from tests.conftest import Client


def items(task: dict[str, Any]) -> list[str]:
    with transaction() as session:
        query = select(Item.id).where(Item.dataset_id == uuid.UUID(task["dataset_id"])).order_by(Item.position)
        return [str(id) for id in session.scalars(query)]


def suggest(client: Client, task: dict[str, Any], *said: tuple[str, dict[str, Any], float]) -> Any:
    told = [{"item_id": item, "value": value, "margin": margin} for item, value, margin in said]
    return client.put(f"{API}/tasks/{task['id']}/suggestions", json={"by": "reward-7b", "suggestions": told})


@pytest.fixture
def task(researcher: Client, make_pairs: MakePairs) -> dict[str, Any]:
    """A task of four pairs whose cards show suggestions."""
    return make_task(researcher, make_pairs(4), assistance={"suggest": True})


def test_who_may(
    anonymous: Client, annotator: Client, make_client: Callable[..., Client], task: dict[str, Any]
) -> None:
    """Nobody without a session, no annotator, and no other project's researcher tells people what to answer."""
    said = (items(task)[0], {"strength": 1}, 1.0)
    with transaction() as session:
        other = Project(name="other")
        session.add(other)
    assert suggest(anonymous, task, said).status_code == 401
    assert suggest(annotator, task, said).status_code == 403
    assert suggest(make_client(Role.researcher, project=other), task, said).status_code == 404


def test_a_suggestion_is_shown_in_the_order_of_the_card(
    researcher: Client, annotator: Client, task: dict[str, Any]
) -> None:
    """Whatever side the better response stands on, the suggestion points at it, and the label says it was aided."""
    assert suggest(researcher, task, *((item, {"strength": 2}, 1.0) for item in items(task))).json()["stored"] == 4
    sides = set()
    for card in deal(annotator, task, 4):
        first = card["responses"][0]["text"].startswith("good")
        sides.add(first)
        assert card["suggestion"] == {"value": {"strength": 2 if first else -2}, "by": "reward-7b"}
        send(annotator, card)
    with transaction() as session:
        told = session.scalars(select(Label.aided).where(Label.annotator_id.is_not(None))).all()
    assert told == [{"value": {"strength": 2}, "words": "reward-7b"}] * 4


def test_off_unless_the_task_says_so(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Suggestions that are there are neither shown nor noted in a task without assistance."""
    task = make_task(researcher, make_pairs(1))
    suggest(researcher, task, (items(task)[0], {"strength": 2}, 1.0))
    (card,) = deal(annotator, task)
    assert card["suggestion"] is None
    send(annotator, card)
    with transaction() as session:
        unaided = select(Label.id).where(Label.annotator_id.is_not(None), Label.aided.is_(None))
        assert len(session.scalars(unaided).all()) == 1


def test_the_least_certain_come_first(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """A task in the order of uncertainty deals the smallest margin first, and what was not judged last."""
    task = make_task(researcher, make_pairs(4), order="uncertainty")
    first, second, third, _ = items(task)
    said = [(first, {"strength": 3}, 5.0), (second, {"strength": 1}, 0.1), (third, {"strength": -1}, 0.7)]
    assert suggest(researcher, task, *said).json() == {"stored": 3, "ordered": True}
    assert asked(deal(annotator, task, 4)) == [1, 2, 0, 3]


def test_sent_again_replaces(researcher: Client, task: dict[str, Any]) -> None:
    """An item has one suggestion in a task, the newest."""
    item = items(task)[0]
    suggest(researcher, task, (item, {"strength": 2}, 1.0))
    suggest(researcher, task, (item, {"strength": -1}, 0.5))
    with transaction() as session:
        (row,) = session.scalars(select(Suggestion))
        assert (row.value, row.margin) == ({"strength": -1}, 0.5)


@pytest.mark.parametrize(
    ("value", "margin"),
    [
        ({"strength": 4}, 1),
        ({"thumb": True}, 1),
        ({"ranking": [[0], [1]]}, 1),
        ({"skip": "no idea"}, 1),
        ({}, 1),
        ({"strength": 1}, -1),
        ({"strength": 1}, 1e300),
    ],
    ids=str,
)
def test_what_is_no_answer_is_refused_whole(
    researcher: Client, task: dict[str, Any], value: dict[str, Any], margin: float
) -> None:
    """Nothing of a request is stored that suggests what the task does not ask."""
    first, second, *_ = items(task)
    refused = suggest(researcher, task, (first, {"strength": 1}, 1.0), (second, value, margin))
    assert refused.status_code == 422
    assert refused.json()["field"].startswith("suggestions.1")
    with transaction() as session:
        assert session.scalars(select(Suggestion)).all() == []


def test_items_of_other_datasets(researcher: Client, make_pairs: MakePairs, task: dict[str, Any]) -> None:
    """An item that is not the task's, and one that is named twice, are refused."""
    other = make_task(researcher, make_pairs(1))
    assert suggest(researcher, task, (items(other)[0], {"strength": 1}, 1.0)).status_code == 422
    first = items(task)[0]
    assert suggest(researcher, task, *((first, {"strength": 1}, 1.0) for _ in range(2))).status_code == 422


def test_what_was_shown_is_noted(researcher: Client, annotator: Client, task: dict[str, Any]) -> None:
    """A label tells the suggestion that its card showed, whatever was suggested while the card lay there."""
    first, second = items(task)[:2]
    suggest(researcher, task, (first, {"strength": 2}, 1.0))
    cards = {card["item_id"]: card for card in deal(annotator, task, 2)}
    suggest(researcher, task, (first, {"strength": -1}, 1.0), (second, {"strength": 1}, 1.0))
    for item in (first, second):
        send(annotator, cards[item], holding=[second])
    with transaction() as session:
        told = session.scalars(select(Label.aided).where(Label.annotator_id.is_not(None)).order_by(Label.id)).all()
    assert told == [{"value": {"strength": 2}, "words": "reward-7b"}, None]


def test_shown_and_ordered_at_any_time(
    researcher: Client, annotator: Client, make_pairs: MakePairs, make_client: Callable[..., Client]
) -> None:
    """A task's assistance and order change while it runs; whoever labels begins again where the new order begins."""
    task = make_task(researcher, make_pairs(4))
    path = f"{API}/tasks/{task['id']}"
    margins = (3.0, 0.2, 1.0, 0.1)
    suggest(
        researcher, task, *((item, {"strength": 1}, margin) for item, margin in zip(items(task), margins, strict=True))
    )
    (card,) = deal(annotator, task)
    assert (asked([card]), card["suggestion"]) == ([0], None)
    send(annotator, card)
    changed = researcher.patch(path, json={"order": "uncertainty", "assistance": {"suggest": True}}).json()
    assert (changed["order"], changed["assistance"]) == ("uncertainty", {"group_prompts": False, "suggest": True})
    other = make_client(Role.annotator)
    cards = deal(other, task, 3)
    assert asked(cards) == [3, 2]  # the first of all is done, and somebody holds the next one
    assert all(card["suggestion"] for card in cards)
    both = researcher.patch(path, json={"assistance": {"group_prompts": True}})
    assert (both.status_code, both.json()["field"]) == (422, "order")
    assert researcher.patch(path, json={"order": "sequential", "assistance": None}).json()["assistance"] is None
    assert researcher.patch(path, json={"order": None}).status_code == 422
    assert annotator.patch(path, json={"order": "random"}).status_code == 403


def test_read_and_removed(
    researcher: Client, annotator: Client, anonymous: Client, make_pairs: MakePairs, make_client: Callable[..., Client]
) -> None:
    """What is suggested can be read, counted by who suggests, and taken away; the order then is that of the dataset."""
    task = make_task(researcher, make_pairs(3), order="uncertainty")
    path = f"{API}/tasks/{task['id']}/suggestions"
    suggest(researcher, task, *((item, {"strength": 1}, 1.0 - n / 4) for n, item in enumerate(items(task))))
    found = researcher.get(path, params={"limit": 2}).json()
    assert (len(found["items"]), found["items"][0]["by"], bool(found["next_cursor"])) == (2, "reward-7b", True)
    assert researcher.get(f"{API}/tasks/{task['id']}/suggesters").json() == [{"by": "reward-7b", "items": 3}]
    with transaction() as session:
        other = Project(name="other")
        session.add(other)
    for client, status in ((anonymous, 401), (annotator, 403), (make_client(Role.researcher, project=other), 404)):
        assert client.get(path).status_code == status
        assert client.delete(path).status_code == status
        assert client.get(f"{API}/tasks/{task['id']}/suggesters").status_code == status
        job = {"judge": {"name": "rules"}}
        assert client.post(f"{API}/tasks/{task['id']}/suggestion-jobs", json=job).status_code == status
    assert researcher.delete(path).status_code == 204
    assert researcher.get(path).json()["items"] == []
    assert asked(deal(annotator, task, 3)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("judge", "field"),
    [
        ({}, "judge"),
        ({"name": "nobody"}, "judge"),
        ({"name": "people"}, "judge.name"),
        ({"name": "implicit_reward"}, "judge.checkpoint"),
        ({"name": "implicit_reward", "checkpoint": "x"}, "judge.checkpoint"),
        ({"name": "implicit_reward", "checkpoint": str(uuid.uuid4()), "beta": 0.1}, "judge.checkpoint"),
        ({"name": "implicit_reward", "checkpoint": str(uuid.uuid4()), "beta": -1}, "judge.beta"),
        ({"name": "reward_model", "members": []}, "judge.members"),
        ({"name": "reward_model", "members": [str(uuid.uuid4())]}, "judge.members.0"),
        ({"name": "llm", "checkpoint": str(uuid.uuid4())}, "judge.checkpoint"),
        ({"name": "rules", "max_words": "\x00"}, "judge"),
        ({"name": "rules", "shell": "rm"}, "judge.shell"),
    ],
    ids=str,
)
def test_who_cannot_suggest(researcher: Client, task: dict[str, Any], judge: dict[str, Any], field: str) -> None:
    """What is no judge, or asks for what is not there, is refused at its field before anything is queued."""
    answer = researcher.post(f"{API}/tasks/{task['id']}/suggestion-jobs", json={"judge": judge})
    assert answer.status_code == 422
    assert str(answer.json()["field"]).startswith(field)
    assert researcher.get(f"{API}/tasks/{task['id']}/suggestion-jobs").json()["items"] == []
