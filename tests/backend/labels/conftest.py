"""A dataset of pairs, and the moves of somebody who labels it through the API."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert

from backend.datasets.models import Dataset, Item, Kind
from backend.db import transaction
from backend.labels import tallies
from backend.labels.models import Label, LabelSource
from backend.projects import service as projects
from tests.conftest import Client

MakePairs = Callable[..., uuid.UUID]


@pytest.fixture
def make_pairs(clean: None) -> MakePairs:
    """Makes a dataset of `n` pairs: `responses[0]` says "good", its import label prefers it."""

    def make(
        n: int = 3, *, kind: Kind = Kind.paired, prompt: str = "Question", good: str = "good", bad: str = "bad"
    ) -> uuid.UUID:
        with transaction() as session:
            project = projects.default(session)
            dataset = Dataset(project_id=project.id, name=f"pairs-{uuid.uuid4().hex[:6]}", kind=kind)
            session.add(dataset)
            session.flush()
            if not n:
                return dataset.id
            rows = [
                {
                    "id": uuid.uuid4(),
                    "project_id": project.id,
                    "dataset_id": dataset.id,
                    "position": position,
                    "split": "train",
                    "prompt": [{"role": "user", "content": f"{prompt} {position}"}],
                    "prompt_hash": f"p{position}",
                    "content_hash": f"c{position}",
                    "responses": [
                        {"role": "assistant", "content": f"{good} {position}", "name": "secret-model"},
                        {"role": "assistant", "content": f"{bad} {position}"},
                    ],
                    "facts": {"truth": "secret-fact"},
                }
                for position in range(n)
            ]
            session.execute(insert(Item), rows)
            imports = [
                {
                    "project_id": project.id,
                    "item_id": row["id"],
                    "dataset_id": dataset.id,
                    "source": LabelSource.imported,
                    "value": {"strength": 1},
                    "rationale": "secret-rationale",
                }
                for row in rows
            ]
            session.execute(insert(Label), imports)
            tallies.recount(session, [dataset.id])
            return dataset.id

    return make


def take(client: Client, dataset: uuid.UUID, n: int = 1, holding: list[str] | None = None) -> list[dict[str, Any]]:
    """The next cards of the client."""
    answer = client.post(f"/api/v1/datasets/{dataset}/cards", json={"n": n, "holding": holding or []})
    assert answer.status_code == 200, answer.text
    cards: list[dict[str, Any]] = answer.json()["cards"]
    return cards


def body(card: dict[str, Any], value: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A label of the card as the browser sends it."""
    return {
        "client_id": str(uuid.uuid4()),
        "lease": card["lease"],
        "value": {"strength": 2} if value is None else value,
        "seconds": 3.5,
        **fields,
    }


def send(client: Client, card: dict[str, Any], value: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Submit a label of the card."""
    answer = client.post(f"/api/v1/items/{card['item_id']}/labels", json=body(card, value, **fields))
    assert answer.status_code == 201, answer.text
    sent: dict[str, Any] = answer.json()
    return sent


def stored(card: dict[str, Any]) -> list[Label]:
    """The people's labels of the card's item, by version."""
    with transaction() as session:
        query = Label.item_id == uuid.UUID(card["item_id"]), Label.annotator_id.is_not(None)
        return list(session.query(Label).where(*query).order_by(Label.id))
