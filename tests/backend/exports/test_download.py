"""Downloads: one archive made while it is sent, files alone, and parts of both."""

import io
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from backend.exports import archive
from backend.exports.models import Export
from tests.backend.exports.conftest import CONTENT
from tests.conftest import Client

NAME = "small-run-step-4"


def url(done: Export, path: str) -> str:
    return f"/api/v1/exports/{done.id}/{path}"


def test_archive(researcher: Client, done: Export) -> None:
    """A tar of one folder with exactly the files, announced with its size; it unpacks to the same bytes."""
    answer = researcher.get(url(done, "archive"))

    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["content-disposition"] == f'attachment; filename="{NAME}.tar"'
    shown = researcher.get(url(done, "")[:-1]).json()
    assert shown["archive_bytes"] == len(answer.content)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        found = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        assert {name: file.read() if file else None for name, file in found.items()} == {
            f"{NAME}/{name}": content for name, content in CONTENT.items()
        }


def test_a_download_goes_on(researcher: Client, done: Export) -> None:
    """Broken off anywhere and asked for the rest, the archive is the same."""
    whole = researcher.get(url(done, "archive"))
    total = len(whole.content)
    for cut in (1, 511, 512, 700, 5000, total - 1):
        headers = {"range": f"bytes={cut}-", "if-range": whole.headers["etag"]}
        rest = researcher.get(url(done, "archive"), headers=headers)

        assert rest.status_code == 206
        assert rest.headers["content-range"] == f"bytes {cut}-{total - 1}/{total}"
        assert whole.content[:cut] + rest.content == whole.content


RANGES = [
    ("bytes=0-0", 206, 1),
    ("bytes=-10", 206, 10),
    ("bytes=5-2", 416, None),
    ("bytes=999999999999-", 416, None),
    ("bytes=" + "9" * 50 + "-", 416, None),
    ("bytes=-0", 416, None),
    ("bytes=0-1,4-5", 200, None),
    ("lines=1-2", 200, None),
    ("bytes=-", 200, None),
    ("bytes=a-b", 200, None),
]


def test_ranges(researcher: Client, done: Export) -> None:
    """One range is answered with that part; what is no range gets the whole, what lies outside is refused."""
    for header, status, length in RANGES:
        answer = researcher.get(url(done, "archive"), headers={"range": header})
        assert answer.status_code == status, header
        assert length is None or len(answer.content) == length, header


def test_a_part_of_another_export(researcher: Client, done: Export) -> None:
    """A part asked for with another export's mark is answered with the whole: two halves never make a wrong file."""
    answer = researcher.get(url(done, "archive"), headers={"range": "bytes=10-", "if-range": '"other"'})

    assert answer.status_code == 200


def test_one_file(researcher: Client, done: Export) -> None:
    """Every listed file can be had alone, also in parts."""
    for name, content in CONTENT.items():
        answer = researcher.get(url(done, f"files/{name}"))
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["content-disposition"].startswith("attachment")
    part = researcher.get(url(done, "files/model.safetensors"), headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, CONTENT["model.safetensors"][10:20])


def test_only_listed_files(researcher: Client, done: Export, place: Path) -> None:
    """Whatever path is asked for, only what the export lists is sent."""
    (place / "said").write_text("not listed")
    tried = ("../secret.key", "..%2f..%2fsecret.key", "a/%2e%2e/README.md", "/etc/passwd", "a", ".", "said")

    assert [researcher.get(url(done, f"files/{name}")).status_code for name in tried] == [404] * len(tried)
    assert researcher.get(url(done, "files/README.md%00")).status_code == 422


def test_large_archives_take_no_memory(tmp_path: Path) -> None:
    """A file of 9 GiB, more than a plain tar header can tell, streams in a few megabytes, and its end can be had."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(9 << 30)
    (tmp_path / "small").write_bytes(b"last")
    files = [{"name": "large", "size": 9 << 30}, {"name": "small", "size": 4}]
    total = archive.size("x", files)

    tracemalloc.start()
    sent = archive.stream(tmp_path, "x", files, archive.Range(0, total))
    head = b"".join(next(sent) for _ in range(40))
    tail = b"".join(archive.stream(tmp_path, "x", files, archive.Range(total - 4096, total)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    with tarfile.open(fileobj=io.BytesIO(head), mode="r|") as tar:
        assert tar.next().size == 9 << 30  # type: ignore[union-attr]
    assert b"last" in tail
    assert peak < 128 << 20


def test_a_file_that_shrank_breaks_off(tmp_path: Path) -> None:
    """A file that is shorter than it was ends the download early instead of shifting what follows."""
    (tmp_path / "a").write_bytes(b"abc")

    with pytest.raises(OSError, match="shorter"):
        list(archive.stream(tmp_path, "x", [{"name": "a", "size": 10}], archive.Range(0, 4096)))
