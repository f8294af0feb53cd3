"""Formats: how fast rows of each are read into items and written from them, alone and through the whole program."""

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import orjson

from alignment import formats
from alignment.formats import FORMATS, Item, LabelFacts, Mapped, RowError, cells, delimited, helpsteer
from alignment.formats.canonical import Kind, Message
from alignment.formats.writing import Export
from benchmarks.figure import Figure
from benchmarks.import_rate import SENTENCE
from plumbline.tour import private_program

ROWS = int(os.environ.get("PLUMBLINE_BENCH_ROWS", "100000"))
IMPORT, EXPORT = 5_000, 10_000  # rows a second, as promised
THROUGH = ("trl", "mapped", "nectar", "trl_unpaired")  # the formats that go through the whole program
WAIT_SECONDS = 600.0
KIND: dict[str, Kind] = {
    "helpsteer": "demonstrations",
    "nectar": "ranked",
    "kto": "unpaired",
    "trl_unpaired": "unpaired",
    "prompts": "prompts",
}
"""What rows of a format hold here; pairs, where nothing else is said."""


def measure() -> list[Figure]:
    """Reading and writing of each format, then a few of them from upload to commit and from database to download."""
    load = os.getloadavg()[0]
    note = f"{ROWS:,} rows, load {load:.1f} on {os.cpu_count()} cores"
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for name in names():
            path = files[name] = Path(folder) / name
            written, size = write(name, path)
            read = reading(name, path)
            per_row = f"{note}, {size / ROWS:,.0f} bytes each"
            figures.append(rate(f"{name}: file to items", read, IMPORT, per_row))
            figures.append(rate(f"{name}: items to file", written, EXPORT, per_row))
            if name not in THROUGH:
                path.unlink()
        figures += through_the_program(files, note)
    return figures


def names() -> list[str]:
    """The formats that are written here, every one that needs no mapping of questions."""
    return [name for name in FORMATS if name not in ("argilla", "label_studio")]


def rate(what: str, seconds: float, target: int, note: str) -> Figure:
    """Rows a second against what was promised."""
    return Figure(what, ROWS / seconds, "rows/s", f"at least {target:,} rows/s", seconds * target <= ROWS, note)


def items(kind: Kind) -> Iterator[Item]:
    """Items of about a kilobyte, no two alike."""
    lottery = random.Random(0)
    vocabulary = SENTENCE.split()

    def said(count: int) -> str:
        return " ".join(lottery.choices(vocabulary, k=count))

    def answer(count: int) -> Message:
        return {"role": "assistant", "content": said(count)}

    for number in range(ROWS):
        prompt: list[Message] = [
            {"role": "user", "content": f"{number}: {said(15)}"},
            answer(30),
            {"role": "user", "content": said(15)},
        ]
        facts: dict[str, Any] = {"category": "chat"}
        if kind == "prompts":
            yield Item(prompt[-1:] if number % 2 else prompt, [], (), facts)
        elif kind == "ranked":
            answers = [answer(30) for _ in range(7)]
            yield Item(prompt, answers, (), facts | {"ranks": [float(rank) for rank in range(1, 8)]})
        elif kind == "paired":
            label = LabelFacts({"strength": lottery.choice((1, 2, 3))}, rationale="Because it is shorter.")
            yield Item(prompt, [answer(50), answer(50)], (label,), facts | {"scores": [4.5, 2.0]})
        elif kind == "unpaired":
            yield Item(prompt, [answer(60)], (), facts | {"desirable": number % 2 == 0})
        else:
            yield Item(prompt, [answer(60)], (), facts | {"aspects": [dict.fromkeys(helpsteer.ASPECTS, 3.0)]})


def write(name: str, path: Path) -> tuple[float, int]:
    """Seconds that making the rows and their bytes took, items aside; and the bytes."""
    kind: Kind = KIND.get(name, "paired")
    export = Export(FORMATS[name], kind)
    given = list(items(kind))
    began = time.perf_counter()
    rows = (row for item in given for row in export.rows(item))
    with path.open("wb") as file:
        if name == Mapped.NAME:
            file.writelines(delimited.write(rows, cells.header(kind), ","))
        else:
            file.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
    seconds = time.perf_counter() - began
    assert export.losses.rows == ROWS, export.losses.left_out
    return seconds, path.stat().st_size


def reading(name: str, path: Path) -> float:
    """Seconds from the file to items; every row is a good one."""
    began = time.perf_counter()
    bad = [found for found in formats.read(path, name) if isinstance(found, RowError)]
    seconds = time.perf_counter() - began
    assert not bad, bad[0]
    return seconds


def through_the_program(files: dict[str, Path], note: str) -> list[Figure]:
    """Imports from claim to commit, and exports from the request to the last byte, of the real program."""
    figures = []
    with private_program() as (address, token, tend):
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=f"{address}/api/v1", headers=headers, timeout=600) as client:
            for name in THROUGH:
                row = bring_in(client, name, files[name], tend)
                spent = datetime.fromisoformat(row["finished_at"]) - datetime.fromisoformat(row["started_at"])
                figures.append(rate(f"{name}: imported, claim to commit", spent.total_seconds(), IMPORT, note))
                seconds = give_out(client, row["dataset_id"], name)
                figures.append(rate(f"{name}: exported, request to last byte", seconds, EXPORT, note))
                if name == "trl":
                    for other in ("native", "openai_preference"):
                        seconds = give_out(client, row["dataset_id"], other)
                        figures.append(rate(f"{other}: exported, request to last byte", seconds, EXPORT, note))
    return figures


def bring_in(client: httpx2.Client, name: str, path: Path, tend: Callable[[], None]) -> dict[str, Any]:
    """The finished import of a file."""
    with path.open("rb") as file:
        sent = client.post("/uploads", params={"filename": path.name}, content=iter(lambda: file.read(1 << 20), b""))
    body = {"upload_id": sent.raise_for_status().json()["id"], "name": name}
    row: dict[str, Any] = client.post("/imports", json=body).raise_for_status().json()
    began = time.monotonic()
    while row["finished_at"] is None:
        if time.monotonic() - began > WAIT_SECONDS:
            raise TimeoutError(f"the import is still {row['state']} after {WAIT_SECONDS:.0f} s")
        tend()
        time.sleep(0.2)
        row = client.get(f"/imports/{row['id']}").raise_for_status().json()
    assert (row["state"], row["rows_good"]) == ("succeeded", ROWS), row["reason"]
    return row


def give_out(client: httpx2.Client, dataset_id: str, name: str) -> float:
    """Seconds until a whole export is received."""
    began = time.perf_counter()
    lines = 0
    with client.stream("GET", f"/datasets/{dataset_id}/export", params={"format": name}) as answer:
        answer.raise_for_status()
        for block in answer.iter_bytes():
            lines += block.count(b"\n")
    assert lines >= ROWS, lines
    return time.perf_counter() - began
