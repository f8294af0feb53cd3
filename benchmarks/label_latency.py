"""Labelling in real Chromium: from a key press to the next pair painted, one browser and five at once, and what the
server takes to store a label."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from threading import Barrier

import httpx2
from playwright.sync_api import Page, Response, sync_playwright
from sqlalchemy import Engine, insert, select

from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.datasets.models import Dataset, Item, Kind
from backend.db import make_engine, migrate, transaction
from backend.deps import COOKIE
from backend.labels import tallies
from backend.labels.models import Label, LabelSource
from backend.projects import members
from backend.projects import service as projects
from benchmarks.figure import Figure
from plumbline.embedded import Embedded

PAIRS, LABELLED = 20_000, 10_000
PRESSES, PAUSE_MS = 200, 250
BROWSERS, PRESSES_EACH, THOUGHT_MS = 5, 40, 1000
OPENS_WITHIN_MS = 60_000
SENTENCE = "The river runs past an old mill where two herons wait for fish in the early light of a cold day. "
TARGET_MS = 150

# Writes down how long after each key press the frame with another prompt has been painted.
WATCH = """
window.painted = [];
addEventListener("keydown", (event) => {
  const text = () => document.querySelector(".pl-pair-prompt").textContent;
  const before = text();
  const look = () => requestAnimationFrame(() => {
    if (text() === before) return look();
    setTimeout(() => painted.push(performance.now() - event.timeStamp)); // runs after the frame
  });
  look();
}, true);
"""


def measure() -> list[Figure]:
    """A person who judges a pair every quarter of a second, half way through a dataset of 20,000; then five people."""
    with tempfile.TemporaryDirectory() as folder, Embedded(Path(folder)) as servers:
        migrate(servers.database_url)
        engine = make_engine(servers.database_url)
        try:
            dataset, tokens = fill(engine)
            with web(servers, Path(folder)) as address:
                painted, stored = label(address, dataset, tokens[0], PRESSES, PAUSE_MS)
                together = label_together(address, dataset, tokens)
        finally:
            engine.dispose()
    note = f"n = {len(painted)} presses, {PAUSE_MS} ms apart, {LABELLED:,} of {PAIRS:,} pairs labelled"
    shared = f"n = {len(together)} presses, {THOUGHT_MS} ms apart in each browser, all on this machine"
    return [
        Figure("key press to next pair painted, slowest of a hundred", last_of(painted), "ms",
               f"at most {TARGET_MS} ms", last_of(painted) <= TARGET_MS, note),
        Figure("key press to next pair painted, half of them", half(painted), "ms"),
        Figure("label stored and next pair leased, half of them", half(stored), "ms", note="seen by the browser"),
        Figure("label stored and next pair leased, slowest of a hundred", last_of(stored), "ms"),
        Figure(f"{BROWSERS} browsers at once: key press to next pair painted, slowest of a hundred", last_of(together),
               "ms", f"at most {TARGET_MS} ms", last_of(together) <= TARGET_MS, shared),
        Figure(f"{BROWSERS} browsers at once: key press to next pair painted, half of them", half(together), "ms"),
    ]  # fmt: skip


def half(values: Sequence[float]) -> float:
    """The median."""
    return quantiles(values, n=2)[0]


def last_of(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return quantiles(values, n=100, method="inclusive")[-1]


def fill(engine: Engine) -> tuple[uuid.UUID, list[str]]:
    """A dataset of pairs of about 120 words, the first half labelled, and the session tokens of a few people."""
    text = SENTENCE * 6
    with transaction(engine) as session:
        project = projects.default(session)
        users = [User(name=f"bench-{n}", password_hash="-", active=True) for n in range(BROWSERS)]  # noqa: S106
        other = User(name="other", password_hash="-", active=True)  # noqa: S106  (opens nothing)
        dataset = Dataset(project_id=project.id, name="Bench", kind=Kind.paired)
        session.add_all([*users, other, dataset])
        session.flush()
        for user in users:
            members.join(session, project.id, user, Role.annotator)
        rows = [
            {
                "project_id": project.id,
                "dataset_id": dataset.id,
                "position": place,
                "split": "train",
                "prompt": [{"role": "user", "content": f"Question {place}"}],
                "prompt_hash": f"p{place}",
                "content_hash": f"c{place}",
                "responses": [{"role": "assistant", "content": f"{place} {side} {text}"} for side in ("a", "b")],
                "facts": {},
            }
            for place in range(PAIRS)
        ]
        session.execute(insert(Item), rows)
        ids = session.scalars(select(Item.id).where(Item.position < LABELLED)).all()
        common = {
            "project_id": project.id,
            "dataset_id": dataset.id,
            "annotator_id": other.id,
            "source": LabelSource.person,
        }
        session.execute(insert(Label), [{**common, "item_id": item, "value": {"strength": 1}} for item in ids])
        tallies.recount(session, [dataset.id])
        return dataset.id, [accounts.open_session(session, user) for user in users]


@contextmanager
def web(servers: Embedded, data: Path) -> Iterator[str]:
    """The web server as `plumbline web` runs it; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    named = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "PLUMBLINE_PORT": str(port),
        "PLUMBLINE_DATA": str(data),
    }
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "plumbline", "web"]
    with subprocess.Popen(command, env={**os.environ, **named}, stdout=subprocess.DEVNULL) as program:
        try:
            while not answers(address):
                if program.poll() is not None:
                    raise RuntimeError(f"the web server ended with status {program.returncode}")
                time.sleep(0.1)
            yield address
        finally:
            program.terminate()
            program.wait(30)


def answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/health/live", timeout=10).status_code == 200
    except httpx2.TransportError:
        return False


def label_together(address: str, dataset: uuid.UUID, tokens: Sequence[str]) -> list[float]:
    """Milliseconds from key press to painted pair of people who label at the same time, each in their own browser."""
    ready = Barrier(len(tokens), timeout=OPENS_WITHIN_MS / 1000)  # nobody measures while another page still loads
    with ThreadPoolExecutor(len(tokens)) as pool:
        each = [
            pool.submit(label, address, dataset, token, PRESSES_EACH, THOUGHT_MS, ready=ready.wait) for token in tokens
        ]
        return [painted for one in each for painted in one.result()[0]]


def label(
    address: str,
    dataset: uuid.UUID,
    token: str,
    presses: int,
    pause_ms: int,
    *,
    ready: Callable[[], object] = lambda: None,
) -> tuple[list[float], list[float]]:
    """Milliseconds from key press to painted pair, and from request to answer of each label."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        browser = playwright.chromium.launch(
            executable_path=own if Path(own).exists() else shutil.which("chromium"), args=["--no-sandbox"]
        )
        context = browser.new_context(base_url=address)
        context.set_default_timeout(OPENS_WITHIN_MS)
        context.add_cookies([{"name": COOKIE, "value": token, "url": address}])
        page = context.new_page()
        answered: list[Response] = []
        page.on("response", lambda response: answered.append(response) if is_label(response) else None)
        page.goto(f"/label?dataset={dataset}")
        page.wait_for_selector(".pl-pair-body .pl-prose")
        ready()
        press(page, presses, pause_ms)
        painted: list[float] = page.evaluate("painted")
        stored = [response.request.timing["responseStart"] for response in answered]
        browser.close()
    if len(painted) < presses or len(stored) < presses:
        raise RuntimeError(f"only {len(painted)} pairs were painted and {len(stored)} labels stored")
    return painted, stored


def is_label(response: Response) -> bool:
    return response.request.method == "POST" and response.url.endswith("/labels") and response.status == 201


def press(page: Page, presses: int, pause_ms: int) -> None:
    page.evaluate(WATCH)
    for place in range(presses):
        page.keyboard.press(str(place % 7 + 1))
        page.wait_for_timeout(pause_ms)
        page.wait_for_function(f"painted.length > {place}")
    page.wait_for_timeout(1000)
