"""POST /api/v1/uploads and their previews."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from alignment.formats import look
from backend.datasets import leftovers, uploads
from backend.settings import Settings, get_settings
from tests.backend.datasets.conftest import lines, pair, upload
from tests.conftest import Client

URL = "/api/v1/uploads"
SOME = "00000000-0000-7000-8000-000000000000"


def files(settings: Settings) -> list[Path]:
    return sorted(settings.uploads.glob("*"))


def preview(client: Client, content: bytes, **body: Any) -> dict[str, Any]:
    return dict(client.post(f"{URL}/{upload(client, content)}/preview", json=body).json())


def test_anonymous(anonymous: Client) -> None:
    """Signed out, no byte is kept."""
    assert anonymous.post(URL, params={"filename": "x"}, content=b"{}").status_code == 401
    assert anonymous.post(f"{URL}/{SOME}/preview", json={}).status_code == 401


def test_annotator(annotator: Client) -> None:
    """Annotators do not upload."""
    assert annotator.post(URL, params={"filename": "x"}, content=b"{}").status_code == 403
    assert annotator.post(f"{URL}/{SOME}/preview", json={}).status_code == 403


def test_another_origin(researcher: Client) -> None:
    """A page of another site cannot upload with the visitor's cookie."""
    answer = researcher.post(URL, params={"filename": "x"}, content=b"{}", headers={"origin": "http://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\win.ini", "a\x01b", "\u202egnp.exe", "<b>x</b>", "/" * 300])
def test_names_are_only_names(researcher: Client, settings: Settings, name: str) -> None:
    """A file's name never reaches the disk, whatever it says."""
    answer = researcher.post(URL, params={"filename": name}, content=b"{}")

    assert answer.status_code == 201
    assert not {"/", "\\", "\x00"} & set(answer.json()["filename"])
    assert (settings.uploads / answer.json()["id"]).read_bytes() == b"{}"


def test_empty_file(researcher: Client, settings: Settings) -> None:
    """An empty file is refused and not kept."""
    before = files(settings)
    answer = researcher.post(URL, params={"filename": "x"}, content=b"")

    assert (answer.status_code, answer.json()["field"]) == (422, "file")
    assert files(settings) == before


@pytest.fixture
def small_limit(researcher: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_settings(), "max_upload_bytes", 1_000)


@pytest.mark.usefixtures("small_limit")
def test_too_large(researcher: Client, settings: Settings) -> None:
    """A file over the limit is refused, whether its size was announced or not, and no part of it stays."""
    before = files(settings)

    def unannounced() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    for content in (b"x" * 2_000, unannounced()):
        answer = researcher.post(URL, params={"filename": "x"}, content=content)
        assert (answer.status_code, answer.json()["field"]) == (413, "file")
    assert files(settings) == before


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_disk_full(researcher: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is said before the upload when its size is known, and leaves nothing when it fills up on the way."""
    before = files(settings)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: Usage(1, 1, 0))
        answer = researcher.post(URL, params={"filename": "x"}, content=b"xx")
        assert (answer.status_code, answer.json()["title"]) == (507, "Disk full")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(uploads, "_to_disk", full)
    assert researcher.post(URL, params={"filename": "x"}, content=b"xx").status_code == 507
    assert files(settings) == before


def test_preview_detects_by_content(researcher: Client) -> None:
    """The format is told by the rows, whatever the name; first rows and columns are shown."""
    shown = preview(researcher, lines([pair(n) for n in range(30)]))

    assert (shown["format"], shown["description"], shown["container"]) == ("trl", "TRL explicit", "JSON lines")
    assert shown["columns"] == ["prompt", "chosen", "rejected"]
    assert len(shown["rows"]) == look.SHOWN_ROWS
    assert shown["rows"][0]["prompt"] == [{"role": "user", "content": "Say hello number 0."}]


def test_preview_override(researcher: Client) -> None:
    """Another format may be chosen, and the preview then says what does not fit."""
    shown = preview(researcher, lines([pair(1)]), format="hh")

    assert (shown["format"], shown["detected"], shown["rows"]) == ("hh", "trl", [])
    assert shown["problems"][0]["line"] == 1


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{}".encode("utf-16"), "UTF-16"),
        (b"\x1f\x8b\x08\x00", "packed"),
        (b"PK\x03\x04....", "zip"),
        (b"PAR1 but not really", "damaged"),
        (b" \n \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
    ],
)
def test_unreadable_files(researcher: Client, content: bytes, word: str) -> None:
    """A file that cannot be rows is refused with the reason and a remedy."""
    answer = researcher.post(f"{URL}/{upload(researcher, content)}/preview", json={})

    assert answer.status_code == 422
    assert word in answer.json()["detail"]
    assert answer.json()["remedy"]


def test_unknown_columns(researcher: Client) -> None:
    """Columns that no format has are read by a mapping, guessed from their names, and all of them are offered."""
    shown = preview(researcher, b'{"question": "q", "<img src=x>": 1}\n')

    assert (shown["format"], shown["detected"]) == ("mapped", "mapped")
    assert shown["columns"] == ["question", "<img src=x>"]
    assert shown["mapping"]["prompt"] == "question"


def test_missing_upload(researcher: Client) -> None:
    """An upload that is not there is 404."""
    assert researcher.post(f"{URL}/{SOME}/preview", json={}).status_code == 404


def test_leftovers_go(researcher: Client, settings: Settings) -> None:
    """What a killed program left unfinished is removed once it is old; what is being written stays."""
    old, fresh = uploads.folder_of(settings) / "old.part", uploads.folder_of(settings) / "fresh.part"
    half = settings.snapshots / ".writing-half"
    half.mkdir(parents=True)
    for path in (old, fresh, half / "spool.arrow"):
        path.write_bytes(b"x")
    for path in (old, half / "spool.arrow", half):
        os.utime(path, (0, 0))

    assert leftovers.remove(settings) == 2
    assert (old.exists(), half.exists(), fresh.exists()) == (False, False, True)
    fresh.unlink()
