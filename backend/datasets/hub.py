"""Datasets of a hub: what one is before it is taken, its first rows, and all rows of a split as a file."""

import hashlib
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.orm import Session

from alignment.formats import FileRefused
from backend.accounts.models import User
from backend.checkpoints import fetches
from backend.checkpoints.hub import Hub
from backend.checkpoints.hub_errors import Refused
from backend.checkpoints.preview import CLASSES
from backend.datasets.schemas import FromHub
from backend.datasets.source_schemas import HubDatasetIn, HubDatasetOut
from backend.errors import Invalid
from backend.leash import CONTROL
from backend.offline import barred
from backend.outbound import turn
from backend.settings import Settings

LOOK_SECONDS = 60
FIRST_ROWS = 100
FIRST_BYTES = 64 << 20
PULSE_SECONDS = 0.5
_KEPT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HTTPS_PROXY",
         "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")  # fmt: skip


class NotReadable(Invalid):
    title = "Not a usable dataset"


def look(
    session: Session, project_id: uuid.UUID, user: User, hub_id: str, revision: str, secret: str | None
) -> HubDatasetOut:
    """What a hub says of a dataset at one commit: license, size, access, and the splits of each configuration.

    Raises HubRefused, HubTokenRefused, HubBusy, HubAway, SecretMissing, TooManyChecks, NotReadable.
    """
    token = fetches.token(session, project_id, secret, user)
    try:
        with turn(), Hub(token) as hub:
            found = hub.look_at_dataset(hub_id, revision)
            splits = _ask({"do": "look", "hub_id": hub_id, "commit": found.commit}, token)
    except Refused as error:
        raised = next(shown for kind, shown in CLASSES if isinstance(error, kind))
        raise raised(error.reason, field="hub_id", remedy=error.remedy) from error
    except FileRefused as refused:
        raise NotReadable(refused.reason, field="hub_id", remedy=refused.remedy) from None
    return HubDatasetOut(
        hub_id=hub_id,
        commit=found.commit,
        license=found.license,
        gated=found.gated,
        private=found.private,
        size=found.size,
        files=len(found.files),
        configs=splits,
    )


def first_rows(token: str | None, body: HubDatasetIn, folder: Path) -> Path:
    """A file with the first rows of a split.  Raises NotReadable, TooManyChecks."""
    path = folder / f"{uuid.uuid4()}.part"
    job = {"do": "rows", "most_rows": FIRST_ROWS, "most_bytes": FIRST_BYTES, "path": str(path)}
    try:
        with turn():
            _ask(job | body.model_dump(include={"hub_id", "commit", "config", "split"}), token)
    except FileRefused as refused:
        path.unlink(missing_ok=True)
        raise NotReadable(refused.reason, field="hub_id", remedy=refused.remedy) from None
    return path


def fingerprint(body: HubDatasetIn) -> str:
    """A digest of what names the rows: they never change, since the commit is part of it."""
    return hashlib.sha256(f"hub\0{body.hub_id}\0{body.commit}\0{body.config}\0{body.split}".encode()).hexdigest()


def fetch(origin: FromHub, token: str | None, path: Path, settings: Settings, pulse: Callable[[int], None]) -> None:
    """Write all rows of a split to `path`, telling `pulse` the bytes so far; it stops the process by raising.

    Raises FileRefused; then no part of the file is left.
    """
    job = {"do": "rows", "most_rows": None, "most_bytes": settings.max_upload_bytes, "path": str(path)}
    job |= origin.model_dump(include={"hub_id", "commit", "config", "split"})
    try:
        with tempfile.TemporaryDirectory() as home, _Child(job, token, home) as child:
            while child.process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(PULSE_SECONDS)
                with suppress(FileNotFoundError):
                    pulse(path.stat().st_size)
            child.answer()
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _ask(job: dict[str, Any], token: str | None) -> Any:
    """What the process answers.  Raises FileRefused, also when it takes too long."""
    with tempfile.TemporaryDirectory() as home, _Child(job, token, home) as child:
        try:
            child.process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            raise FileRefused(
                f"The hub took longer than {LOOK_SECONDS} seconds.", "Try again, or download the files and import them."
            ) from None
        return child.answer()


class _Child:
    """The process that asks the hub: it knows the token and nothing else of ours, and dies with us.

    Raises FileRefused when no hub may be asked.
    """

    def __init__(self, job: dict[str, Any], token: str | None, home: str) -> None:
        why = barred()
        if why is not None:
            raise FileRefused(*why)
        reader, self.control = os.pipe()
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {
            "HF_HOME": home,
            "HOME": home,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        environment |= {CONTROL: str(reader), "OMP_NUM_THREADS": "1"}
        if token:
            environment["HF_TOKEN"] = token
        with tempfile.TemporaryFile() as asked:
            asked.write(orjson.dumps(job))
            asked.seek(0)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "backend.datasets.hub_rows"],
                stdin=asked,
                stdout=self.said,
                stderr=subprocess.DEVNULL,
                env=environment,
                pass_fds=(reader,),
                cwd="/",
            )
        os.close(reader)

    def __enter__(self) -> "_Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.control)
        self.said.close()

    def answer(self) -> Any:
        """What it said last.  Raises FileRefused."""
        self.said.seek(0)
        lines = self.said.read().splitlines()
        found: dict[str, Any] = {}
        with suppress(orjson.JSONDecodeError, IndexError):
            found = orjson.loads(lines[-1])
        if "done" in found:
            return found["done"]
        raise FileRefused(*found.get("refused", ("The reader of the hub broke.", "Try again; the log says more.")))
