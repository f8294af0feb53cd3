"""Child processes of a worker: started in a group of their own, asked to stop, and ended when they do not.

A child reads a control pipe whose other end only the worker holds: when the worker dies, however it dies, the pipe
ends and the child saves and ends by itself. What survives even that is found by its command line and killed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from backend.leash import CONTROL

MODULE = "alignment.training"
SIGTERM_AFTER_SECONDS = 5.0  # the pipe says the same and is enough for a child that works
SECRETS = (
    *("DATABASE_URL", "REDIS_URL", "PLUMBLINE_ADMIN_PASSWORD", "PLUMBLINE_SECRET_KEY", "PLUMBLINE_REPORT_TOKEN"),
    "PLUMBLINE_METRICS_TOKEN",
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)


class Child:
    """One child process. Use as a context manager: leaving it ends the whole group."""

    def __init__(self, command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start `command`; what it prints is added to `output`. Secrets of the worker are not passed on."""
        reader, self._control = os.pipe()
        inherited = {name: value for name, value in os.environ.items() if name not in SECRETS}
        try:
            with output.open("ab") as printed:
                self._process = subprocess.Popen(  # noqa: S603  (a list, from our own code)
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    pass_fds=(reader,),
                    start_new_session=True,
                    env={**inherited, **(environment or {}), CONTROL: str(reader)},
                )
        except BaseException:
            self._close_control()
            raise
        finally:
            os.close(reader)
        self._asked_at: float | None = None

    @property
    def group(self) -> int:
        """The process group, which is the child's own pid."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """The exit code, waited for at most so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def stop(self, grace_seconds: float) -> None:
        """Call again and again: asks at first, insists after a while, kills when the grace is over."""
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self._close_control()
        waited = now - self._asked_at
        if waited >= grace_seconds:
            _signal_group(self.group, signal.SIGKILL)
        elif waited >= min(SIGTERM_AFTER_SECONDS, grace_seconds / 2):
            _signal_group(self.group, signal.SIGTERM)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The leader may have ended before its own children: the group goes in any case.
        _signal_group(self.group, signal.SIGKILL)
        self._process.wait()
        self._close_control()

    def _close_control(self) -> None:
        if self._control >= 0:
            os.close(self._control)
            self._control = -1


def orphans(marker: str) -> list[psutil.Process]:
    """Living training processes of this machine that have `marker` as one argument of their command line.

    Somebody's editor or shell that was given the same folder is none.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and {MODULE, marker} <= set(process.cmdline()):
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]


def end_orphans(marker: str, *, kill: bool) -> int:
    """Ask, or with `kill` force, the processes started for `marker` and their groups to end; returns how many lived.

    Found by command line and not by a recorded number alone, because numbers are used again.
    """
    alive = orphans(marker)
    groups = set()
    for process in alive:
        with contextlib.suppress(ProcessLookupError):
            groups.add(os.getpgid(process.pid))
    groups.discard(os.getpgid(0))
    for group in groups:
        _signal_group(group, signal.SIGKILL if kill else signal.SIGTERM)
    return len(alive)


def remove_unfinished(folder: Path) -> None:
    """Remove what a training process that was killed had not finished writing in its run's `folder`; call it when none
    is left."""
    for partial in (folder / "checkpoints").glob(".*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
