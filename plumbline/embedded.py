"""Private Postgres and Valkey under the data folder: one owner at a time, nothing orphaned, nothing lost."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from plumbline.accounts import account_for, may_pass, own
from plumbline.servers import Postgres, Server, ServerFailed, Valkey

LOOK_SECONDS = 0.2  # whoever asks who holds a folder holds it for a moment
SOCKET_PATH_BYTES = 100  # the kernel's limit is 108 on Linux, 104 elsewhere
RESTORING = ".restoring"  # in a data folder: a restore that has not ended
GOING_BACK = ".going-back"  # the same for a return to the database before an upgrade
_LONGEST_SOCKET = ".s.PGSQL.5432.lock"


S = TypeVar("S", bound=Server)


class AlreadyRunning(RuntimeError):
    """Another program holds the data folder."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        who = f"process {facts['pid']}" if "pid" in facts else "another process"
        where = f" at {facts['address']}" if "address" in facts else ""
        super().__init__(
            f"Plumbline already runs on {folder} ({who}{where}). Use that one, stop it first, "
            "or name another folder with PLUMBLINE_DATA."
        )
        self.facts = facts


class FolderLock:
    """The one truth about who uses a data folder: `flock` on its file `lock`, which the kernel drops at any death.

    The file's text (process, address, server addresses) only informs people and other commands.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._file: IO[str] | None = None
        self._facts: dict[str, Any] = {}

    def take(self) -> None:
        """Afterwards the folder is ours. Raises AlreadyRunning."""
        file = self.path.open("a+", encoding="utf-8")
        limit = time.monotonic() + LOOK_SECONDS
        while not _locked(file, fcntl.LOCK_EX):
            if time.monotonic() > limit:
                file.close()
                raise AlreadyRunning(self.path.parent, _read(self.path))
            time.sleep(LOOK_SECONDS / 20)
        self._file, self._facts = file, {}
        self.tell(pid=os.getpid(), started=time.time())

    def tell(self, **facts: Any) -> None:
        """Afterwards `facts` stand in the lock file for whoever looks."""
        if self._file is None:
            raise RuntimeError("The lock is not held.")
        self._facts |= facts
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(self._facts))
        self._file.flush()

    def drop(self) -> None:
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            self._file.close()
            self._file = None


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        facts = json.loads(path.read_text("utf-8"))
        return facts if isinstance(facts, dict) else {}
    return {}


def holder(folder: Path) -> dict[str, Any] | None:
    """What the program that holds `folder` tells of itself (`pid`, `address`, `database_url` …); None if nobody."""
    path = folder / "lock"
    if not path.exists():
        return None
    with path.open("r", encoding="utf-8") as file:
        return None if _locked(file, fcntl.LOCK_SH) else _read(path)


def _locked(file: IO[str], how: int) -> bool:
    """Whether `file` is locked now, for as long as it is open; False when somebody else's lock is in the way."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Embedded:
    """Postgres and Valkey for as long as the `with` block (or from `start` to `stop`).

    Start it from a thread that lives as long as the servers should: they get their end signal when it dies.
    `fsync=False` is for tests: faster, safe against killed processes but not against a power cut. A server that is
    not wanted, because an external one is named, is left out; the folder is locked all the same.
    """

    def __init__(self, folder: Path, *, fsync: bool = True, postgres: bool = True, valkey: bool = True) -> None:
        self.folder = folder.absolute()
        self.fsync = fsync
        self.wanted = (postgres, valkey)
        self.lock = FolderLock(self.folder)
        self._postgres: Postgres | None = None
        self._valkey: Valkey | None = None
        self._sockets: Path | None = None

    @property
    def database_url(self) -> str:
        """SQLAlchemy's address of the database (psycopg over a unix socket)."""
        return _started(self._postgres).url

    @property
    def redis_url(self) -> str:
        """The `unix://` address of the key-value server."""
        return _started(self._valkey).url

    @property
    def urls(self) -> dict[str, str]:
        """The addresses of the servers that run here, by the names of their settings."""
        found = {"database_url": self._postgres, "redis_url": self._valkey}
        return {name: server.url for name, server in found.items() if server is not None}

    @property
    def servers(self) -> tuple[Server, ...]:
        return tuple(server for server in (self._postgres, self._valkey) if server is not None)

    def start(self) -> Self:
        """Afterwards both servers take work. Raises AlreadyRunning or ServerFailed, leaving nothing running."""
        create_data_folder(self.folder)
        self.lock.take()
        try:
            refuse_half_restored(self.folder)
            self._sockets = socket_folder(self.folder)
            if self.wanted[0]:
                self._postgres = Postgres(self.folder, self._sockets, fsync=self.fsync)
            if self.wanted[1]:
                self._valkey = Valkey(self.folder, self._sockets)
            for server in self.servers:
                server.launch()
            for server in self.servers:
                server.await_ready()
            self.lock.tell(**self.urls)
        except BaseException:
            self.stop()
            raise
        return self

    def revive(self) -> list[str]:
        """Afterwards both servers run again; returns the titles of those that had died."""
        dead = [server for server in self.servers if not server.alive()]
        for server in dead:
            server.launch()
        for server in dead:
            server.await_ready()
        return [server.title for server in dead]

    def stop(self) -> None:
        """Afterwards both servers have ended and the folder is free."""
        for server in self.servers:
            server.stop()
        self._postgres = self._valkey = None
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None
        self.lock.drop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _started(server: S | None) -> S:
    if server is None:
        raise RuntimeError("The embedded servers are not started.")
    return server


def create_data_folder(folder: Path) -> None:
    """Afterwards `folder` and its `logs` exist. A new one is private, save that root lets the servers' user through."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
        account = account_for(folder)
        if account is not None:
            os.chown(folder, 0, account.gid)
            folder.chmod(0o710)
    (folder / "logs").mkdir(mode=0o700, exist_ok=True)


def refuse_half_restored(folder: Path) -> None:
    """Raises ServerFailed for a folder in which a restore was cut off: what it holds is not whole."""
    if (folder / RESTORING).exists():
        raise ServerFailed(
            f"A restore into {folder} was cut off, so what it holds is not whole. "
            "Run `plumbline restore` with the archive again: it begins anew."
        )
    if (folder / GOING_BACK / "postgres").exists() and not (folder / "postgres").exists():
        raise ServerFailed(
            f"A return to the older database of {folder} was cut off. Run the same `plumbline restore` again: it "
            "begins anew, and the database that was set aside is still there (postgres.aside-…)."
        )


def socket_folder(folder: Path) -> Path:
    """A private (0700) folder for sockets: `run` in the data folder, or a short one in the system's temporary folder
    when that path is too long for a socket or closed to the user that the servers run as."""
    account = account_for(folder / "postgres")
    place = folder / "run"
    if len(os.fsencode(place / _LONGEST_SOCKET)) < SOCKET_PATH_BYTES and may_pass(folder, account):
        return own(place, account)
    owner = os.geteuid() if account is None else account.uid
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    chosen = Path(tempfile.gettempdir())
    if len(os.fsencode(chosen)) > SOCKET_PATH_BYTES // 2 or not may_pass(chosen, account):
        chosen = Path("/tmp")  # noqa: S108  (what is made in it is private, and checked)
    place = chosen / f"plumbline-{owner}-{name}"
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
        own(place, account)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        # Somebody else took the name: never put sockets where others may write.
        place = own(Path(tempfile.mkdtemp(prefix="plumbline-", dir=place.parent)), account)
    return place
