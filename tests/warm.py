"""Programs of ours that begin in a moment: forked from a process that has imported what they import.

A worker or a training process imports for ten seconds of a processor before it does anything, and the tests start some
sixty of them. Where `begun` is in force, `python -m …` and `python -c …` are forked from one process that imports
everything once. They are processes of their own all the same, with the arguments, environment, folder and descriptors
that were asked for: signalled, killed and found by their command lines as any other. That a program starts by itself,
and what it imports then, is for tests that do without this.
"""

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
import types
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "transformers.models.llama.modeling_llama",
    "peft",
    "alignment.rendering",
    "alignment.training.__main__",
    "alignment.training.loop",
    "alignment.training.prepare",
    "workers.tasks.train",
    "workers.tasks.evaluate",
    "workers.tasks.sweep",
    "plumbline.cli",
)
ROOM = 4000  # bytes for a command line
ABOVE = 200  # no program of ours names a descriptor as high
NUMBER = struct.Struct("i")
Real = subprocess.Popen


class Popen(subprocess.Popen[Any]):
    """A program started as `subprocess` does, forked where it is one of Python's."""

    place = ""  # of the process that has imported everything
    session = 0  # that process's
    _told: socket.socket | None = None  # its number, and how it ended

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, *rest: Any) -> None:
        command = [str(part) for part in args if part != "-u"] if isinstance(args, list | tuple) else [str(args)]
        python = command[0] == sys.executable and command[1] in ("-m", "-c")
        near = rest[-2] or os.getsid(0) == self.session  # else it could not be of this process's group
        if not python or not near or preexec_fn is not None:
            super()._execute_child(args, executable, preexec_fn, *rest)  # type: ignore[misc]
            return
        _, pass_fds, cwd, env, _, _, _, *pipes = rest[:13]
        ends = [end if end != -1 else usual for usual, end in enumerate((pipes[0], pipes[3], pipes[5]))]
        unbuffered = {"PYTHONUNBUFFERED": "1"} if "-u" in args else {}
        order = {
            "command": command,
            "folder": os.fspath(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env) | unbuffered,
            "descriptors": [0, 1, 2, *pass_fds],
            "group": None if rest[-2] else os.getpgid(0),
        }
        self._told = socket.socket(socket.AF_UNIX)
        self._told.connect(self.place)
        with self._told.makefile("w") as line:
            socket.send_fds(self._told, [b"."], [*ends, *pass_fds])
            line.write(json.dumps(order) + "\n")
        self.pid = NUMBER.unpack(self._told.recv(NUMBER.size))[0]
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _internal_poll(self, *args: Any, **kwargs: Any) -> int | None:
        if self._told is None:
            return super()._internal_poll(*args, **kwargs)  # type: ignore[misc, no-any-return]
        return self._heard(0)

    def _wait(self, timeout: float | None) -> int:
        if self._told is None:
            return super()._wait(timeout)  # type: ignore[misc, no-any-return]
        code = self._heard(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _heard(self, seconds: float | None) -> int | None:
        assert self._told is not None
        if self.returncode is None and select.select([self._told], [], [], seconds)[0]:
            said = self._told.recv(NUMBER.size)
            self.returncode = NUMBER.unpack(said)[0] if said else -signal.SIGKILL
            self._told.close()
        return self.returncode


@contextmanager
def serving() -> Iterator[str]:
    """The address of a process that has imported everything and forks what it is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "warm")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        command = [sys.executable, "-c", "from tests.warm import serve; serve()", place, "-" * ROOM]
        with Real(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield place
            process.kill()


@contextmanager
def begun(place: str) -> Iterator[None]:
    """Meanwhile programs of Python that this process starts, and those that these start, are forked there."""
    Popen.place, Popen.session, subprocess.Popen = place, os.getsid(0), Popen  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen = Real  # type: ignore[misc]


# ---- inside the process ---------------------------------------------------------------------------------------------


def serve() -> None:
    """Fork what is asked for, and tell how it ended, until whoever started this is gone."""
    for name in IMPORTED:
        importlib.import_module(name)
    assert not sys.modules["backend.settings"].get_settings.cache_info().currsize, "Settings were read too early."
    gc.collect()
    gc.freeze()
    awake, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asking: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(sys.argv[1])
        door.listen(64)
        print("ready", flush=True)
        while True:
            for one in select.select([sys.stdin, door, awake], [], [])[0]:
                if one is sys.stdin:
                    os._exit(0)
                elif one is awake:
                    awake.recv(1000)
                    _tell_ended(asking)
                else:
                    who = door.accept()[0]
                    if asked := _asked(who):
                        asking[_forked(who, *asked, [door, awake, wake, *asking.values()])] = who


def _tell_ended(asking: dict[int, socket.socket]) -> None:
    while asking:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        with asking.pop(child) as who:
            _tell(who, os.waitstatus_to_exitcode(status))


def _tell(who: socket.socket, number: int) -> None:
    with contextlib.suppress(ConnectionError):  # who asked may have been killed since
        who.sendall(NUMBER.pack(number))


def _asked(who: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """What to start and its descriptors; nothing if who asks was killed over it."""
    descriptors: list[int] = []
    with contextlib.suppress(ConnectionError, json.JSONDecodeError), who.makefile() as line:
        descriptors = socket.recv_fds(who, 1, 64)[1]
        return json.loads(line.readline()), descriptors
    for one in descriptors:
        os.close(one)
    who.close()
    return None


def _forked(
    who: socket.socket, order: dict[str, Any], descriptors: Sequence[int], ours: Sequence[socket.socket]
) -> int:
    """The number of the new process."""
    named, naming = os.pipe()
    child = os.fork()
    if child:
        os.close(naming)
        os.read(named, 1)  # it ends once the process has its group and its command line, as after a real start
        os.close(named)
        _tell(who, child)
        for one in descriptors:
            os.close(one)
        return child
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (who, *ours):
            each.close()
        _become(order, descriptors)
        code = _ran(order["command"][1:])
    except BaseException:  # noqa: BLE001  (as the interpreter does at its end)
        traceback.print_exc()
    finally:
        with contextlib.suppress(BrokenPipeError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _become(order: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Afterwards this process has the group, descriptors, folder, environment and name that were asked for."""
    subprocess.Popen, Popen.place, Popen.session = Popen, sys.argv[1], os.getsid(0)  # type: ignore[misc]
    if order["group"] is None:
        os.setsid()
    else:
        os.setpgid(0, order["group"])
    _be_called(order["command"])
    above = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, ABOVE) for one in descriptors]
    os.closerange(3, ABOVE)
    for one, number in zip(above, order["descriptors"], strict=True):
        os.dup2(one, number)
    os.closerange(ABOVE, ABOVE + 2 * len(above))
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [one for one in places if one and one not in sys.path]
    if "PYTHONUNBUFFERED" in os.environ:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    from huggingface_hub import constants  # it has read these already

    constants.ENDPOINT = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    constants.HF_HUB_OFFLINE = os.environ.get("HF_HUB_OFFLINE") == "1"
    random.seed()


def _be_called(command: list[str]) -> None:
    """Afterwards this is the process's command line; its room is that of the old one."""
    begin, end = (int(one) for one in Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    said = "\0".join(command).encode() + b"\0"
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, said, min(len(said), end - begin))


def _ran(arguments: list[str]) -> int:
    """Run a module or a line of code as the interpreter does; the exit code."""
    how, what, *sys.argv[1:] = arguments
    sys.argv[0] = how
    try:
        if how == "-m":
            warnings.filterwarnings("ignore", "'.*' found in sys.modules", RuntimeWarning)
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            sys.modules["__main__"] = main = types.ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), vars(main))  # noqa: S102  (what `python -c` does)
        code: object = None
    except SystemExit as end:
        code = end.code
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    return int(code) if isinstance(code, int) else 1 if code else 0
