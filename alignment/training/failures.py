"""Which named error an exception of the machine is: a full disk and exhausted memory have many faces."""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

from alignment.amounts import amount
from alignment.training.errors import DiskFull, OutOfMemory, ProcessLost, TrainingError, Unexpected

EXHAUSTED = (  # what libraries say instead of raising an error of its own kind
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "HIP out of memory",
    "std::bad_alloc",
    "could not create a memory object",
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def named(error: BaseException) -> TrainingError:
    """The named error that `error` amounts to."""
    if isinstance(error, TrainingError):
        return error
    if is_disk_full(error):
        return disk_full()
    if is_out_of_memory(error):
        return OutOfMemory(
            "A batch did not fit into memory.",
            "Lower batch.tokens_per_pack or the lengths, use LoRA, or choose a smaller model.",
            "batch.tokens_per_pack",
        )
    if _is_lost_touch(error):
        return ProcessLost(
            "A training process could no longer reach the others.",
            "Read what they printed in the run's log, and start the run again.",
        )
    return Unexpected(
        f"{type(error).__name__} was raised; nothing is known to be wrong with the spec or the data.",
        "Read the traceback in the run's log, and report it.",
    )


def disk_full() -> DiskFull:
    """The error for a file that could not be written whole."""
    return DiskFull(
        "A file could not be written because the disk is full; nothing half-written was left.",
        "Free space, or lower keep.last, and start the run again.",
    )


def require_room(folder: Path, needed_bytes: int, what: str = "a checkpoint", instead: str = "lower keep.last") -> None:
    """Raise DiskFull when `folder`'s disk has less free space than what is to be written takes."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskFull(
            f"There is no room for {what}: {amount(needed_bytes)} needed, {amount(free)} free.",
            f"Free space, or {instead}, and start the run again.",
        )


def is_disk_full(error: BaseException) -> bool:
    """Whether the error is a full disk, in one of its forms."""
    if isinstance(error, OSError):
        return error.errno in FULL
    numbers = "|".join(map(str, FULL))
    return type(error).__name__ == "SafetensorError" and bool(re.search(rf"os error ({numbers})\b", str(error)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is exhausted memory, of the machine or of an accelerator, in one of its forms."""
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemoryError", "AcceleratorOutOfMemoryError"):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in EXHAUSTED)


def _is_lost_touch(error: BaseException) -> bool:
    """Whether torch.distributed could not reach another process: its own errors, and what gloo says."""
    if any(kind.__name__ == "DistError" for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and "gloo" in str(error)
