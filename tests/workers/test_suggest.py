"""Suggestions made here: by rewards and by a judge, for every kind of question; stopped, killed, continued, refused."""

import os
import signal
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import select, update
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from alignment.formats.canonical import Item
from alignment.judges.scored import Question, Told
from alignment.scores import Reader
from backend.checkpoints.models import Checkpoint, CheckpointKind
from backend.datasets import service as datasets
from backend.datasets.models import Item as ItemRow
from backend.datasets.models import Kind
from backend.db import transaction
from backend.labels.models import Label
from backend.projects import service as projects
from backend.suggestions import comparing, jobs, progress
from backend.suggestions.models import Suggestion, SuggestionJob, SuggestionScore
from backend.work import State
from tests import loop
from tests.backend.labels.conftest import send
from tests.backend.tasks.conftest import API, deal, make_task
from tests.conftest import Client
from workers.tasks import suggest

Body = dict[str, Any]
WORDS = ("Gladly! It is quiet.", "No.", "Look it up yourself, number 3.", "A place.", "It is a wide and quiet place.")
SLOW_WORKER = """
import time
from workers.tasks import suggest
suggest.ITEMS_AT_ONCE = 2
waiting, asked = suggest.progress.waiting, []
def slow(*args):
    if asked:
        print("two are kept", flush=True)
        time.sleep(60)
    asked.append(args)
    return waiting(*args)
suggest.progress.waiting = slow
suggest.work()
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A reference, what it might have become, and a reward model on it with one label."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("models")
    found = {name: loop.tiny_checkpoint(root / name, seed=seed) for seed, name in enumerate(("before", "trained"))}
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(found["before"], num_labels=1)
    model.save_pretrained(root / "scoring")
    AutoTokenizer.from_pretrained(found["before"]).save_pretrained(root / "scoring")
    return {**found, "scoring": root / "scoring"}


@pytest.fixture
def ids(clean: None, folders: dict[str, Path]) -> dict[str, str]:
    """The three, registered."""
    found = {name: loop.add_checkpoint(folder, name) for name, folder in folders.items()}
    with transaction() as session:
        kind = {"kind": CheckpointKind.reward_model}
        session.execute(update(Checkpoint).where(Checkpoint.id == found["scoring"].id).values(**kind))
    return {name: str(one.id) for name, one in found.items()}


@pytest.fixture
def implicit(ids: dict[str, str]) -> Body:
    return {"name": "implicit_reward", "checkpoint": ids["trained"], "reference": ids["before"], "beta": 0.5}


@pytest.fixture
def by_scores(ids: dict[str, str]) -> Body:
    return {"name": "reward_model", "members": [ids["scoring"]]}


def add_items(kind: Kind, *responses: tuple[str, ...]) -> uuid.UUID:
    """A dataset of prompts with these responses, without labels."""
    rows = [
        Item(
            prompt=[{"role": "user", "content": f"Tell me about it, number {place}"}],
            responses=[{"role": "assistant", "content": text} for text in texts],
            labels=[],
        )
        for place, texts in enumerate(responses)
    ]
    with transaction() as session:
        return datasets.create_from_items(session, projects.default(session), f"D {uuid.uuid4()}", rows, kind=kind).id


def pairs(count: int) -> list[tuple[str, ...]]:
    return [(WORDS[place % 5], f"{WORDS[(place + 1) % 5]} {place}") for place in range(count)]


def ask(client: Client, task: Body, judge: Body, **more: Any) -> str:
    made = client.post(f"{API}/tasks/{task['id']}/suggestion-jobs", json={"judge": judge, **more})
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def read(client: Client, job: str) -> Body:
    found: Body = client.get(f"{API}/suggestion-jobs/{job}").json()
    return found


def suggested(task: Body) -> list[tuple[Body, float] | None]:
    """Value and margin of each item of the task, in the order of the dataset."""
    with transaction() as session:
        own = Suggestion.task_id == uuid.UUID(task["id"])
        query = select(ItemRow.position, Suggestion.value, Suggestion.margin)
        rows = session.execute(
            query.join(Suggestion, (Suggestion.item_id == ItemRow.id) & own, isouter=True)
            .where(ItemRow.dataset_id == uuid.UUID(task["dataset_id"]))
            .order_by(ItemRow.position)
        ).all()
        return [None if value is None else (value, margin) for _, value, margin in rows]


def told(folder: Path, *responses: tuple[str, ...]) -> list[list[float]]:
    """What a checkpoint says of the responses of `add_items`."""
    prompts = [[{"role": "user", "content": f"Tell me about it, number {place}"}] for place in range(len(responses))]
    found = Reader(folder).tell([Question(prompt, texts) for prompt, texts in zip(prompts, responses, strict=True)])
    return [[one.values[0] for one in answers if isinstance(one, Told)] for answers in found]


def test_implicit_rewards_suggest_and_order(
    researcher: Client, annotator: Client, folders: dict[str, Path], implicit: Body
) -> None:
    """Beta times the log-ratio decides; the least certain pair comes first; a label beside a suggestion says so."""
    data = [*pairs(4), ("The same.", "The same.")]
    task = make_task(researcher, add_items(Kind.paired, *data), order="uncertainty", assistance={"suggest": True})
    job = ask(researcher, task, implicit)
    assert (read(researcher, job)["state"], suggested(task)) == ("queued", [None] * 5)
    suggest.work()

    found = read(researcher, job)
    assert (found["state"], found["reason"], found["done"], found["total"]) == ("succeeded", None, 5, 5)
    assert (found["suggested"], found["left_out"]) == (4, {comparing.SAME: 1})
    assert (found["judge"]["beta"], found["judge"]["over"], found["words"]) == (
        0.5,
        "sum",
        "Implicit reward of a checkpoint: trained",
    )
    now, then = (told(folders[name], *data[:4]) for name in ("trained", "before"))
    rewards = [
        [0.5 * (one - other) for one, other in zip(*sides, strict=True)] for sides in zip(now, then, strict=True)
    ]
    odds = [first - second for first, second in rewards]
    *answers, nothing = suggested(task)
    assert nothing is None
    for (value, margin), apart in zip([one for one in answers if one], odds, strict=True):
        steps = sum(abs(apart) >= step for step in (0.1, 1.0, 2.0))  # log-odds of 52.5, 73 and 88 %
        assert value == {"strength": steps if apart > 0 else -steps}
        assert margin == pytest.approx(abs(torch.tensor(apart / 2).tanh().item()), abs=1e-4)
    cards = deal(annotator, task, 5)
    assert [int(card["prompt"][0]["text"].split()[-1]) for card in cards[:4]] == sorted(
        range(4), key=lambda place: abs(odds[place])
    )
    assert [card["suggestion"] is None for card in cards] == [False] * 4 + [True]
    send(annotator, cards[0], {"strength": 1})
    with transaction() as session:
        aided = session.scalars(select(Label.aided).where(Label.annotator_id.is_not(None))).one()
    assert aided["words"] == found["words"]


def test_rankings_and_thumbs_by_a_reward_model(
    researcher: Client, folders: dict[str, Path], by_scores: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Best first; a thumb is up from the median of all scores on, known once the last response is scored."""
    monkeypatch.setattr(suggest, "ITEMS_AT_ONCE", 2)
    three = WORDS[:3]
    ranked = make_task(researcher, add_items(Kind.ranked, three), question={"kind": "ranking"})
    singles = [(text,) for text in WORDS]
    thumbs = make_task(researcher, add_items(Kind.demonstrations, *singles), question={"kind": "thumb"})
    first, second = (ask(researcher, task, by_scores) for task in (ranked, thumbs))
    suggest.work()

    assert [read(researcher, job)["state"] for job in (first, second)] == ["succeeded"] * 2
    (scores,) = told(folders["scoring"], three)
    ((value, margin),) = [one for one in suggested(ranked) if one]
    by_score = sorted(range(3), key=lambda place: -scores[place])
    assert [place for group in value["ranking"] for place in group] == by_score
    assert 0 <= margin < 1
    each = [score for (score,) in told(folders["scoring"], *singles)]
    middle = statistics.median(each)
    assert read(researcher, second)["median"] == pytest.approx(middle, abs=1e-5)
    values = [one[0]["thumb"] for one in suggested(thumbs) if one]
    assert values == [score >= middle - 1e-6 for score in each]
    assert sum(values) == 3
    with transaction() as session:
        assert session.scalars(select(SuggestionScore)).all() == []


