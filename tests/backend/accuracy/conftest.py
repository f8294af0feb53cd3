"""Labelled pairs, a judge behind an endpoint, and a judge measured on a dataset."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from alignment.formats import Item as ReadItem
from alignment.formats.canonical import CHOSEN_FIRST
from backend.addresses import Allowance
from backend.datasets import service as datasets
from backend.db import transaction
from backend.projects import service as projects
from backend.settings import Settings
from tests.alignment.training.conftest import sentence
from tests.conftest import Client
from tests.court import JUDGE, Court
from tests.endpoint import Habits, serving
from workers.tasks import accuracies

Body = dict[str, Any]
KIND, RUDE = "thank you", "never"


@pytest.fixture
def pairs(clean: None) -> str:
    """A dataset of forty pairs whose chosen response thanks, in two subsets; the last pair has no label."""
    rng = random.Random(3)
    items = [
        ReadItem(
            prompt=[{"role": "user", "content": f"{sentence(rng)} {number}"}],
            responses=[{"role": "assistant", "content": f"{which} {sentence(rng)}"} for which in (KIND, RUDE)],
            labels=[CHOSEN_FIRST] if number < 40 else [],
            facts={"meta": {"subset": ("even", "odd")[number % 2]}},
        )
        for number in range(41)
    ]
    with transaction() as session:
        return str(datasets.create_from_items(session, projects.default(session), "Thanks", items).id)


@pytest.fixture
def court(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Court]:
    monkeypatch.setattr(settings, "allowed_addresses", (Allowance.parse("127.0.0.1"),))
    with serving(Habits()) as habits:
        yield Court(habits)


@pytest.fixture
def judge(researcher: Client, court: Court) -> Body:
    """One that the court answers for; what it was asked until now is forgotten."""
    asked = {"base_url": court.habits.url, "model": JUDGE}
    made = {"name": "llm", "checkpoint": researcher.post("/api/v1/endpoints", json=asked).json()["id"]}
    court.habits.asked.clear()
    return made


def measured(client: Client, dataset: str, judge: Body, **more: Any) -> Body:
    """What is found once the worker is done."""
    made = client.post(f"/api/v1/datasets/{dataset}/accuracies", json={"judge": judge, **more})
    assert made.status_code == 202, made.text
    accuracies.work()
    found: Body = client.get(f"/api/v1/accuracies/{made.json()['id']}").json()
    return found
