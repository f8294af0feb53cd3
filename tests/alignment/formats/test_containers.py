"""Files of any make: read row by row in constant memory, bad rows told, hopeless files refused."""

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment import formats
from alignment.formats import FileRefused, Item, RowError, containers

GOOD = b'{"prompt": "p %d", "chosen": "good", "rejected": "bad"}'


def file(folder: Path, content: bytes) -> Path:
    path = folder / "rows"
    path.write_bytes(content)
    return path


def read(path: Path, **options: Any) -> list[Item | RowError]:
    return list(formats.read(path, "trl", **options))


def test_windows_files(tmp_path: Path) -> None:
    """A byte order mark, CRLF ends and blank lines change nothing; lines keep their numbers."""
    found = read(file(tmp_path, b"\xef\xbb\xbf" + GOOD % 1 + b"\r\n\r\n" + GOOD % 2 + b"\r\n"))

    assert [row.line for row in found if isinstance(row, Item)] == [1, 3]


@pytest.mark.parametrize("ending", [b"\n", b""])
def test_last_line_needs_no_end(tmp_path: Path, ending: bytes) -> None:
    """A file may stop without a line end."""
    assert len(read(file(tmp_path, GOOD % 1 + b"\n" + GOOD % 2 + ending))) == 2


def test_a_line_of_a_gigabyte(tmp_path: Path) -> None:
    """A line of 1 GB is refused without being held, and the lines after it are read."""
    path = tmp_path / "rows"
    with path.open("wb") as out:
        out.write(GOOD % 1 + b"\n")
        out.seek(1 << 30, io.SEEK_CUR)  # a hole: the disk holds nothing of it
        out.write(b"\n" + GOOD % 3 + b"\n")
    tracemalloc.start()
    found = read(path, max_row_bytes=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [type(row) for row in found] == [Item, RowError, Item]
    assert (found[1].line, found[2].line) == (2, 3)
    assert isinstance(found[1], RowError)
    assert "1,073,741,8" in found[1].reason
    assert peak < 16 << 20


@pytest.mark.parametrize("size", range(-2, 4))
def test_the_limit_is_exact(tmp_path: Path, size: int) -> None:
    """A row of exactly the limit is read, one byte more is not, whatever follows it."""
    row = b'{"prompt": "p", "chosen": "good", "rejected": "%s"}'
    cap = len(row) + 10
    content = row % (b"x" * (12 + size))
    for end in (b"\n", b"\r\n", b""):
        found = read(file(tmp_path, content + end), max_row_bytes=cap)
        assert [type(row) for row in found] == [Item if len(content) <= cap else RowError], (size, end)


def test_wrong_encoding_names_the_byte(tmp_path: Path) -> None:
    """Latin-1 in one row is a bad row that names the byte's place in the file."""
    first = GOOD % 1 + b"\n"
    bad = b'{"prompt": "caf\xe9", "chosen": "a", "rejected": "b"}\n'
    found = read(file(tmp_path, first + bad + GOOD % 3))

    assert isinstance(found[1], RowError)
    assert f"0xe9 at offset {len(first) + bad.index(0xE9):,}" in found[1].reason
    assert isinstance(found[2], Item)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (b'{"prompt": NaN}', "NaN"),
        (b'{"prompt": -Infinity}', "Infinity"),
        (b'{"prompt": "\\ud800"}', "surrogate"),
        (b'{"prompt": "p",}', "no valid JSON"),
        (b"{'prompt': 1}", "no valid JSON"),
        (b'{"prompt": "p"', "cut off"),
        (b'{"prompt": "p', "cut off"),
        (b"[" * 5_000 + b"]" * 5_000, "nested too deep"),
        (b'{"a": ' * 2_000 + b"1" + b"}" * 2_000, "nested too deep"),
        (b"42", "object"),
        (b"null", "object"),
        (b"\x00\x00", "no valid JSON"),
    ],
)
def test_rows_that_are_none(tmp_path: Path, row: bytes, word: str) -> None:
    """Each kind of broken row has a reason of its own, and the next row is read."""
    found = read(file(tmp_path, GOOD % 1 + b"\n" + row + b"\n" + GOOD % 2))

    assert [type(row) for row in found] == [Item, RowError, Item]
    assert isinstance(found[1], RowError)
    assert word in found[1].reason


def test_json_list(tmp_path: Path) -> None:
    """A JSON list gives its elements one by one, pretty-printed or not, numbered from 1."""
    rows = [json.loads(GOOD % number) for number in range(3)]
    for content in (json.dumps(rows), json.dumps(rows, indent=2), "\ufeff\n " + json.dumps(rows)):
        assert [row.line for row in read(file(tmp_path, content.encode()))] == [1, 2, 3]


def test_json_list_cut_off(tmp_path: Path) -> None:
    """A list that breaks off keeps the rows before, and tells that the end is missing."""
    found = read(file(tmp_path, b"[" + GOOD % 1 + b"," + GOOD % 2 + b', {"prompt": "p'))

    assert [type(row) for row in found] == [Item, Item, RowError]
    assert isinstance(found[2], RowError)
    assert "middle" in found[2].reason


