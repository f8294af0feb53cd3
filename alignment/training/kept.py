"""Log-probabilities that a reference has given, kept on disk for every later run on the same sequences.

A file holds what one reference thinks: its name is a hash of its weights and of all that decides its numbers (dtype,
device, versions); within it each example is found by a hash of its token ids, so that template, truncation and
snapshot need no names.  Files are read and replaced whole, under a lock, so that runs may share a folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING

from alignment.training import folder as folders

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.training.encode import Encoded

PLACE = "PLUMBLINE_REFERENCE_CACHE"
FORM = 3  # of the file and of how its sums are rounded; a change makes other names
WAIT_SECONDS = 0.2
FORGOTTEN_SECONDS = 30 * 86_400
KEY_BYTES = 16
LARGE_BYTES = 64 << 20  # files of weights that take a noticeable while to hash
DIGEST, DIGITS = ".sha256", 64
SHARDS = "*.safetensors"
PARTIAL = ".partial"


def place() -> Path | None:
    """The folder that the environment names; None keeps nothing."""
    named = os.environ.get(PLACE)
    return Path(named) if named else None


def usable(folder: Path) -> bool:
    """Whether files can be made in the folder, which is there afterwards."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def key(example: Encoded) -> bytes:
    """A hash of the prompts' and the responses' ids."""
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    for place, part in enumerate(example.parts):
        if place:
            digest.update(b"prompt")
        for ids in (part.prompt, *part.responses):
            digest.update(len(ids).to_bytes(8, "little"))
            digest.update(array("q", ids).tobytes())
    return digest.digest()


def identity(checkpoint: Path, folder: Path, **facts: object) -> str:
    """The name of what a checkpoint's weights give under the given facts; `folder` keeps the hashes of large files."""
    links = folders.base_chain(checkpoint)
    told = {
        "form": FORM,
        "weights": [[path.name, digest(path, folder)] for link in links for path in _weights(link)],
        "torch": version("torch"),
        "transformers": version("transformers"),
        **facts,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _weights(link: Path) -> list[Path]:
    settings = [link / name for name in ("config.json", folders.ADAPTER) if (link / name).exists()]
    return [*settings, *sorted(link.glob(SHARDS))]


def digest(path: Path, folder: Path | None) -> str:
    """SHA-256 of a file: of a large one what was found before, if it has not been touched since.

    What was found is remembered in the `folder`; without one, every file is read.  A change moves the time of the
    inode's last change, which nobody can set back.
    """
    status = path.stat()
    if status.st_size < LARGE_BYTES or folder is None:
        return _hashed(path)
    touched = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    place = folder / f"{hashlib.sha256(json.dumps([str(path.resolve()), touched]).encode()).hexdigest()}{DIGEST}"
    with suppress(OSError, ValueError):
        found = place.read_text(encoding="ascii")
        if len(found) == DIGITS and int(found, 16) >= 0:
            os.utime(place)  # used: it stays
            return found
    found = _hashed(path)
    if path.stat().st_ctime_ns == status.st_ctime_ns:
        partial = place.with_suffix(f".{os.getpid()}{PARTIAL}")
        with suppress(OSError):  # it is hashed again
            partial.write_text(found, encoding="ascii")
            partial.replace(place)
    return found


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _forget(folder: Path) -> None:
    """Remove what no run has used for a while, and what killed ones have left half-written."""
    now = time.time()
    for path in (path for ending in (SHARDS, "*.json", f"*{DIGEST}", f"*{PARTIAL}") for path in folder.glob(ending)):
        with suppress(FileNotFoundError):  # another run is forgetting it
            if now - path.stat().st_mtime > FORGOTTEN_SECONDS:
                path.unlink()


class Kept:
    """One reference's file in a cache folder."""

    def __init__(self, folder: Path, name: str) -> None:
        _forget(folder)
        self._path = folder / f"{name}.safetensors"
        self._lock = folder / f"{name}.lock"

    def lock(self) -> IO[str]:
        """The open file whose lock keeps others from computing for this one, once it is had."""
        return self._lock.open("w")

    def read(self) -> dict[bytes, Tensor]:
        """Log-probabilities (K,) by the key of their example; nothing when there is no file, or a damaged one."""
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            os.utime(self._path)  # used: it stays
            found = load_file(self._path)
            keys, counts, logps = found["keys"], found["counts"], found["logps"]
        except (OSError, SafetensorError, KeyError):
            return {}
        if (
            keys.shape != (len(counts), KEY_BYTES)
            or int(counts.sum()) != len(logps)
            or not bool(logps.isfinite().all())
        ):
            return {}
        names = keys.numpy().tobytes()
        parts = torch.split(logps, counts.tolist())
        return {names[place * KEY_BYTES : (place + 1) * KEY_BYTES]: part for place, part in enumerate(parts)}

    def write(self, values: Mapping[bytes, Tensor]) -> None:
        """Afterwards the file holds these values, all of them or, when writing fails, what it held before."""
        import torch
        from safetensors.torch import save_file

        if not values:
            return
        keys = torch.frombuffer(bytearray(b"".join(values)), dtype=torch.uint8).view(-1, KEY_BYTES)
        counts = torch.tensor([len(part) for part in values.values()], dtype=torch.int32)
        partial = self._path.with_suffix(f".{os.getpid()}{PARTIAL}")
        try:
            save_file({"keys": keys, "counts": counts, "logps": torch.cat(list(values.values()))}, partial)
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def alone(file: Kept | None, check: Callable[[], None], told: Callable[[bool], bool]) -> Iterator[None]:
    """While nobody else computes for the file; `check` is called while waiting, and may raise.

    Ranks without the file wait for the one that has it: `told` gives what rank 0 says.
    """
    with nullcontext() if file is None else file.lock() as lock:
        while not told(lock is None or _got(lock)):
            check()
            time.sleep(WAIT_SECONDS)
        yield  # closing the file gives the lock back, however the process ends


def _got(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def missing(keys: Sequence[bytes], known: Mapping[bytes, Tensor]) -> list[int]:
    """Places of the keys that are not known, each key once."""
    first: dict[bytes, int] = {}
    for place, name in enumerate(keys):
        if name not in known:
            first.setdefault(name, place)
    return list(first.values())
