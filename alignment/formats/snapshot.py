"""The frozen copy a run trains on: a folder named by the hash of its rows, written once and never changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from alignment.formats.canonical import FileRefused, Message, Split, canonical_json

VERSION: Final = 1
EXAMPLES: Final = "examples.parquet"
MANIFEST: Final = "manifest.json"
BATCH: Final = 1_000
FACT_TYPES: Final[Mapping[str, Any]] = {
    "weight": pa.float64(),
    "soft_label": pa.float64(),
    "margin": pa.float64(),
    "votes": pa.int64(),
    "win_probability": pa.float64(),
    "scores": pa.list_(pa.float64()),
    "ranks": pa.list_(pa.float64()),
    "aspects": pa.string(),  # JSON: a list of objects
    "desirable": pa.bool_(),
    "category": pa.string(),
    "reference_answer": pa.string(),
    "rationale": pa.string(),
    "empty_chosen": pa.string(),
    "empty_rejected": pa.string(),
    "annotator": pa.string(),
}

_JSON_FACTS: Final = frozenset({"aspects"})


@dataclass(slots=True)
class Example:
    """One row that training reads; for a pair `responses` is (chosen, rejected)."""

    id: str
    split: Split
    prompt: list[Message]
    responses: list[Message]
    facts: dict[str, Any] = field(default_factory=dict)

    def canonical(self) -> bytes:
        """The row that is hashed: everything but the id."""
        return canonical_json(
            {"split": self.split, "prompt": self.prompt, "responses": self.responses, "facts": self.facts}
        )


class Manifest(BaseModel):
    """What lies beside the examples: where they came from, and their number in each split."""

    model_config = ConfigDict(frozen=True)

    version: int = VERSION
    hash: str
    kind: str
    counts: dict[str, int]
    policy: dict[str, Any]
    dataset: dict[str, Any]
    label_watermark: str | None = None


class EmptySnapshot(ValueError):
    """There was no example to write."""


def write(
    root: Path,
    examples: Iterable[Example],
    *,
    kind: str,
    policy: Mapping[str, Any],
    dataset: Mapping[str, Any],
    label_watermark: str | None = None,
) -> Manifest:
    """Write `root/<hash>/` and return its manifest; a folder of that hash that is already there is kept.

    The hash is SHA-256 over the sorted SHA-256 digests of the canonical rows, and rows lie in that order: equal
    content gives an equal folder, however it was ordered, and memory stays constant.  Whatever interrupts the writing
    leaves no folder.  Raises EmptySnapshot, OSError when the disk is full.
    """
    root.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".writing-", dir=root))
    try:
        digests, counts, facts = _spool(work / "spool.arrow", examples)
        if not digests:
            raise EmptySnapshot
        order = sorted(range(len(digests)), key=digests.__getitem__)
        found = hashlib.sha256(b"".join(digests[index] for index in order)).hexdigest()
        manifest = Manifest(
            hash=found,
            kind=kind,
            counts=dict(sorted(counts.items())),
            policy=dict(policy),
            dataset=dict(dataset),
            label_watermark=label_watermark,
        )
        if not (root / found / MANIFEST).exists():
            _write_examples(work, order, facts)
            (work / MANIFEST).write_bytes(orjson.dumps(manifest.model_dump(), option=orjson.OPT_INDENT_2))
            _publish(work, root / found)
        return manifest
    finally:
        shutil.rmtree(work, ignore_errors=True)


_SPOOL: Final = pa.schema([("id", pa.string()), ("row", pa.binary())])


def _spool(path: Path, examples: Iterable[Example]) -> tuple[list[bytes], Counter[str], set[str]]:
    """Rows on disk in the order they came; their digests, the number in each split, and the facts that occur."""
    digests: list[bytes] = []
    counts: Counter[str] = Counter()
    facts: set[str] = set()
    batch: list[dict[str, Any]] = []
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _SPOOL) as writer:
        for example in examples:
            row = example.canonical()
            digests.append(hashlib.sha256(row).digest())
            counts[example.split] += 1
            facts.update(example.facts)
            batch.append({"id": example.id, "row": row})
            if len(batch) == BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=_SPOOL))
                batch.clear()
        if batch:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=_SPOOL))
    return digests, counts, facts


def _write_examples(work: Path, order: list[int], facts: set[str]) -> None:
    columns = [
        ("id", pa.string()),
        ("split", pa.string()),
        ("prompt", pa.string()),
        ("responses", pa.list_(pa.string())),
    ]
    schema = pa.schema(columns + [(name, kind) for name, kind in FACT_TYPES.items() if name in facts])
    spool = work / "spool.arrow"
    with pa.memory_map(str(spool)) as source, pq.ParquetWriter(work / EXAMPLES, schema, compression="zstd") as writer:
        table = pa.ipc.open_file(source).read_all()
        for start in range(0, len(order), BATCH):
            rows = table.take(pa.array(order[start : start + BATCH])).to_pylist()
            batch = [_columns(row["id"], orjson.loads(row["row"])) for row in rows]
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
        del table
    spool.unlink()


def _columns(id: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": id,
        "split": row["split"],
        "prompt": canonical_json(row["prompt"]).decode(),
        "responses": [canonical_json(answer).decode() for answer in row["responses"]],
        **{
            name: canonical_json(value).decode() if name in _JSON_FACTS else value
            for name, value in row["facts"].items()
        },
    }


def _publish(work: Path, folder: Path) -> None:
    """Make the files durable, then visible under their name in one step."""
    for name in (EXAMPLES, MANIFEST):
        _sync(work / name)
    _sync(work)
    work.chmod(0o755)
    try:
        work.rename(folder)
    except OSError:
        if not (folder / MANIFEST).exists():  # else somebody wrote the same content first, which is as good
            raise
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def manifest(folder: Path) -> Manifest:
    """The manifest of a snapshot folder.  Raises FileRefused when the folder is no snapshot."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        raise FileRefused(
            f"The folder {folder.name} is no snapshot: {MANIFEST} is missing or damaged.", "Make the snapshot again."
        ) from None


