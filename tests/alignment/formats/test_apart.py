"""Files that unpack to far more than their size end the process that reads them, and nothing else."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alignment import formats
from alignment.formats import FileRefused, Item, RowError, apart, packed

ROW = {"prompt": "Name a color.", "chosen": "Red.", "rejected": "Seven."}
HOW: dict[str, Any] = {"format": None, "columns": None, "survey": None, "config": None, "max_row_bytes": 10 << 20}


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader may use 1 GiB, so that a test need not fill more."""
    monkeypatch.setattr(apart, "MEMORY_BYTES", 1 << 30)


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def bomb(path: Path) -> Path:
    """A few kilobytes of Parquet whose first 200 rows are 2 GB: one long text, told once and used by every row."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 400, pa.int32()), pa.array(["x" * (10 << 20)]))
    pq.write_table(pa.table({"prompt": column, "chosen": column, "rejected": column}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    return path


@pytest.mark.usefixtures("little_memory")
def test_a_parquet_bomb_is_refused(tmp_path: Path) -> None:
    """Neither the preview nor the import runs out of memory: the reader does, and the file is refused in words."""
    path = bomb(tmp_path / "bomb.parquet")
    for read in (lambda: apart.look(path, **HOW), lambda: list(formats.read(path, "trl"))):
        with pytest.raises(FileRefused) as refused:
            read()
        assert "memory" in refused.value.reason


def test_parquet_rows_come_through_unchanged(tmp_path: Path) -> None:
    """Texts, messages, numbers and rows that are none arrive as if they had been read here."""
    rows = [ROW | {"score_chosen": 1.5, "note": "ünïcode\n"}, ROW | {"score_chosen": float("nan"), "note": "x"}]
    found = list(formats.read(table(tmp_path / "rows.parquet", rows), "trl"))
    assert isinstance(found[0], Item)
    assert found[0].facts["meta"]["note"] == "ünïcode\n"
    assert isinstance(found[1], RowError)
    assert (found[1].line, found[1].field) == (2, "score_chosen")


def test_leaving_off_ends_the_reader(tmp_path: Path) -> None:
    """Whoever stops in the middle (a cancelled import) leaves no process behind."""
    source = formats.read(table(tmp_path / "rows.parquet", [ROW | {"n": n} for n in range(5000)]), "trl")
    next(iter(source))
    source.close()  # type: ignore[attr-defined]
    assert not [child for child in _children() if "apart" in child]


def _children() -> list[str]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            path = Path(f"/proc/{pid}/cmdline")
            found.append(path.read_text().replace("\0", " ") if path.exists() else "")
    return found


def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A preview has an end, whatever the file does to the reader."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW))
    monkeypatch.setattr(apart, "LOOK_SECONDS", 0.01)
    with pytest.raises(apart.TooMuch):
        apart.look(path, **HOW)


def test_the_reader_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a broken library could reach is not told tokens, keys or the database's address."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    assert "secret" not in str(apart._environment())


def pack_gzip(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content))


def pack_zstd(path: Path, content: bytes) -> None:
    with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd") as out:
        out.write(content)


@pytest.mark.parametrize("pack", [pack_gzip, pack_zstd])
def test_packed_files_are_unpacked_and_bombs_are_not(tmp_path: Path, pack: Callable[[Path, bytes], None]) -> None:
    """gzip and zstd are read; a file hundreds of times larger than its packed form, or cut off, leaves nothing."""
    path, target = tmp_path / "rows", tmp_path / "plain"
    content = b"".join(json.dumps(ROW | {"n": n}).encode() + b"\n" for n in range(100))
    pack(path, content)
    packed.unpack(path, target, most=1 << 20)
    assert target.read_bytes() == content
    assert apart.look(path, **HOW)["format"] == "trl"
    target.unlink()

    with pytest.raises(FileRefused):
        packed.unpack(path, target, most=1000)
    pack(path, bytes(80 << 20))
    with pytest.raises(FileRefused, match="unpacks to more"):
        packed.unpack(path, target, most=1 << 40)
    pack(path, content)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FileRefused, match="damaged"):
        packed.unpack(path, target, most=1 << 20)
    assert not target.exists()
