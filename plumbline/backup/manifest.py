"""What an archive says of itself, and which names may stand in one."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError

from backend.errors import NoSpace
from plumbline.services import Trouble

MANIFEST, SECRET = "manifest.json", "secret.key"
VERSION = 1
MOST_MANIFEST_BYTES = 256 << 20
_TABLE = re.compile(r"database/([a-z][a-z0-9_]{0,62})\.copy\.gz")
_OBJECT = re.compile(r"objects/(?:snapshots|checkpoints|runs|uploads)(?:/(?!\.\.?(?:/|$))[^/\x00-\x1f\x7f\\]{1,255})+")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room on the disk, in a quota, or in one file of it


class ArchiveRefused(Trouble):
    """The archive is not one of ours, or is damaged."""


class NotEmpty(Trouble):
    """There is something that a restore would write over."""


class HalfRestored(Trouble):
    """A restore has not ended: what there is is not whole."""


class Table(BaseModel):
    """The rows of one table: its columns in the order of the copy, how many rows, and their unpacked bytes."""

    columns: list[str]
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)


class Member(BaseModel):
    """One member of the archive."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """The last member. `objects` are storage keys; `missing` those that rows name and that were gone already; `outside`
    folders that were registered where they lay and are not in the archive; `moved` gives the keys of those that lay in
    the storage all the same. One of `rows_only` holds no objects: it leads back to the database before an upgrade."""

    version: int
    program: str
    revision: str = Field(pattern=r"^[A-Za-z0-9_]{1,64}$")
    made_at: datetime
    tables: dict[str, Table]
    members: dict[str, Member]
    objects: list[str]
    missing: list[str]
    outside: list[str]
    moved: dict[str, str] = {}
    rows_only: bool = False
    secrets: bool


def table_of(name: str) -> str | None:
    """The table whose rows the member `name` holds."""
    found = _TABLE.fullmatch(name)
    return found.group(1) if found else None


def fits(name: str) -> bool:
    """Whether a member may be called so: nothing else can lead anywhere but into the folder of a restore."""
    return name in (MANIFEST, SECRET) or table_of(name) is not None or _OBJECT.fullmatch(name) is not None


@contextmanager
def room(sentence: str) -> Iterator[None]:
    """Turns a full disk, of this program or of the database, into a Trouble that says `sentence`."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise Trouble(f"The disk is full. {sentence}") from error
    except NoSpace as error:
        raise Trouble(f"{error.detail} {sentence}") from error
    except (psycopg.OperationalError, OperationalError) as error:
        raise Trouble(f"The database gave up; often its disk is full. {sentence}") from error
