"""`plumbline train --report`: trains on a machine that reaches neither database nor storage, and tells the server.

The training process is the same as everywhere and knows nothing of this. What it writes is sent on: events from the
byte where the server has them, each checkpoint before the event that names it. While the server is away training goes
on, and everything is sent later; started again on the same folder, it sends what is missing.
"""

import gzip
import json
import os
import platform
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from alignment.training.errors import TrainingError
from alignment.training.stop import Stop, signals
from backend.remote import describe
from plumbline.report_inputs import Inputs
from plumbline.report_line import Away, Refused, ReportLine
from plumbline.services import Trouble
from workers.supervisor import MODULE, Child, orphans

PULSE_SECONDS = 1.0
HEARTBEAT_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 30.0
PATIENCE_SECONDS = 6 * 3600.0  # for a server that is away when training has ended
STOPPED_PATIENCE_SECONDS = 60.0
START_PATIENCE_SECONDS = 120.0
GRACE_SECONDS = 600.0  # for saving, when the run was cancelled
BATCH_BYTES = 4 << 20
UNDELIVERED = 75
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
Tell = Callable[[str], None]


class FolderTaken(Trouble):
    """The folder holds something else."""


class NotStarted(Trouble):
    """The server cannot be reached, or does not want this program."""


def run(
    url: str,
    token: str,
    out: Path,
    *,
    spec: Path | None = None,
    checkpoint: str | None = None,
    reference: str | None = None,
    allow_http: bool = False,
    tell: Tell = print,
) -> int:
    """Train the run at `url` into `out`, or send what an earlier start left there; the exit code of training, or 75
    when not everything could be sent.  Raises Trouble."""
    out = out.resolve()
    reporter = _claim(out, url)
    line = ReportLine(url, token, reporter, allow_http=allow_http)
    stop = Stop()
    try:
        with signals(stop):
            started = _start(line, reporter, tell)
            report = Report(line, out, started["offset"], started["chunk_bytes"], tell)
            if (out / "events.jsonl").exists():
                tell("Training has been here before; sending what the server lacks.")
                code = None
            else:
                located = Inputs(line, started, out / "inputs", tell).spec(spec, checkpoint, reference)
                (out / "spec.json").write_text(located.model_dump_json(indent=2), encoding="utf-8")
                code = _train(report, out, stop)
            while orphans(str(out)):  # of an earlier start that was killed: it is saving
                time.sleep(PULSE_SECONDS)
            return _deliver(report, code, stop)
    except (Away, Refused) as error:
        raise NotStarted(f"The server does not let this run begin: {error}") from error
    except TrainingError as error:
        raise Trouble(f"{error.title}. {error.detail} {error.remedy}") from error
    finally:
        line.close()


