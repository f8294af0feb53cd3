"""What an archive says of itself, and which names may stand in one."""

import re
from datetime import datetime

from pydantic import BaseModel, Field

from plumbline.services import Trouble

MANIFEST, SECRET = "manifest.json", "secret.key"
VERSION = 1
MOST_MANIFEST_BYTES = 256 << 20
_TABLE = re.compile(r"database/([a-z][a-z0-9_]{0,62})\.copy\.gz")
_OBJECT = re.compile(r"objects/(?:snapshots|checkpoints|runs|uploads)(?:/(?!\.\.?(?:/|$))[^/\x00-\x1f\x7f\\]{1,255})+")


class ArchiveRefused(Trouble):
    """The archive is not one of ours, or is damaged."""


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
    folders that were registered where they lay and are not in the archive."""

    version: int
    program: str
    revision: str = Field(pattern=r"^[A-Za-z0-9_]{1,64}$")
    made_at: datetime
    tables: dict[str, Table]
    members: dict[str, Member]
    objects: list[str]
    missing: list[str]
    outside: list[str]
    secrets: bool


def table_of(name: str) -> str | None:
    """The table whose rows the member `name` holds."""
    found = _TABLE.fullmatch(name)
    return found.group(1) if found else None


def fits(name: str) -> bool:
    """Whether a member may be called so: nothing else can lead anywhere but into the folder of a restore."""
    return name in (MANIFEST, SECRET) or table_of(name) is not None or _OBJECT.fullmatch(name) is not None
