"""Starts the processes that train together, and answers for them as if they were one.

They are started as torchrun would, and can be started by it, with three differences: they stay in this process's
group and hear of its end through a control pipe, so that nobody who ends the group leaves one behind; they meet in a
file of this machine and talk over loopback, so that no port is open; and the exit code is that of the first failure.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from alignment.training.errors import BadSpec, ProcessLost, TrainingError, retold
from alignment.training.stop import CONTROL, Stop

if TYPE_CHECKING:
    from alignment.training.events import Listener

PLACE = "PLUMBLINE_RANKS"  # a folder of this machine in which ranks meet; without it, at torchrun's address
LOOK_SECONDS = 0.1
LAST_WORDS_SECONDS = 3.0  # for the others to say why they failed too, once one has
LOOPBACK = "lo" if sys.platform == "linux" else "lo0"


def train_together(folder: Path, devices: int, listener: Listener | None, stop: Stop) -> dict[str, Any]:
    """Train the spec of a folder with that many processes; the body of its `done` event.

    Afterwards none of them is left.  Raises TrainingError: what the first rank that failed has said, or ProcessLost.
    """
    _require(devices)
    with tempfile.TemporaryDirectory(prefix="plumbline-ranks-") as place, Team(folder, devices, Path(place)) as team:
        heard = _Tail(folder / "events.jsonl", listener)
        while team.going():
            if stop.asked:
                team.ask_to_stop()
            heard.read()
            time.sleep(LOOK_SECONDS)
        team.end()
        heard.read()
        if heard.done is None:
            raise team.failure()
        return heard.done


def _require(devices: int) -> None:
    from alignment.training.ranks import available

    most = available()
    if devices > most:
        raise BadSpec(
            f"The run asks for {devices} devices, and this machine has {most}.",
            f"Ask for {most} or fewer, or run it where there are more.",
            "devices",
        )


class Seat(NamedTuple):
    """Which of the processes this one is, as torchrun tells it in the environment."""

    rank: int
    local: int
    size: int


def seat() -> Seat | None:
    """This process's place among several; None when it trains alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size < 2 or "RANK" not in os.environ:
        return None
    rank = int(os.environ["RANK"])
    return Seat(rank, int(os.environ.get("LOCAL_RANK", rank)), size)


class Team:
    """The processes of one run; leaving it ends those that are left."""

    def __init__(self, folder: Path, devices: int, place: Path) -> None:
        self._place = place
        reader, self._control = os.pipe()
        self._processes: list[subprocess.Popen[bytes]] = []
        command = [sys.executable, "-m", "alignment.training", str(folder)]
        try:
            for rank in range(devices):
                told = {**os.environ, **_environment(rank, devices), PLACE: str(place), CONTROL: str(reader)}
                self._processes.append(subprocess.Popen(command, env=told, pass_fds=(reader,)))  # noqa: S603
        except BaseException:
            self.end()
            raise
        finally:
            os.close(reader)

    def going(self) -> bool:
        """Whether some still work and none has failed."""
        codes = self._codes()
        return None in codes and not any(codes)

    def ask_to_stop(self) -> None:
        """Make them save and end."""
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    def end(self) -> None:
        """Wait a moment for those that are left to end by themselves, and kill them then."""
        limit = time.monotonic() + LAST_WORDS_SECONDS
        while None in self._codes() and time.monotonic() < limit:
            time.sleep(LOOK_SECONDS)
        self._lost = self._killed()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.ask_to_stop()

    def failure(self) -> TrainingError:
        """Why they failed: what a rank has said for itself, else who was killed, else that they lost each other."""
        said = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self._place.glob("*.json"))]
        said.sort(key=lambda one: one["time"])
        own = [one for one in said if one["code"] != ProcessLost.code]
        if own:
            return retold(own[0])
        if self._lost is not None:
            return self._lost
        return retold(said[0]) if said else ProcessLost("The training processes ended without a word.", READ_THE_LOG)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.ask_to_stop()

    def _codes(self) -> Sequence[int | None]:
        return [process.poll() for process in self._processes]

    def _killed(self) -> ProcessLost | None:
        for rank, code in enumerate(self._codes()):
            if code is not None and code < 0:
                return ProcessLost(
                    f"Process {rank + 1} of {len(self._processes)} was killed by the system ({_name(-code)}). "
                    "Most often this means that memory ran out.",
                    "Lower batch.tokens_per_pack or the lengths, use LoRA, or choose a smaller checkpoint.",
                )
        return None


READ_THE_LOG = "Read what they printed in the run's log, and start the run again."


def report(rank: int, failure: TrainingError) -> bool:
    """Leave word of a rank's failure for whoever started it; False when that was not this program."""
    place = os.environ.get(PLACE)
    if place is None:
        return False
    partial = Path(place) / f"{rank}.partial"
    partial.write_text(json.dumps({"time": time.time(), **failure.event()}), encoding="utf-8")
    partial.rename(partial.with_suffix(".json"))
    return True


def _environment(rank: int, devices: int) -> dict[str, str]:
    """What torchrun would tell, and a fair share of the processors; what somebody has set stays."""
    ours = {
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # DDP warns where every expert was used
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // devices)),
        "GLOO_SOCKET_IFNAME": LOOPBACK,
        "NCCL_SOCKET_IFNAME": LOOPBACK,
    }
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": devices, "LOCAL_WORLD_SIZE": devices}
    return {
        **{name: value for name, value in ours.items() if name not in os.environ},
        **{name: str(value) for name, value in place.items()},
    }


class _Tail:
    """Tells a listener what rank 0 writes."""

    def __init__(self, path: Path, listener: Listener | None) -> None:
        self._path, self._listener = path, listener
        self._offset = path.stat().st_size if path.exists() else 0
        self.done: dict[str, Any] | None = None

    def read(self) -> None:
        """Tell the whole lines that are new."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                event = json.loads(line)
                if event["type"] == "done":
                    self.done = event
                if self._listener is not None:
                    self._listener(event)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