@pytest.mark.parametrize("gap", [b"", b"\n", b" " * containers.BLOCK])
def test_text_after_a_json_list(tmp_path: Path, gap: bytes) -> None:
    """A second list behind the first is told, not silently left out, wherever blocks end; white space is nothing."""
    first, second = b"[" + GOOD % 1 + b"]", b"[" + GOOD % 2 + b"]"
    item, error = read(file(tmp_path, first + gap + second))
    assert isinstance(item, Item)
    assert isinstance(error, RowError)
    assert "follows the closing" in error.reason
    assert len(list(read(file(tmp_path, first + gap + b"\n")))) == 1


def test_json_list_with_a_giant(tmp_path: Path) -> None:
    """An element over the limit is skipped; its neighbors are read."""
    giant = b'{"prompt": "' + b'x\\"[{' * 100_000 + b'"}'
    found = read(file(tmp_path, b"[" + GOOD % 1 + b"," + giant + b"," + GOOD % 2 + b"]"), max_row_bytes=1_000)

    assert [type(row) for row in found] == [Item, RowError, Item]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.dictionaries(st.text(), values), max_size=8), block=st.integers(1, 40), ascii=st.booleans())
def test_list_splitter_agrees_with_json(rows: list[dict[str, Any]], block: int, ascii: bool) -> None:
    """Whatever stands in a list, and wherever a block ends, its elements are those that a JSON parser finds."""
    content = json.dumps(rows, ensure_ascii=ascii, indent=block % 3 or None).encode()
    splitter = containers._Splitter(1 << 20)
    pieces = [
        piece
        for start in range(0, len(content), block)
        for piece in splitter.feed(content[start : start + block], start)
    ]

    assert [json.loads(piece) for _, _, piece in pieces] == rows
    assert splitter.ended


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\n \r\n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"[]", "no rows"),
        ("{}".encode("utf-16-le"), ""),
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"PAR1" + b"x" * 100, "damaged"),
        (b"PAR1", "damaged"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: bytes, word: str) -> None:
    """A file without rows of ours is refused as a whole, with a remedy, or each row is told."""
    path = file(tmp_path, content)
    if not word:
        assert all(isinstance(row, RowError) for row in read(path))
        return
    with pytest.raises(FileRefused, match=word) as refused:
        read(path)
    assert refused.value.remedy


def test_parquet_rows(tmp_path: Path) -> None:
    """Parquet gives the same items as JSON lines; a null column is an absent one."""
    rows = [json.loads(GOOD % number) | {"weight": None if number % 2 else 0.5} for number in range(2_500)]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=400)
    seen: list[int] = []
    found = read(path, progress=seen.append)

    assert len(found) == 2_500
    assert isinstance(found[1], Item)
    assert found[1].facts == {}
    assert seen == sorted(seen)
    assert seen[-1] == path.stat().st_size


def test_parquet_with_numbers_that_are_none(tmp_path: Path) -> None:
    """NaN from a float column is a bad row; it never reaches the database."""
    rows = [json.loads(GOOD % 1) | {"margin": float("nan"), "other": 1.0}]
    rows += [json.loads(GOOD % 2) | {"margin": 1.0, "other": float("inf")}]
    path = tmp_path / "rows"
    pq.write_table(pa.Table.from_pylist(rows), path)

    found = read(path)
    assert [type(row) for row in found] == [RowError, RowError]


def test_parquet_cut_off(tmp_path: Path) -> None:
    """A damaged Parquet file is refused, never half read in silence."""
    path = tmp_path / "rows"
    pq.write_table(pa.Table.from_pylist([json.loads(GOOD % n) for n in range(1_000)]), path)
    content = bytearray(path.read_bytes())
    with pytest.raises(FileRefused):
        read(file(tmp_path, bytes(content[:-20])))
    content[40:400] = b"\xff" * 360
    with pytest.raises(FileRefused):
        read(file(tmp_path, bytes(content)))


def test_memory_does_not_grow(tmp_path: Path) -> None:
    """Ten times the rows, the same memory."""
    peaks = []
    for count in (2_000, 20_000):
        path = file(tmp_path, b"\n".join(GOOD % number for number in range(count)))
        tracemalloc.start()
        assert sum(1 for _ in formats.read(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] * 1.5


def test_the_limit_holds_for_parquet(tmp_path: Path) -> None:
    """A row of Parquet that is longer than a row may be is left out with its number; the others are read."""
    rows = [{"prompt": "p", "chosen": "good " * size, "rejected": "bad"} for size in (1, 50_000, 2)]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    found = read(path, max_row_bytes=100_000)

    assert [type(row) for row in found] == [Item, RowError, Item]
    assert isinstance(found[1], RowError)
    assert (found[1].line, "at most 100,000" in found[1].reason) == (2, True)
