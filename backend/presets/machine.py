"""What this machine has, found out beside the requests: its GPUs by the driver's own program, the hub by one question.

Nothing here waits: a caller gets what is known, and what is not known or old is looked up by a thread of its own.
"""

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Literal

import httpx2

from backend import offline
from backend.checkpoints import hub_address

HUB_SECONDS = 3.0
GPU_SECONDS = 10.0
FRESH_SECONDS = 300.0

HubState = Literal["reachable", "unreachable", "offline"]


@dataclass(frozen=True)
class Gpu:
    """A GPU and its memory in bytes."""

    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Found:
    """What a look at the machine found."""

    gpus: tuple[Gpu, ...]
    hub: HubState


class Probe:
    """The newest finding, and at most one look under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looking = False
        self._found: Found | None = None
        self._at = 0.0

    def read(self) -> Found | None:
        """What is known, at once; None before the first look has ended. Begins a look when that is nothing or old."""
        with self._lock:
            old = self._found is None or time.monotonic() - self._at > FRESH_SECONDS
            begin = old and not self._looking
            self._looking = self._looking or begin
            found = self._found
        if begin:
            threading.Thread(target=self._look, name="probe", daemon=True).start()
        return found

    def _look(self) -> None:
        found: Found | None = None
        try:
            found = Found(gpus=gpus(), hub=hub_state())
        finally:
            with self._lock:
                self._found, self._at, self._looking = found or self._found, time.monotonic(), False


def gpus() -> tuple[Gpu, ...]:
    """The GPUs that NVIDIA's driver lists; asking CUDA itself would take GPU memory in the web process."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=GPU_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ()
    return tuple(gpu for line in told.stdout.splitlines() if (gpu := _gpu(line)) is not None)


def _gpu(line: str) -> Gpu | None:
    name, _, mebibytes = line.rpartition(",")
    return Gpu(name.strip()[:100], int(mebibytes) << 20) if name and mebibytes.strip().isdigit() else None


def hub_state() -> HubState:
    """Whether the hub answers anything at all; none is asked by a machine that is told to stay off-line."""
    if offline.barred() is not None:
        return "offline"
    try:
        httpx2.head(hub_address.endpoint(), timeout=HUB_SECONDS, headers={"user-agent": "plumbline"})
    except (httpx2.TransportError, httpx2.InvalidURL):
        return "unreachable"
    return "reachable"


PROBE = Probe()
