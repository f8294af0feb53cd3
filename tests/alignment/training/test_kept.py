"""What a checkpoint's weights are called: a hash of all of them, found again only while the files are untouched."""

import os
import shutil
from pathlib import Path

import pytest

from alignment.training import kept


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large."""
    monkeypatch.setattr(kept, "LARGE_BYTES", 0)


def hashes(cache: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in cache.glob("*.sha256")}


def test_a_large_file_is_hashed_once(base: Path, tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run reads no weights, and finds the same name as one that remembers nothing."""
    first = kept.identity(base, tmp_path, dtype="float32")
    monkeypatch.setattr(kept, "_hashed", lambda path: pytest.fail(f"{path} was read again"))
    assert kept.identity(base, tmp_path, dtype="float32") == first
    monkeypatch.undo()
    assert kept.identity(base, tmp_path / "nowhere", dtype="float32") == first


def test_weights_that_change_have_another_name_though_their_time_is_set_back(
    base: Path, tmp_path: Path, large: None
) -> None:
    """Size and time of change may be alike: what was remembered is not taken for them."""
    copy = tmp_path / "copy"
    shutil.copytree(base, copy)
    before = kept.identity(copy, tmp_path)
    (weights,) = copy.glob("*.safetensors")
    times = (weights.stat().st_atime_ns, weights.stat().st_mtime_ns)
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=times)

    assert kept.identity(copy, tmp_path) != before


@pytest.mark.parametrize("damage", ["", "x" * 64, "0" * 63, "0" * 65], ids=["empty", "no-hash", "short", "long"])
def test_a_damaged_hash_is_found_anew(base: Path, tmp_path: Path, large: None, damage: str) -> None:
    """The name is that of the weights, and what is remembered is mended."""
    first = kept.identity(base, tmp_path)
    sound = hashes(tmp_path)
    for name in sound:
        (tmp_path / name).write_text(damage)

    assert kept.identity(base, tmp_path) == first
    assert hashes(tmp_path) == sound
