"""Bringing a database to the newest schema, with a way back: the rows of before are copied first."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from backend.db import migrate, newest
from backend.settings import Settings
from plumbline.backup.database import refuse_half_restored
from plumbline.backup.make import make
from plumbline.services import Trouble

FOLDER = "before-upgrade"  # of the data folder
log = structlog.get_logger()


class UpgradeFailed(Trouble):
    """The database does not have the newest schema, and the message says how to go on or back."""


def upgrade(settings: Settings, tell: Callable[[str], object]) -> None:
    """Afterwards the database has the newest schema. One with an older schema is copied into the data folder before,
    and `tell` is given sentences about it.  Raises UpgradeFailed, HalfRestored, NewerSchema."""
    url = settings.database_url
    assert url is not None  # noqa: S101  (chosen by now)
    refuse_half_restored(url)
    copies: list[Path] = []

    def keep(revision: str) -> None:
        if not settings.upgrade_copy:
            tell(f"The database is upgraded from schema {revision} to {newest()}, without a copy.")
            return
        copies.append(_copy(settings, revision))
        tell(f"The database is upgraded from schema {revision} to {newest()}. {_way_back(copies)}")

    try:
        migrate(url, before=keep)
    except SQLAlchemyError as error:
        log.exception("upgrade failed")
        raise UpgradeFailed(
            f"The database could not be upgraded to schema {newest()}; its rows are whole, at the last step that was "
            f"done. Stop whatever else uses it, then start again. {_way_back(copies)} The cause is in the log."
        ) from error


def _copy(settings: Settings, revision: str) -> Path:
    folder = settings.data / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"{revision}-{datetime.now(UTC):%Y%m%dT%H%M%S}.tar"
    try:
        make(settings, target, secrets=False, tell=lambda _done, _total: None, rows_only=True)
    except Trouble as trouble:
        raise UpgradeFailed(
            f"Before an upgrade the rows of the database are copied, and that failed: {trouble} Nothing was upgraded. "
            "PLUMBLINE_UPGRADE_COPY=false upgrades without a copy."
        ) from trouble
    return target


def _way_back(copies: list[Path]) -> str:
    return "".join(
        f"To go back: stop Plumbline, run `plumbline restore {copy}`, and start the version you had." for copy in copies
    )
