"""The program's own child processes: web and workers, kept running, ended together."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from plumbline.processes import end, spawn
from workers import lifeline

log = structlog.get_logger()
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
SETTLED_SECONDS = 60.0  # a child that lived this long is forgiven its earlier deaths


@dataclass
class Child:
    """One `plumbline …` command that runs for as long as the program does."""

    name: str
    arguments: Sequence[str]
    patience: float  # seconds it has to bring its work to a halt when asked to stop
    process: "subprocess.Popen[bytes] | None" = None
    born: float = 0.0
    pause: float = FIRST_PAUSE
    again_at: float | None = None


@dataclass
class Children:
    """All of them, with the pipe whose breaking tells them that this process is gone."""

    env: Mapping[str, str]
    members: list[Child] = field(default_factory=list)
    stopping: bool = False
    _pipe: tuple[int, int] | None = None

    def launch(self, child: Child) -> None:
        """Afterwards `child` runs and is one of ours."""
        if self._pipe is None:
            self._pipe = os.pipe()
        if child not in self.members:
            self.members.append(child)
        # It writes to our terminal, and to its own log file.
        child.process = spawn(
            [sys.executable, "-m", "plumbline", *child.arguments],
            log=None,
            env={**self.env, lifeline.VARIABLE: str(self._pipe[0])},
            pass_fds=[self._pipe[0]],
            death_signal=None,
        )
        child.born, child.again_at = time.monotonic(), None
        log.info("started", child=child.name, pid=child.process.pid)

    def tend(self) -> None:
        """Start again what has died and waited out its pause, which doubles with each death in a row."""
        now = time.monotonic()
        for child in self.members:
            if child.again_at is not None:
                if now >= child.again_at:
                    self.launch(child)
            elif child.process is not None and child.process.poll() is not None:
                if now - child.born > SETTLED_SECONDS:
                    child.pause = FIRST_PAUSE
                log.warning(
                    "died and will be started again",
                    child=child.name,
                    exit=child.process.returncode,
                    seconds=child.pause,
                )
                child.again_at = now + child.pause
                child.pause = min(2 * child.pause, LONGEST_PAUSE)

    def stop(self) -> None:
        """Afterwards none lives. All are asked at once, each has its patience to obey, then it is killed."""
        asked = time.monotonic()
        living = [child for child in self.members if child.process is not None]
        for child in living:
            assert child.process is not None  # noqa: S101
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
        for child in living:
            assert child.process is not None  # noqa: S101
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, asked + child.patience - time.monotonic()))
            end(child.process)
        self.members.clear()
        if self._pipe is not None:
            for descriptor in self._pipe:
                os.close(descriptor)
            self._pipe = None

    def kill(self) -> None:
        """Kill all at once, for somebody who asks a second time; `stop` still has to be called or to return."""
        for child in self.members:
            if child.process is not None and child.process.poll() is None:
                os.killpg(child.process.pid, signal.SIGKILL)