def read(folder: Path, split: Split | None = None) -> Iterator[Example]:
    """The examples in training order, of one split or all, in constant memory.  Raises FileRefused."""
    for row in _rows(folder, lambda _: True):
        if split is None or row["split"] == split:
            yield _example(row)


def _rows(folder: Path, wanted: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    """The wanted columns of every row."""
    try:
        with pq.ParquetFile(folder / EXAMPLES, pre_buffer=False) as file:
            columns = list(filter(wanted, file.schema_arrow.names))
            for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, KeyError):
        raise FileRefused(f"{EXAMPLES} of {folder.name} is missing or damaged.", "Make the snapshot again.") from None


def _example(row: dict[str, Any]) -> Example:
    return Example(
        id=row.pop("id"),
        split=cast(Split, row.pop("split")),
        prompt=orjson.loads(row.pop("prompt")),
        responses=[orjson.loads(answer) for answer in row.pop("responses")],
        facts=_facts(row),
    )


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: orjson.loads(value) if name in _JSON_FACTS else value for name, value in row.items() if value is not None
    }


def read_facts(folder: Path, names: Collection[str]) -> Iterator[Example]:
    """The same examples without their texts, and with these facts only: what is not asked for is not read.

    Raises FileRefused.
    """
    for row in _rows(folder, lambda name: name in ("id", "split", *names)):
        yield Example(row.pop("id"), cast(Split, row.pop("split")), [], [], _facts(row))


def read_prompts(folder: Path, split: Split) -> Iterator[list[Message]]:
    """The prompts of one split alone, in training order.  Raises FileRefused."""
    for row in _rows(folder, lambda name: name in ("split", "prompt")):
        if row["split"] == split:
            yield orjson.loads(row["prompt"])


def verify(folder: Path) -> bool:
    """Whether the examples still have the hash that the manifest names."""
    digests = sorted(hashlib.sha256(example.canonical()).digest() for example in read(folder))
    return hashlib.sha256(b"".join(digests)).hexdigest() == manifest(folder).hash
