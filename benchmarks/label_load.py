"""Many people labelling over HTTP: time of a label and the next card, labels a second, and that none is doubled."""

import asyncio
import os
import random
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles
from threading import Event
from typing import Any, NamedTuple

import httpx2
import psutil
from sqlalchemy import Engine, insert, text

from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.datasets.models import Dataset, Item, Kind
from backend.db import make_engine, migrate, transaction
from backend.deps import COOKIE
from backend.labels import tallies
from backend.projects import members
from backend.projects import service as projects
from backend.tasks import places
from backend.tasks.models import Task
from benchmarks.figure import Figure
from benchmarks.label_latency import SENTENCE, web
from plumbline.embedded import Embedded

PEOPLE, MANY, FEW = 50, 100_000, 1_000
THINKING_SECONDS, CALM_SECONDS, FLAT_OUT_SECONDS = 1.0, 40, 20
SMALL_ITEMS, OVERLAP = 400, 3
COST_LABELS = 150
TARGET_MS = 50
Times = list[float]

WRONG = {
    "over-collected": """
        SELECT count(*) FROM (
            SELECT item_id FROM labels WHERE task_id = :task AND NOT surplus AND version = 1
            GROUP BY item_id HAVING count(*) > :overlap
        ) AS more""",
    "doubled": """
        SELECT count(*) FROM (
            SELECT item_id, annotator_id FROM labels WHERE task_id = :task GROUP BY 1, 2 HAVING count(*) > 1
        ) AS twice""",
}
LEASED_TWICE = """
    SELECT coalesce(sum(held), 0) AS held, count(*) FILTER (WHERE taken + held > :overlap) AS twice FROM (
        SELECT places.taken, count(*) AS held FROM places JOIN leases USING (task_id, item_id)
        WHERE task_id = :task AND expires_at > statement_timestamp() GROUP BY places.item_id, places.taken
    ) AS each"""
LOOKS_EVERY_SECONDS = 1.0


class Asked(NamedTuple):
    """A task to label, and how many labels an item of it wants."""

    id: uuid.UUID
    overlap: int


def measure() -> Iterator[Figure]:
    """Fifty people who think for a second, then none of whom thinks; then one person in a small and a large dataset."""
    with tempfile.TemporaryDirectory() as folder, Embedded(Path(folder)) as servers:
        migrate(servers.database_url)
        engine = make_engine(servers.database_url)
        try:
            tokens = people(engine)
            large, few, cost = (fill(engine, MANY), fill(engine, FEW), fill(engine, MANY))
            small = fill(engine, SMALL_ITEMS, overlap=OVERLAP)
            with web(servers, Path(folder)) as address:
                yield from _calm(engine, address, tokens, large)
                yield from _flat_out(engine, address, tokens, large, small)
                yield from _costs(address, tokens[0], few, cost)
        finally:
            engine.dispose()


def _calm(engine: Engine, address: str, tokens: Sequence[str], task: Asked) -> Iterator[Figure]:
    before = spent()
    times, held = label_watched(engine, address, tokens, task, seconds=CALM_SECONDS, think=THINKING_SECONDS)
    taken = {who: 1000 * (seconds - before[who]) / len(times) for who, seconds in spent().items()}
    p95 = percentile(times, 95)
    note = f"{len(times):,} labels of {PEOPLE} people with a second of thought, {MANY:,} pairs; {load()}"
    yield Figure(
        "label stored and next pair leased, 19 of 20", p95, "ms", f"at most {TARGET_MS} ms", p95 <= TARGET_MS, note
    )
    yield Figure("label stored and next pair leased, half of them", percentile(times, 50), "ms")
    for who, milliseconds in taken.items():
        yield Figure(f"processor time of a label, {who}", milliseconds, "ms", note=load())
    yield check(engine, task, len(times), held, "with thought")


