"""Import of JSON lines: an upload through the API, read by the real worker into items and labels."""

import json
import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2

from benchmarks.figure import Figure
from plumbline.tour import private_program

PAIRS, TARGET = 50_000, 5_000
SENTENCE = "the river runs past an old mill where two herons wait for fish in the early light of a cold day"
WAIT_SECONDS = 300.0


def measure() -> list[Figure]:
    """One import of fifty thousand conversations of about a kilobyte, each another one."""
    content = rows(PAIRS)
    with private_program() as (address, token, tend):
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=f"{address}/api/v1", headers=headers, timeout=120) as client:
            row, seconds = run(client, content, tend)
    worked = (datetime.fromisoformat(row["finished_at"]) - datetime.fromisoformat(row["started_at"])).total_seconds()
    size = f"{PAIRS:,} pairs of {len(content) / PAIRS / 1000:.1f} kB, items and labels"
    return [
        Figure(
            "import of JSON lines",
            PAIRS / worked,
            "pairs/s",
            f"at least {TARGET:,} pairs/s",
            worked * TARGET <= PAIRS,
            f"{size}, from claim to commit",
        ),
        Figure("from the start of the upload to the dataset", seconds, "s", note=size),
    ]


def rows(count: int) -> bytes:
    """Pairs in TRL's conversational form, two turns each, no two alike."""
    lottery = random.Random(0)

    def said(words: int) -> str:
        return " ".join(lottery.choices(SENTENCE.split(), k=words))

    return b"".join(
        json.dumps(
            {
                "prompt": [
                    {"role": "user", "content": f"{number}: {said(20)}"},
                    {"role": "assistant", "content": said(40)},
                    {"role": "user", "content": said(20)},
                ],
                "chosen": [{"role": "assistant", "content": said(60)}],
                "rejected": [{"role": "assistant", "content": said(60)}],
            }
        ).encode()
        + b"\n"
        for number in range(count)
    )


def run(client: httpx2.Client, content: bytes, tend: Callable[[], None]) -> tuple[dict[str, Any], float]:
    """The finished import, and the seconds from the first byte sent."""
    began = time.monotonic()
    upload = client.post("/uploads", params={"filename": "pairs.jsonl"}, content=content).raise_for_status().json()
    body = {"upload_id": upload["id"], "name": "benchmark"}
    row: dict[str, Any] = client.post("/imports", json=body).raise_for_status().json()
    while row["finished_at"] is None:
        if time.monotonic() - began > WAIT_SECONDS:
            raise TimeoutError(f"the import is still {row['state']} after {WAIT_SECONDS:.0f} s")
        tend()
        time.sleep(0.1)
        row = client.get(f"/imports/{row['id']}").raise_for_status().json()
    assert (row["state"], row["rows_good"]) == ("succeeded", PAIRS), row["reason"]
    return row, time.monotonic() - began
