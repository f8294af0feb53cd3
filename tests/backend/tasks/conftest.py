"""Tasks over datasets of pairs, and the moves of people who label in them through the API."""

import uuid
from typing import Any

from sqlalchemy import func, select

from backend.db import transaction
from backend.labels.models import Label, Lease
from tests.backend.labels.conftest import make_pairs as make_pairs
from tests.conftest import Client

API = "/api/v1"


def make_task(client: Client, dataset: uuid.UUID, **fields: Any) -> dict[str, Any]:
    """A task about the dataset."""
    answer = client.post(f"{API}/tasks", json={"dataset_id": str(dataset), "name": "Which is better?", **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def deal(client: Client, task: dict[str, Any], n: int = 1, holding: list[str] | None = None) -> list[dict[str, Any]]:
    """The next cards of the client in the task."""
    answer = client.post(f"{API}/tasks/{task['id']}/cards", json={"n": n, "holding": holding or []})
    assert answer.status_code == 200, answer.text
    cards: list[dict[str, Any]] = answer.json()["cards"]
    return cards


def progress(client: Client, task: dict[str, Any]) -> dict[str, int]:
    """How far the task is, as the client sees it."""
    found: dict[str, int] = client.get(f"{API}/tasks/{task['id']}").json()["progress"]
    return found


def asked(cards: list[dict[str, Any]]) -> list[int]:
    """Which items the cards show, by their place in the dataset."""
    return [int(card["prompt"][0]["text"].split()[-1]) for card in cards]


def counted(task: dict[str, Any]) -> list[int]:
    """Labels that count of each item of the task that has any."""
    with transaction() as session:
        mine = Label.task_id == uuid.UUID(task["id"]), ~Label.surplus, Label.version == 1
        query = select(func.count()).where(*mine).group_by(Label.item_id)
        return list(session.scalars(query))


def expire(card: dict[str, Any]) -> None:
    """Afterwards the card's lease has run out."""
    with transaction() as session:
        lease = session.scalars(select(Lease).where(Lease.token == uuid.UUID(card["lease"]))).one()
        lease.expires_at = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 1)