def _flat_out(engine: Engine, address: str, tokens: Sequence[str], task: Asked, small: Asked) -> Iterator[Figure]:
    before = stored(engine, task)
    began = time.monotonic()
    times, held = label_watched(engine, address, tokens, task, seconds=FLAT_OUT_SECONDS, think=0)
    rate = len(times) / (time.monotonic() - began)
    yield Figure(
        "labels stored, nobody thinking", rate, "1/s", note=f"{PEOPLE} people at once, {MANY:,} pairs; {load()}"
    )
    yield Figure("label stored and next pair leased, nobody thinking, 19 of 20", percentile(times, 95), "ms")
    yield check(engine, task, before + len(times), held, "nobody thinking")
    times, held = label_watched(engine, address, tokens, small, seconds=600, think=0)
    wanted = small.overlap * SMALL_ITEMS
    yield check(
        engine, small, len(times), held, f"{PEOPLE} people until {SMALL_ITEMS} pairs have {OVERLAP} labels each"
    )
    yield Figure("labels that count when all is done", stored(engine, small), "", f"exactly {wanted:,}",
                 stored(engine, small) == wanted)  # fmt: skip


def _costs(address: str, token: str, few: Asked, many: Asked) -> Iterator[Figure]:
    """One person alone, by turns in both datasets."""
    times: dict[Asked, Times] = {few: [], many: []}
    for _ in range(3):
        for task, found in times.items():
            found += asyncio.run(label(address, [token], task, most=COST_LABELS // 3, seconds=120, think=0))
    small, large = (percentile(times[task], 50) for task in (few, many))
    yield Figure(f"one label among {FEW:,} pairs, half of them", small, "ms", note="one person")
    yield Figure(f"one label among {MANY:,} pairs, half of them", large, "ms",
                 "at most 1.2 times", large <= 1.2 * small, f"one person; {load()}")  # fmt: skip


def spent() -> dict[str, float]:
    """Seconds that the web server, Postgres and those who label have taken of the processors: what others do on the
    machine changes these less than it changes how long people wait."""
    me = psutil.Process()
    children = me.children(recursive=True)
    return {
        "Postgres": sum(_seconds(one) for one in children if "postgres" in one.name()),
        "the web server": sum(_seconds(one) for one in children if "web" in one.cmdline()),
        "these people": _seconds(me),
    }


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def percentile(values: Sequence[float], which: int) -> float:
    return quantiles(values, n=100, method="inclusive")[which - 1]


def people(engine: Engine) -> list[str]:
    """Session tokens of people who may label."""
    with transaction(engine) as session:
        project = projects.default(session)
        users = [User(name=f"person-{number}", password_hash="-", active=True) for number in range(PEOPLE)]  # noqa: S106
        session.add_all(users)
        session.flush()
        for user in users:
            members.join(session, project.id, user, Role.annotator)
        return [accounts.open_session(session, user) for user in users]


def fill(engine: Engine, count: int, overlap: int = 1) -> Asked:
    """A task over a dataset of so many pairs of about 40 words."""
    with transaction(engine) as session:
        project = projects.default(session)
        dataset = Dataset(project_id=project.id, name=uuid.uuid4().hex, kind=Kind.paired)
        session.add(dataset)
        session.flush()
        for first in range(0, count, 5_000):
            rows = [row(project.id, dataset.id, place) for place in range(first, min(count, first + 5_000))]
            session.execute(insert(Item), rows)
        tallies.recount(session, [dataset.id])
        question = {"kind": "pair"}
        task = Task(project_id=project.id, dataset_id=dataset.id, name="Load", question=question, overlap=overlap)
        session.add(task)
        session.flush()
        places.fill(session, task)
        return Asked(task.id, overlap)


def row(project_id: uuid.UUID, dataset_id: uuid.UUID, place: int) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "dataset_id": dataset_id,
        "position": place,
        "split": "train",
        "prompt": [{"role": "user", "content": f"Question {place}"}],
        "prompt_hash": f"p{place}",
        "content_hash": f"c{place}",
        "responses": [{"role": "assistant", "content": f"{place} {side} {SENTENCE * 2}"} for side in ("a", "b")],
        "facts": {},
    }


async def label(
    address: str, tokens: Sequence[str], task: Asked, *, seconds: float, think: float, most: int | None = None
) -> Times:
    """Milliseconds of each label that was stored with the next card, by people who all work till the time is over, or
    nothing is left for them."""
    limits = httpx2.Limits(max_connections=len(tokens) + 5)
    async with httpx2.AsyncClient(base_url=f"{address}/api/v1", timeout=60, limits=limits) as client:
        over = time.monotonic() + seconds
        each = [_person(client, token, task, over, think, most) for token in tokens]
        return [one for found in await asyncio.gather(*each) for one in found]


async def _person(
    client: httpx2.AsyncClient, token: str, task: Asked, over: float, think: float, most: int | None
) -> Times:
    lottery, times = random.Random(token), Times()
    headers = {"cookie": f"{COOKIE}={token}", "origin": str(client.base_url).removesuffix("/api/v1/").rstrip("/")}
    card: dict[str, Any] | None = None
    await asyncio.sleep(think * lottery.random())
    while time.monotonic() < over and (most is None or len(times) < most):
        if card is None:
            found = await client.post(f"/tasks/{task.id}/cards", json={"n": 1}, headers=headers)
            found.raise_for_status()
            cards, left = found.json()["cards"], found.json()["progress"]["left"]
            if not cards and not left:
                break
            card = cards[0] if cards else None
            await asyncio.sleep(0 if card else 0.2)
            continue
        await asyncio.sleep(think * lottery.uniform(0.5, 1.5))
        body = {
            "client_id": str(uuid.uuid4()),
            "lease": card["lease"],
            "value": {"strength": lottery.randint(-3, 3)},
            "seconds": think,
        }
        began = time.perf_counter()
        answer = await client.post(f"/items/{card['item_id']}/labels", json=body, headers=headers)
        times.append((time.perf_counter() - began) * 1000)
        answer.raise_for_status()
        card = answer.json()["next"]
    if card is not None:
        await client.delete(f"/leases/{card['lease']}", headers=headers)
    return times


class Held(NamedTuple):
    """Leases seen at once at most, and items that were on more screens than they had places, added up."""

    most: int
    twice: int


def label_watched(engine: Engine, address: str, tokens: Sequence[str], task: Asked, **how: Any) -> tuple[Times, Held]:
    """The same, with a look at the leases every second: when all have stopped, none is left to look at."""
    over, seen = Event(), [Held(0, 0)]

    def look() -> None:
        while not over.wait(LOOKS_EVERY_SECONDS):
            with transaction(engine) as session:
                held, twice = session.execute(text(LEASED_TWICE), {"task": task.id, "overlap": task.overlap}).one()
                seen.append(Held(int(held), int(twice)))

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            times = asyncio.run(label(address, tokens, task, **how))
        finally:
            over.set()
        looking.result()
    return times, Held(max(one.most for one in seen), sum(one.twice for one in seen))


def stored(engine: Engine, task: Asked) -> int:
    with transaction(engine) as session:
        query = text("SELECT count(*) FROM labels WHERE task_id = :task AND NOT surplus")
        return session.scalar(query, {"task": task.id}) or 0


def check(engine: Engine, task: Asked, sent: int, held: Held, when: str) -> Figure:
    """What is wrong with what was stored, counted by SQL: nothing must be."""
    with transaction(engine) as session:
        where = {"task": task.id, "overlap": task.overlap}
        wrong = {name: session.scalar(text(query), where) or 0 for name, query in WRONG.items()}
        found = session.scalar(text("SELECT count(*) FROM labels WHERE task_id = :task"), {"task": task.id}) or 0
        wrong |= {"lost": abs(sent - found), "leased twice": held.twice}
    note = (
        ", ".join(f"{name} {count}" for name, count in wrong.items())
        + f"; {sent:,} sent, up to {held.most} leases at once"
    )
    total = sum(wrong.values())
    return Figure(f"labels wrong, {when}", total, "", "none", total == 0 and held.most > 0, note)