def test_cancelled_and_continued(researcher: Client, implicit: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queued, it is cancelled at once; at work, it stops between items; continued, it scores none of them again."""
    monkeypatch.setattr(suggest, "ITEMS_AT_ONCE", 2)
    task = make_task(researcher, add_items(Kind.paired, *pairs(6)))
    job = ask(researcher, task, implicit)
    again = researcher.post(f"{API}/tasks/{task['id']}/suggestion-jobs", json={"judge": implicit})
    assert again.status_code == 409
    assert researcher.post(f"{API}/suggestion-jobs/{job}/cancel").json()["state"] == "cancelled"
    job = ask(researcher, task, implicit)
    store, kept = progress.store, list[int]()

    def stopping(session: Any, job_id: uuid.UUID, found: Any) -> None:
        store(session, job_id, found)
        kept.extend(one.position for one, _ in found)
        session.execute(update(SuggestionJob).where(SuggestionJob.id == job_id).values(stop_requested=len(kept) == 2))

    monkeypatch.setattr(progress, "store", stopping)
    monkeypatch.setattr("workers.answering.ASK_SECONDS", 0.0)
    suggest.work()
    found = read(researcher, job)
    assert (found["state"], found["done"], found["total"]) == ("cancelled", 2, 6)
    assert researcher.post(f"{API}/suggestion-jobs/{job}/cancel").status_code == 200
    assert researcher.post(f"{API}/suggestion-jobs/{job}/resume").json()["state"] == "queued"
    suggest.work()
    found = read(researcher, job)
    assert (found["state"], found["done"], found["total"], found["suggested"]) == ("succeeded", 6, 6, 6)
    assert kept == list(range(6))


def test_a_task_that_ends_ends_it(researcher: Client, implicit: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed while it is at work: what is suggested stays; nothing is asked for a task that takes no more labels."""
    monkeypatch.setattr(suggest, "ITEMS_AT_ONCE", 2)
    task = make_task(researcher, add_items(Kind.paired, *pairs(4)))
    job = ask(researcher, task, implicit)
    store = progress.store

    def closing(session: Any, job_id: uuid.UUID, found: Any) -> None:
        store(session, job_id, found)
        assert researcher.post(f"{API}/tasks/{task['id']}/close").status_code == 200

    monkeypatch.setattr(progress, "store", closing)
    suggest.work()
    found = read(researcher, job)
    assert (found["state"], found["suggested"]) == ("cancelled", 2)
    assert found["reason"].startswith("The task was closed.")
    refused = researcher.post(f"{API}/tasks/{task['id']}/suggestion-jobs", json={"judge": implicit})
    assert refused.status_code == 409


@pytest.mark.usefixtures("warm")
def test_a_killed_worker_scores_nothing_twice(researcher: Client, implicit: Body) -> None:
    """kill -9 after two items: the sweep queues the job again, and the next worker goes on behind them."""
    task = make_task(researcher, add_items(Kind.paired, *pairs(4)))
    job = ask(researcher, task, implicit)
    worker = subprocess.Popen([sys.executable, "-c", SLOW_WORKER], stdout=subprocess.PIPE, env=dict(os.environ))
    assert worker.stdout is not None
    with worker.stdout:
        assert b"two are kept\n" in iter(worker.stdout.readline, b"")
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    with transaction() as session:
        kept = {row.item_id: row.id for row in session.scalars(select(Suggestion))}
        assert len(kept) == 2
        assert session.scalars(select(SuggestionJob.state)).one() == State.running
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with transaction() as session:
            if jobs.sweep(session):
                break

    suggest.work()

    found = read(researcher, job)
    assert (found["state"], found["done"], found["total"], found["suggested"]) == ("succeeded", 4, 4, 4)
    with transaction() as session:
        assert session.scalars(select(SuggestionJob.attempts)).one() == 2
        created = select(Suggestion.id).where(Suggestion.item_id.in_(kept))
        assert set(session.scalars(created)) == set(kept.values())
