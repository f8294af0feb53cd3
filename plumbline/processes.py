"""Child processes that cannot be orphaned: started with a death signal, found again after a crash, ended in order."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

Steps = tuple[tuple[signal.Signals, float], ...]  # signals, each with the seconds it is given
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """The user and group that a child runs as when this program runs as root."""

    uid: int
    gid: int


def spawn(
    command: Sequence[str | Path],
    *,
    log: int | None,
    env: Mapping[str, str],
    death_signal: signal.Signals | None = signal.SIGTERM,
    account: Account | None = None,
    pass_fds: Collection[int] = (),
    cwd: Path | None = None,
) -> "subprocess.Popen[bytes]":
    """A child in a session of its own, so that Ctrl-C in a terminal does not reach it, writing to `log`.

    Without a log it keeps our stderr, for the lines that people should see.

    When this process dies, however it dies, the kernel sends the child `death_signal` (Linux; elsewhere the next
    start finds the orphan). The signal belongs to the thread that calls this: call it from one that lives on.
    """
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account.uid, "group": account.gid, "extra_groups": [account.gid]}
    with warnings.catch_warnings():
        # From 3.12 Python warns of a fork beside threads; the hook below calls nothing that takes a lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(  # noqa: S603  (every command is ours)
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if log is None else log,
            stderr=None if log is None else subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            preexec_fn=_tie_to_parent(death_signal),
            **identity,
        )


def _tie_to_parent(death_signal: signal.Signals | None) -> Callable[[], None] | None:
    """A hook for the forked child. It runs after the change of user, which would clear the setting."""
    if _LIBC is None or death_signal is None:
        return None
    parent, prctl = os.getpid(), _LIBC.prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and here
            os._exit(1)

    return tie


def end(child: "subprocess.Popen[bytes]", *steps: tuple[signal.Signals, float]) -> None:
    """Afterwards `child` and its session have ended: each signal of `steps` gets its seconds, then all are killed."""
    if child.poll() is not None:
        return  # its number may belong to somebody else by now
    for number, seconds in steps:
        if child.poll() is None:
            child.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(seconds)
    # Its own children may outlive it by a moment; the group's number stays theirs as long as one lives.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def living_in(folder: Path, name: str) -> list[psutil.Process]:
    """Processes called `name` that work in `folder` and are no zombies, whatever their command line has become."""
    found = []
    home = folder.resolve()
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != name:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == home:
                found.append(process)
    return found


def clear_orphans(folder: Path, name: str, *steps: tuple[signal.Signals, float]) -> int:
    """Afterwards no process called `name` works in `folder`; returns how many were found.

    Only the holder of the folder's lock may call this: then whatever is found was left over by a program that died.
    Each signal of `steps` goes to the eldest, its children follow; what is left in the end is killed.
    """
    found = living_in(folder, name)
    for number, seconds in (*steps, (signal.SIGKILL, 10.0)):
        left = living_in(folder, name)
        if not left:
            break
        pids = {process.pid for process in left}
        for process in left:
            with contextlib.suppress(psutil.Error):
                if number == signal.SIGKILL or process.ppid() not in pids:
                    process.send_signal(number)
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and living_in(folder, name):
            time.sleep(0.05)
    return len(found)


def listener(port: int) -> tuple[str, int] | None:
    """The name and number of the process that listens on TCP `port`, where this user may know it."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            pid, here = connection.pid, connection.laddr
            if connection.status == psutil.CONN_LISTEN and here and here.port == port and pid is not None:
                return psutil.Process(pid).name(), pid
    return None
