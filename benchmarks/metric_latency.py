"""Watching a run: from the moment a step is finished to its value in the API's answer, and painted in real Chromium."""

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
from playwright.sync_api import Page, sync_playwright

from backend.settings import get_settings
from benchmarks.figure import Figure
from plumbline.tour import private_program

STEPS, TARGET_SECONDS = 60, 2.0
WAIT_SECONDS = 600.0
ENDED = {"succeeded", "failed", "cancelled", "lost"}

# Writes down when the frame is done in which a step of the loss was first drawn.
WATCH = """
window.drawn = {};
const watch = () => {
  const chart = document.querySelector(".pl-run-chart .js-plotly-plot");
  if (!chart || !chart.on) return setTimeout(watch, 50);
  const note = () => {
    const line = chart.data.find((one) => one.name === "training") || chart.data[0];
    const now = Date.now() / 1000;
    for (const step of line ? line.x : []) drawn[step] ||= now;
  };
  chart.on("plotly_afterplot", note);
  note();
};
watch();
"""


def measure() -> list[Figure]:
    """One toy run, asked for every 50 ms through the API and open in a browser."""
    with private_program() as (address, token, tend):
        headers = {"Authorization": f"Bearer {token}"}
        with (
            httpx2.Client(base_url=f"{address}/api/v1", headers=headers, timeout=60) as client,
            sync_playwright() as kit,
        ):
            run = launch(client)
            own = kit.chromium.executable_path
            browser = kit.chromium.launch(
                executable_path=own if Path(own).exists() else shutil.which("chromium"), args=["--no-sandbox"]
            )
            context = browser.new_context(base_url=address)
            signed = {"name": "admin", "password": os.environ["PLUMBLINE_ADMIN_PASSWORD"]}
            context.request.post("/api/v1/session", data=signed, headers={"Origin": address})
            page = context.new_page()
            page.goto(f"/run?id={run}")
            page.evaluate(WATCH)
            answered = follow(client, run, page, tend)
            drawn = {int(step): seen for step, seen in page.evaluate("drawn").items()}
            browser.close()
        written = steps(get_settings().runs / run / "events.jsonl")
    return [
        *figures("the API's answer", written, answered, promised=False),
        *figures("the painted chart", written, drawn, promised=True),
    ]


def launch(client: httpx2.Client) -> str:
    """A run of the toy world with steps of a fifth of a second or so."""
    checkpoint = next(one for one in client.get("/checkpoints").json()["items"] if one["toy"])
    datasets = client.get("/datasets").json()["items"]
    dataset = next(one for one in datasets if one["toy"] and one["kind"] == "paired")
    preset = next(one for one in client.get("/run-form").json()["presets"] if one["name"] == "toy")
    body = {
        **preset["values"],
        "name": "Latency",
        "checkpoint_id": checkpoint["id"],
        "dataset_id": dataset["id"],
        "duration": {"steps": STEPS},
        "evaluate": {"every_steps": STEPS, "samples": 0},
    }
    run: dict[str, Any] = client.post("/runs", json=body).raise_for_status().json()
    return str(run["id"])


def follow(client: httpx2.Client, run: str, page: Page, tend: Callable[[], None]) -> dict[int, float]:
    """When each step was first in the API's answer, in seconds of the clock; returns once the run has ended."""
    seen: dict[int, float] = {}
    cursor, limit = None, time.monotonic() + WAIT_SECONDS
    while True:
        query = {"names": "loss"} | ({} if cursor is None else {"after": str(cursor)})
        answer = client.get(f"/runs/{run}/metrics", params=query).raise_for_status().json()
        cursor, now = answer["cursor"], time.time()
        for step in answer["series"].get("loss", {"step": []})["step"]:
            seen.setdefault(step, now)
        if len(seen) >= STEPS and client.get(f"/runs/{run}").json()["state"] in ENDED:
            page.wait_for_timeout(3000)
            return seen
        if time.monotonic() > limit:
            raise TimeoutError(f"{len(seen)} of {STEPS} steps were seen in {WAIT_SECONDS:.0f} s")
        page.wait_for_timeout(50)
        tend()


def steps(events: Path) -> dict[int, float]:
    """When training wrote each step."""
    rows = [json.loads(line) for line in events.read_text("utf-8").splitlines()]
    return {row["step"]: row["time"] for row in rows if row["type"] == "step" and "loss" in row["values"]}


def figures(where: str, written: dict[int, float], seen: dict[int, float], *, promised: bool) -> Sequence[Figure]:
    """Half of the steps and the slowest one; the first is left out, since the page draws its charts for it."""
    late = sorted(seen[step] - written[step] for step in written if step in seen and step > 1)
    if len(late) < STEPS - 1:
        raise RuntimeError(f"only {len(late)} of {STEPS - 1} steps reached {where}")
    target = f"at most {TARGET_SECONDS:.0f} s" if promised else ""
    note = f"n = {len(late)} steps of a toy run on the same machine"
    return [
        Figure(
            f"step to {where}, slowest", late[-1], "s", target, late[-1] <= TARGET_SECONDS if promised else None, note
        ),
        Figure(f"step to {where}, half of them", median(late), "s"),
    ]