class Report:
    """What the server has, and what it should have next."""

    def __init__(self, line: ReportLine, out: Path, offset: int, chunk: int, tell: Tell) -> None:
        self.line, self.out, self.offset, self.chunk, self.tell = line, out, offset, chunk, tell
        self.stop = False  # the server wants training to end
        self.refused: Refused | None = None
        self.outcome: int | None = None  # the exit code that training's last event amounts to
        self._looked_at = offset
        self._waiting: dict[str, Path] = {}  # checkpoint as its event names it: where it is linked
        self._removed: set[str] = set()  # checkpoints that training has removed
        self._failures = 0
        self._next = 0.0
        self._heard = 0.0

    def finished(self) -> bool:
        """Whether the server has everything that was written."""
        return self.offset >= self._size()

    def pulse(self, ended: bool = False) -> None:
        """Send what there is, if it is time; a server that is away is asked again after a growing pause."""
        self._look()
        if self.refused is not None or time.monotonic() < self._next:
            return
        try:
            while not self.finished() and self._send(ended):
                pass
            if time.monotonic() - self._heard >= HEARTBEAT_SECONDS:
                self._post(b"")
            if self._failures:
                self.tell("The server answers again; everything was sent.")
            self._failures = 0
        except Away as error:
            self._failures += 1
            self._next = time.monotonic() + min(2.0 ** (self._failures - 1), LONGEST_PAUSE_SECONDS)
            if self._failures == 1:
                self.tell(f"The server is away ({error}); training goes on, and everything is sent later.")
        except Refused as error:
            self.refused = error
            self.stop = self.stop or error.kind in ("RunEnded", "AnotherReporter")
            self.tell(error.sentence)

    def end(self, code: int | None) -> None:
        """Tell that training has ended.  Raises Away, Refused."""
        self.line.ask("POST", "end", json={"exit_code": code})

    def _look(self) -> None:
        """Link new checkpoints aside before training removes them; forget those that it has removed."""
        for event, _, end in _lines(self.out / "events.jsonl", self._looked_at, BATCH_BYTES):
            self._looked_at = end
            kind = event.get("type")
            if kind == "checkpoint":
                self._waiting[str(event.get("path"))] = self._aside(Path(str(event.get("path"))))
            elif kind == "log" and event.get("removed_checkpoint"):
                self._removed.add(str(event["removed_checkpoint"]))
                aside = self._waiting.pop(str(event["removed_checkpoint"]), None)
                if aside is not None:
                    shutil.rmtree(aside, ignore_errors=True)
            elif kind in ("done", "error"):
                self.outcome = int(event.get("exit_code") or 0)
            if kind in ("log", "error"):
                self.tell(str(event.get("message") or f"{event.get('title')}. {event.get('detail')}"))

    def _send(self, ended: bool) -> bool:
        """The next events, up to a checkpoint that must go first; whether there may be more."""
        self._look()
        path, batch, end = self.out / "events.jsonl", b"", self.offset
        for event, raw, following in _lines(path, self.offset, BATCH_BYTES):
            if event.get("type") == "checkpoint" and str(event.get("path")) not in self._removed:
                if batch:
                    break
                self._upload(event)
            batch, end = batch + raw, following
        if not batch:
            if ended and not self.finished():  # a line that will never be finished
                self.offset = self._size()
            return False
        self._post(batch)
        return self.offset >= end

    def _post(self, batch: bytes) -> None:
        headers = {"Content-Encoding": "gzip"} if batch else {}
        answer = self.line.ask(
            "POST", f"events?offset={self.offset}", content=gzip.compress(batch, 5) if batch else b"", headers=headers
        )
        self._heard = time.monotonic()
        self.offset, self.stop = int(answer["offset"]), self.stop or bool(answer["stop"])

    def _upload(self, event: dict[str, Any]) -> None:
        """Send a checkpoint; one that training has removed by now is passed over."""
        path = str(event.get("path"))
        folder = self._waiting[path] if path in self._waiting else self._aside(Path(path))
        if not folder.is_dir():
            return
        step, files = int(event["step"]), describe(folder).files
        files = [file for file in files if "/" not in file.name]
        body = {"files": [file.model_dump() for file in files]}
        try:
            received = self.line.ask("PUT", f"checkpoints/{step}", json=body)["received"]
            for file in files:
                self._upload_file(step, folder / file.name, file.size, int(received[file.name]))
            while not self.line.ask("POST", f"checkpoints/{step}/stored")["stored"]:
                self._beat()
        except Refused as error:
            if error.status in (401, 403) or error.kind == "AnotherReporter":
                raise
            self.tell(f"The server does not take the checkpoint of step {step}: {error.sentence}")
            return
        self.tell(f"The server has the checkpoint of step {step}.")
        shutil.rmtree(folder, ignore_errors=True)

    def _upload_file(self, step: int, path: Path, size: int, offset: int) -> None:
        with path.open("rb") as file:
            while offset < size:
                file.seek(offset)
                answer = self.line.ask(
                    "POST", f"checkpoints/{step}/files/{path.name}?offset={offset}", content=file.read(self.chunk)
                )
                offset = int(answer["received"][path.name])
                self._beat()

    def _beat(self) -> None:
        if time.monotonic() - self._heard >= HEARTBEAT_SECONDS:
            self._post(b"")

    def _aside(self, path: Path) -> Path:
        aside = self.out / "unsent" / path.name
        if path.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
            aside.parent.mkdir(exist_ok=True)
            shutil.copytree(path, aside, copy_function=os.link)
        return aside

    def _size(self) -> int:
        path = self.out / "events.jsonl"
        return path.stat().st_size if path.exists() else 0


