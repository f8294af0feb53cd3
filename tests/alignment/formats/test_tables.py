"""CSV and its kin, and plain lines: told apart, mapped, guarded against formulas, and hostile ones refused cheaply."""

import csv
import io
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alignment import formats
from alignment.formats import Columns, FileRefused, Item, RowError, UnknownFormat, containers, delimited, mapped

PAIR = Columns(prompt="q", response_a="one", response_b="two", label="best", annotator="who")


def file(folder: Path, content: bytes) -> Path:
    path = folder / "table"
    path.write_bytes(content)
    return path


def read(path: Path, columns: Columns | None = None, **options: Any) -> list[Item | RowError]:
    return list(formats.read(path, columns=columns, **options))


def item(path: Path, columns: Columns | None = None) -> Item:
    (found,) = read(path, columns)
    assert isinstance(found, Item), found
    return found


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252"])
def test_layout_is_detected(tmp_path: Path, delimiter: str, encoding: str) -> None:
    """Delimiter, encoding and byte order mark are found; quoted cells hold quotes, delimiters and line ends."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows(
        [["prompt", "chosen", "rejected"], ["Crème?", f'a{delimiter}b\n"c"', "no"], ["Two", "x\r\ny", "z"]]
    )
    path = file(tmp_path, out.getvalue().encode(encoding))
    found = read(path)

    assert containers.container_of(path) == "table"
    assert [(one.prompt[0]["content"], one.responses[0]["content"]) for one in found if isinstance(one, Item)] == [
        ("Crème?", f'a{delimiter}b\n"c"'),
        ("Two", "x\r\ny"),
    ]
    assert [one.line for one in found] == [2, 4]


@pytest.mark.parametrize(
    ("content", "container", "count"),
    [
        (b"Name a color.\nWrite a poem, please, about rain.\n\nCount to three.\n", "lines", 3),
        (b"prompt\nName a color.\n", "table", 1),
        (b'"prompt","category"\n"Name a color.","easy"\n', "table", 1),
        (b"id,prompt\n1,Name a color.\n2,Another.\n", "table", 2),
        (b'{"prompt": "Hi"}\n', "jsonl", 1),
        (b'not json\n{"prompt": "Hi"}\n{"prompt": "Ho"}\n', "jsonl", 3),
    ],
)
def test_tables_and_lines_are_told_apart(tmp_path: Path, content: bytes, container: str, count: int) -> None:
    """A table needs a header that fits its rows; what has none is lines of text, a prompt each."""
    path = file(tmp_path, content)

    assert (containers.container_of(path), len(read(path))) == (container, count)


@pytest.mark.parametrize(
    ("row", "kind", "value"),
    [
        ("Q,A,B,a,w1", "paired", {"strength": 1}),
        ("Q,A,B,2,w1", "paired", {"strength": -1}),
        ("Q,A,B,Tie,w1", "paired", {"strength": 0}),
        ("Q,A,B,both bad,w1", "paired", {"both_bad": True}),
        ("Q,A,B,,w1", "paired", None),
    ],
)
def test_labels_by_a_mapping(tmp_path: Path, row: str, kind: str, value: Any) -> None:
    """The usual words of a label are understood, an empty cell is no label, and who judged is kept."""
    found = item(file(tmp_path, f"q,one,two,best,who\n{row}\n".encode()), PAIR)

    assert found.kind == kind
    assert [(label.value, label.annotator) for label in found.labels] == ([] if value is None else [(value, "w1")])


def test_every_shape_of_a_mapping(tmp_path: Path) -> None:
    """Chosen and rejected with scores, one response with a thumb or with aspects, strengths, and words of one's own."""
    chosen = item(file(tmp_path, b"prompt,chosen,rejected,score_chosen,score_rejected,weight,x\nQ,A,B,2,1.5,3,keep\n"))
    assert chosen.facts == {"scores": [2.0, 1.5], "weight": 3.0, "meta": {"x": "keep"}}
    thumb = item(file(tmp_path, "prompt,response,label\nQ,A,👎\n".encode()))
    assert (thumb.kind, thumb.facts) == ("unpaired", {"desirable": False})
    aspects = Columns(prompt="p", response="r", aspects=("clear", "kind"), others="drop")
    assert item(file(tmp_path, b"p,r,clear,kind,z\nQ,A,4,2,z\n"), aspects).facts == {
        "aspects": [{"clear": 4, "kind": 2}]
    }
    strong = Columns(prompt="p", response_a="a", response_b="b", strength="s")
    assert item(file(tmp_path, b"p,a,b,s\nQ,A,B,-3\n"), strong).labels[0].value == {"strength": -3}
    own = Columns(prompt="p", response_a="a", response_b="b", label="l", values={"links": "a", "rechts": "b"})
    assert item(file(tmp_path, b"p,a,b,l\nQ,A,B,rechts\n"), own).labels[0].value == {"strength": -1}
    scored = Columns(prompt="p", response_a="a", response_b="b", score_a="x", score_b="y")
    assert item(file(tmp_path, b"p,a,b,x,y\nQ,A,B,1,2\n"), scored).labels[0].value == {"strength": -1}
    turns = b'prompt,system\n"[{""role"":""user"",""content"":""Hi""}]",S\n'
    assert [turn["role"] for turn in item(file(tmp_path, turns)).prompt] == ["system", "user"]


