"""A process of its own for one of our modules: lines of JSON go in, lines of JSON come out, and it ends when idle.

The module is run as `python -m …` and answers every job, one line, with as many lines as the job has parts; a line
with `refused` is its last. Meant for what must not happen in the caller: code of strangers, or a heavy import.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

IDLE_SECONDS = 600
EXIT_SECONDS = 5
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "TZ")  # nothing secret


class Told(NamedTuple):
    """The answers to a job, and how the process ended where it did so before the last of them."""

    answers: list[dict[str, Any]]
    code: int | None


class Apart:
    """The process: started when it is first needed, it ends when it is idle. Threads take turns."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._child: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._forget)

    @property
    def pid(self) -> int | None:
        """The process; None while there is none."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Let the process begin to load, so that it is ready when it is needed."""
        with self._turn:
            self._running()

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._end(EXIT_SECONDS)

    def ask(self, job: bytes, count: int) -> Told:
        """The `count` answers to a job of one line, or those until the first refusal, or until the process ended."""
        with self._turn:
            found = self._answers(job, count)
            if len(found) == count or (found and "refused" in found[-1]):
                return Told(found, None)
            return Told(found, self._end(EXIT_SECONDS))

    def _answers(self, job: bytes, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if not count:
            return found
        child = self._running()
        assert child.stdin is not None  # noqa: S101  (pipes, by the call)
        assert child.stdout is not None  # noqa: S101
        try:
            child.stdin.write(job)
            child.stdin.flush()
            while len(found) < count and (line := child.stdout.readline()).endswith(b"\n"):
                found.append(json.loads(line))
                if "refused" in found[-1]:
                    break
        except BrokenPipeError:
            return found
        except BaseException:  # whoever is interrupted leaves answers in the pipe that nobody must take for theirs
            self._end()
            raise
        return found

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is not None:
            self._end()
        if self._child is None:
            plain = {name: os.environ[name] for name in KEPT if name in os.environ}
            ours = str(Path(__file__).resolve().parents[1])
            plain["PYTHONPATH"] = os.pathsep.join(filter(None, (ours, plain.get("PYTHONPATH"))))
            self._child = subprocess.Popen(  # noqa: S603  (a module of ours)
                [sys.executable, "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=plain,
                start_new_session=True,  # what is sent to our process group is not meant for it: it ends with its input
            )
        return self._child

    def _end(self, patience: float = 0) -> int:
        """End the process, after a while in which it may end by itself, and tell its exit code; 0 without one."""
        child, self._child = self._child, None
        if child is None:
            return 0
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(patience)
        child.kill()
        return child.wait()

    def _forget(self) -> None:
        """A fork leaves the process to its parent: both at one pipe would read each other's answers."""
        child, self._child, self._turn = self._child, None, threading.Lock()
        if child is not None:
            child.returncode = 0
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    os.close(pipe.fileno())


def jobs() -> Iterator[bytes]:
    """Inside the process: the jobs, line by line, until the input ends or nothing comes for a while."""
    while select.select([sys.stdin.buffer], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.buffer.readline()
        if not line.endswith(b"\n"):
            return
        yield line


def say(answer: dict[str, Any]) -> None:
    """Inside the process: one answer."""
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()