def _train(report: Report, out: Path, stop: Stop) -> int | None:
    """Run the training process to its end while reporting; its exit code."""
    asked_at: float | None = None
    with Child([sys.executable, "-m", MODULE, str(out)], out / "output.log", ENVIRONMENT) as child:
        while child.exit_code() is None:
            report.pulse()
            if report.stop or stop.asked:
                if asked_at is None:
                    report.tell("Asked to stop; training saves and ends.")
                    asked_at = time.monotonic()
                child.stop(GRACE_SECONDS)
            child.wait(PULSE_SECONDS)
        return child.exit_code()


def _deliver(report: Report, code: int | None, stop: Stop) -> int:
    """Send the rest and the end, for as long as patience lasts."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < limit:
        if stop.asked:  # whoever wants this program to end does not wait for long
            limit = min(limit, time.monotonic() + STOPPED_PATIENCE_SECONDS)
            stop = Stop()
        report.pulse(ended=True)
        if report.refused is not None:
            break
        if report.finished():
            try:
                report.end(code)
            except Away:
                time.sleep(PULSE_SECONDS)
                continue
            except Refused as error:
                if error.kind != "RunEnded":  # else an answer to this very request was lost
                    report.tell(error.sentence)
                    break
            report.tell("Training has ended, and the server has everything.")
            return report.outcome if report.outcome is not None else abs(code or 0)
        time.sleep(PULSE_SECONDS)
    report.tell(f"Not everything was sent. It is kept in {report.out}: start the same command again to send it.")
    return UNDELIVERED


def _claim(out: Path, url: str) -> uuid.UUID:
    """This program's id for the folder, new or from an earlier start.  Raises FolderTaken."""
    note = out / "report.json"
    if note.is_file():
        known = json.loads(note.read_text("utf-8"))
        if known.get("url") != url:
            raise FolderTaken(f"{out} belongs to another run. Name a new folder with --out.")
        return uuid.UUID(known["reporter"])
    if out.exists() and any(out.iterdir()):
        raise FolderTaken(f"{out} is not empty. Name a new folder with --out.")
    out.mkdir(parents=True, exist_ok=True)
    reporter = uuid.uuid4()
    note.write_text(json.dumps({"url": url, "reporter": str(reporter)}), encoding="utf-8")
    return reporter


def _start(line: ReportLine, reporter: uuid.UUID, tell: Tell) -> dict[str, Any]:
    body = {
        "reporter": str(reporter),
        "host": socket.gethostname()[:200],
        "device": _device()[:200],
        "version": version("plumbline"),
    }
    limit, told = time.monotonic() + START_PATIENCE_SECONDS, False
    while True:
        try:
            return line.ask("POST", "start", json=body)
        except Away as error:
            if time.monotonic() > limit:
                raise
            if not told:
                tell(f"The server does not answer yet ({error}); trying again.")
                told = True
            time.sleep(PULSE_SECONDS)


def _device() -> str:
    """What will train, without loading torch."""
    models = [
        row.partition(":")[2].strip()
        for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        for row in path.read_text("utf-8", "replace").splitlines()
        if row.startswith("Model:")
    ]
    return ", ".join(models) if models else f"CPU, {os.cpu_count()} cores ({platform.machine()})"


def _lines(path: Path, offset: int, most: int) -> list[tuple[dict[str, Any], bytes, int]]:
    """Whole lines from an offset on, at least one and at most about so many bytes: event, bytes, where it ends."""
    found: list[tuple[dict[str, Any], bytes, int]] = []
    if not path.exists():
        return found
    with path.open("rb") as file:
        file.seek(offset)
        while file.tell() - offset < most:
            raw = file.readline()
            if not raw.endswith(b"\n"):
                break
            try:
                event = json.loads(raw)
            except (ValueError, RecursionError):
                event = {}
            found.append((event if isinstance(event, dict) else {}, raw, file.tell()))
    return found