def test_a_mapping_reads_json_too(tmp_path: Path) -> None:
    """Columns that no format knows are read by a mapping whatever the container."""
    path = file(tmp_path, b'{"said": "Q", "good": "A", "bad": "B"}\n')
    with pytest.raises(UnknownFormat):
        read(path)
    assert item(path, Columns(prompt="said", chosen="good", rejected="bad")).responses[1]["content"] == "B"


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": "p", "chosen": "c"},
        {"prompt": "p", "chosen": "c", "rejected": "r", "response": "x"},
        {"prompt": "p", "response": "p"},
        {"prompt": "p", "delimiter": "x"},
        {"prompt": "p", "colour": "x"},
        {"chosen": "c", "rejected": "r"},
    ],
)
def test_mappings_that_mean_nothing(wrong: dict[str, Any]) -> None:
    """Half a pair, two shapes at once, a column twice, or an unknown key is refused."""
    with pytest.raises(ValidationError):
        Columns.model_validate(wrong)


@pytest.mark.parametrize(
    ("row", "field", "word"),
    [
        ("Q,A,B,c,w", "best", "a, b or tie"),
        ("Q,A,A,a,w", "two", "same"),
        (",A,B,a,w", "q", "empty"),
        ("Q,,B,a,w", "one", "empty"),
        ("Q,A,B,a", "row", "4 cells"),
        ("Q,A,B,a,w,more", "row", "6 cells"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: str, field: str, word: str) -> None:
    """A bad row of a table is told with its line, its column and why."""
    (found,) = read(file(tmp_path, f"q,one,two,best,who\n{row}\n".encode()), PAIR)

    assert isinstance(found, RowError)
    assert (found.line, found.field) == (2, field)
    assert word in found.reason


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"prompt,chosen,chosen\nQ,A,B\n", "called 'chosen'"),
        (b"<html><body>Not found</body></html>\n", "web page"),
        (b"prompt,chosen\x00,rejected\nQ,A,B\n", "zero bytes"),
        (b",".join(b"c%d" % n for n in range(3_000)) + b"\n", "columns"),
        (b"prompt,chosen,rejected\nQ,A\rB,C\n", "carriage return"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, content: bytes, word: str) -> None:
    """A hopeless table is refused with a reason."""
    with pytest.raises(FileRefused) as refused:
        read(file(tmp_path, content), Columns(prompt="prompt", chosen="chosen", rejected="rejected", delimiter=","))
    assert word in refused.value.reason


def bomb(path: Path, before: bytes, after: bytes) -> Path:
    """A file of a gigabyte that the disk holds nothing of."""
    with path.open("wb") as out:
        out.write(before)
        out.seek(1 << 30, io.SEEK_CUR)
        out.write(after)
    return path


def peak_of(work: Any) -> tuple[Any, int]:
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


HEADER = b"prompt,chosen,rejected\nQ,A,B\n"


def test_a_field_of_a_gigabyte(tmp_path: Path) -> None:
    """A field of 1 GB without a line end is refused without being held, and the rows after it are read."""
    path = bomb(tmp_path / "table", HEADER + b"Q," + b"x" * (1 << 18), b",B\nQ2,A,B\n")
    found, peak = peak_of(lambda: read(path, max_row_bytes=1 << 20))

    assert [type(one) for one in found] == [Item, RowError, Item]
    assert "1,07" in found[1].reason
    assert peak < 24 << 20


@pytest.mark.parametrize("line", [b"x" * 99 + b"\n", b'y,""\n'])
def test_a_quote_that_is_never_closed(tmp_path: Path, line: bytes) -> None:
    """An open quote is refused after the bytes that a row may have, with the line on which it began."""
    path = file(tmp_path, HEADER + b'Q,"' + line * 40_000)

    def refused() -> FileRefused:
        with pytest.raises(FileRefused) as found:
            read(path, max_row_bytes=100_000)
        return found.value

    error, peak = peak_of(refused)
    assert "begins on line 3" in error.reason
    assert peak < 8 << 20


def test_a_row_of_millions_of_cells(tmp_path: Path) -> None:
    """A row of three million cells is refused before they are made."""
    path = file(tmp_path, HEADER + b"ab," * 3_000_000 + b"\nQ2,A,B\n")
    found, peak = peak_of(lambda: read(path))

    assert [type(one) for one in found] == [Item, RowError, Item]
    assert "3,000,001 cells" in found[1].reason
    assert peak < 64 << 20


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@a", "\tx", "\rx", "'=1", "''-", "'plain", "5"])
def test_formulas_are_guarded(tmp_path: Path, cell: str) -> None:
    """No cell that is written begins like a formula, and reading it gives the text back."""
    rows = [{"prompt": cell, "chosen": f"x{cell}", "rejected": "-"}]
    content = b"".join(delimited.write(rows, ["prompt", "chosen", "rejected"], ","))
    written = next(csv.reader(io.StringIO(content.decode("utf-8-sig").partition("\r\n")[2], newline="")))

    assert not any(one[:1] in "=+-@\t\r" for one in written)
    if cell.strip():
        assert item(file(tmp_path, content)).prompt[0]["content"] == cell


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=3, max_size=3), max_size=5
    ),
    st.sampled_from([",", "\t", ";", "|"]),
)
def test_cells_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str) -> None:
    """Whatever cells hold, what is written is read."""
    names = ["prompt", "chosen", "rejected"]
    path = tmp_path_factory.getbasetemp() / "cells"
    path.write_bytes(b"".join(delimited.write([dict(zip(names, row, strict=True)) for row in rows], names, delimiter)))
    layout = delimited.Layout("utf-8", delimiter)
    found = list(delimited.rows(path, layout, max_row_bytes=1 << 20))

    assert [list(row[1].values()) for row in found if not isinstance(row, RowError)] == rows


def test_bytes_of_another_encoding_are_named(tmp_path: Path) -> None:
    """A row whose bytes are no text in the file's encoding is a bad row; the others are read."""
    filler = b"".join(b"Q%d,A,B\n" % number for number in range(40_000))
    found = read(file(tmp_path, HEADER + filler + b"caf\xe9,A,B\nlast,A,B\n"))

    assert isinstance(found[-2], RowError)
    assert "encoding" in found[-2].reason
    assert isinstance(found[-1], Item)


def test_the_guess_is_only_a_guess() -> None:
    """Usual names suggest a mapping; names that fit no shape suggest none."""
    assert mapped.guess(["Question", "Answer 1", "Answer 2", "Winner"]) == Columns(
        prompt="Question", response_a="Answer 1", response_b="Answer 2", label="Winner"
    )
    assert mapped.guess(["id", "value"]) is None
