"""Downloads a model of a hub into a folder: `python -m workers.hub HUB_ID REVISION FOLDER`, in a process of its own.

It prints one JSON object per line: `{commit, bytes, license}` once the revision is pinned, at the end `{done: true}`
or `{reason, remedy, again}`, where `again` says that what has arrived can be used by another attempt. `HF_ENDPOINT` and
`HF_TOKEN` of the environment name another hub and open gated models. Only weights in safetensors, configuration,
tokenizer, template, license and card are fetched: never a pickle, never code. A file is `NAME.part` until all of it is
there and its digest is the stated one; a broken-off one goes on at its last byte.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2

from backend.checkpoints.hub import File, Hub, Model, pieces, token_of_environment
from backend.checkpoints.hub_errors import ENOUGH_WAITING, Away, Busy, Lied, Refused
from backend.checkpoints.room import RESERVE, lacking
from backend.leash import die_with_parent

TRIES = 6  # without one new byte
PAUSE_SECONDS = 1.0  # before the second try; doubled before each other
LOOK_AT_DISK_BYTES = 64 << 20
PART = ".part"


class DiskFull(Refused):
    """Something else has taken the space; what has arrived can be used later."""

    def __init__(self) -> None:
        super().__init__("The disk is full.", "Free some space, then let the download go on.")


def download(hub: Hub, hub_id: str, revision: str, folder: Path) -> None:
    """Afterwards `folder` holds the model's files as they were at one commit.  Raises Refused."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the process of a worker that was given up may still be ending
        model = patiently(lambda: hub.look(hub_id, revision))
        say(commit=model.commit, bytes=model.size, license=model.license)
        here = sum(path.stat().st_size for path in folder.iterdir())
        refused = lacking(model.size - here, shutil.disk_usage(folder).free)
        if refused is not None:
            raise refused
        for file in model.files:
            fetch(hub, model, file, folder)
    (folder / ".lock").unlink()


def patiently(ask: Any) -> Any:
    """What `ask()` gives, asked again after a pause while the hub is away or asks to wait."""
    failed, waited = 0, 0.0
    while True:
        try:
            return ask()
        except Busy as busy:
            waited += wait(busy, waited)
        except Away:
            failed += 1
            if failed == TRIES:
                raise
            time.sleep(PAUSE_SECONDS * 2 ** (failed - 1))


def wait(busy: Busy, waited: float) -> float:
    """Obey the hub's wish to wait; the seconds that took.  Raises Busy when it is more than can be waited for."""
    if waited + busy.seconds > ENOUGH_WAITING:
        raise busy
    seconds = max(busy.seconds, PAUSE_SECONDS)
    time.sleep(seconds)
    return seconds


def fetch(hub: Hub, model: Model, file: File, folder: Path) -> None:
    """Afterwards the file is there, of the stated size and digest.  Raises Refused."""
    target, part = folder / file.name, folder / (file.name + PART)
    if target.exists() and target.stat().st_size == file.size:  # checked before it got its name
        return
    failed, waited = 0, 0.0
    part.touch()
    while (have := part.stat().st_size) < file.size:
        try:
            append(hub, model, file, part)
        except Busy as busy:
            waited += wait(busy, waited)
        except Away:
            failed = 0 if part.stat().st_size > have else failed + 1
            if failed == TRIES:
                raise
            time.sleep(PAUSE_SECONDS * 2**failed)
    try:
        check(part, file)
    except Lied:
        part.unlink()
        raise
    part.rename(target)


def append(hub: Hub, model: Model, file: File, part: Path) -> None:
    """Add what comes to `part`, at most up to the stated size.  Raises Lied, Away, Busy, DiskFull."""
    start = part.stat().st_size
    with hub.open(model.hub_id, model.commit, file.name, start) as response:
        start = agreed_start(response, file, start)
        with part.open("r+b") as out:
            out.truncate(start)
            out.seek(start)
            try:
                store(response, out, file, start)
            finally:
                out.flush()
                os.fsync(out.fileno())
    if part.stat().st_size < file.size:
        raise Away(hub.endpoint, "The connection to the hub broke off again and again.")


def agreed_start(response: httpx2.Response, file: File, start: int) -> int:
    """Where the answer begins; what it says of the whole size must be what the hub said before.  Raises Lied."""
    length = response.headers.get("content-length", "")
    if response.status_code == 206:
        span, _, whole = response.headers.get("content-range", "").removeprefix("bytes ").partition("/")
        if span.partition("-")[0] != str(start):
            raise Lied(f"The hub sends another part of {file.name} than was asked for.")
        total = int(whole) if whole.isdecimal() else start + int(length) if length.isdecimal() else file.size
    else:
        start, total = 0, int(length) if length.isdecimal() else file.size
    if total != file.size:
        raise Lied(f"The hub states {file.size:,} bytes for {file.name} and sends {total:,}.")
    return start


def store(response: httpx2.Response, out: Any, file: File, start: int) -> None:
    """Write what comes, and not one byte more than was stated.  Raises Lied, Away, DiskFull."""
    written, looked = start, start
    for piece in pieces(response):
        written += len(piece)
        if written > file.size:
            raise Lied(f"The hub states {file.size:,} bytes for {file.name} and sends more.")
        try:
            out.write(piece)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull from error
            raise
        if written - looked >= LOOK_AT_DISK_BYTES:
            looked = written
            if shutil.disk_usage(Path(out.name).parent).free < RESERVE:
                raise DiskFull


def check(part: Path, file: File) -> None:
    """Raise Lied when the bytes are not those that the hub stated a digest of."""
    if file.digest is None:
        return
    kind, wanted = file.digest
    taken = (
        hashlib.sha256() if kind == "sha256" else hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    )
    with part.open("rb") as opened:
        while block := opened.read(1 << 20):
            taken.update(block)
    if taken.hexdigest() != wanted:
        raise Lied(f"{file.name} is not the file that the hub stated: its digest is another.")


def say(**facts: Any) -> None:
    """One line for the worker."""
    print(json.dumps(facts), flush=True)


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    hub_id, revision, folder = arguments
    die_with_parent()
    try:
        with Hub(token_of_environment()) as hub:
            download(hub, hub_id, revision, Path(folder))
    except Refused as refused:
        say(reason=refused.reason, remedy=refused.remedy, again=isinstance(refused, Away | Busy | DiskFull))
        return 1
    say(done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
