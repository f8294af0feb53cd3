"""How much memory the device of a run has left."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from torch import device

GROUP = Path("/sys/fs/cgroup")
PROCESSORS = Path("/proc/cpuinfo")
ARENAS = -8  # M_ARENA_MAX, as the C library numbers what can be set


def share() -> None:
    """Take no more of the machine than the work needs, unless the environment says otherwise: idle threads sleep, where
    spinning beside other busy processes makes a run many times slower; products give their buffers back, and the memory
    of all threads comes from one heap, which otherwise is up to a fifth more for nothing that could be measured.

    Threads and buffers follow only where torch has not been imported yet; the heap does at once, for good.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")
    if "MALLOC_ARENA_MAX" in os.environ or "arena_max" in os.environ.get("GLIBC_TUNABLES", "") or os.name != "posix":
        return
    with suppress(OSError, AttributeError):  # another C library than GNU's, or none that can be asked
        ctypes.CDLL(None).mallopt(ARENAS, 1)


def free_bytes(chosen: device) -> int:
    """Bytes that a run may still take: of the accelerator, or of the machine and the container that it runs in."""
    import torch

    if chosen.type == "cuda":
        free, _ = torch.cuda.mem_get_info(chosen)
        return free + torch.cuda.memory_reserved(chosen) - torch.cuda.memory_allocated(chosen)
    return free_memory()


def free_memory(group: Path = GROUP) -> int:
    """Bytes of memory that this machine can give without swapping, as far as the container's limit allows."""
    free: int = psutil.virtual_memory().available
    try:
        most = (group / "memory.max").read_text().strip()
        limit = free if most == "max" else int(most)
        used = int((group / "memory.current").read_text())
        told = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        caches = int(told["inactive_file"])  # given back when they are needed
    except (OSError, ValueError, KeyError):  # no control group of version 2: no limit that we know
        return free
    return free if most == "max" else max(0, min(free, limit - used + caches))


def total_memory(group: Path = GROUP) -> int:
    """Bytes of memory that this machine has, as far as the container's limit allows."""
    there: int = psutil.virtual_memory().total
    try:
        return min(there, int((group / "memory.max").read_text()))
    except (OSError, ValueError):  # no control group of version 2, or no limit
        return there


def threads() -> int:
    """Threads with which torch computes here, unless it is told otherwise: as it counts them itself, without it."""
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if told.isdecimal() and int(told):
        return int(told)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(psutil.cpu_count(logical=False) or allowed, allowed)


def processor(chosen: device) -> str:
    """The model of what computes: the accelerator's name, or the processor's with its number of cores."""
    import torch

    if chosen.type == "cuda":
        return str(torch.cuda.get_device_name(chosen))
    try:
        found = re.search(r"model name\s*:\s*(.+)", PROCESSORS.read_text(encoding="utf-8"))
    except OSError:
        found = None
    return f"{found.group(1) if found else platform.machine()}, {os.cpu_count()} cores"
