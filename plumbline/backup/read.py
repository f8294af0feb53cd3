"""Reading an archive that anybody may have written: names, kinds, sizes and digests are checked before they count."""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from plumbline.backup.manifest import (
    MANIFEST,
    MOST_MANIFEST_BYTES,
    SECRET,
    VERSION,
    ArchiveRefused,
    Manifest,
    fits,
    table_of,
)
from plumbline.services import Trouble

Told = Callable[[int, int], None]
BLOCK = 1 << 20
RESERVE = 256 << 20


@contextmanager
def opened(path: Path) -> Iterator[tuple[tarfile.TarFile, list[tarfile.TarInfo], Manifest]]:
    """The archive, its members and its manifest, which agree on names and sizes.  Raises ArchiveRefused."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
            for member in members:
                _check(member)
            yield archive, members[:-1], _manifest(archive, members)
    except tarfile.TarError as error:
        raise ArchiveRefused(f"{path} is no archive of Plumbline, or was cut off.") from error


def _check(member: tarfile.TarInfo) -> None:
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.sparse is None
    if not plain:
        raise ArchiveRefused(f"The archive holds {member.name[:200]!r}, which is no plain file. Nothing was read.")
    if not fits(member.name):
        raise ArchiveRefused(f"The archive holds {member.name[:200]!r}, a name that no backup has. Nothing was read.")


def _manifest(archive: tarfile.TarFile, members: list[tarfile.TarInfo]) -> Manifest:
    if not members or members[-1].name != MANIFEST or members[-1].size > MOST_MANIFEST_BYTES:
        raise ArchiveRefused("The archive has no manifest at its end: it was cut off, or is no backup of Plumbline.")
    file = archive.extractfile(members[-1])
    assert file is not None  # noqa: S101  (a plain file)
    try:
        manifest = Manifest.model_validate_json(file.read())
    except ValidationError as error:
        raise ArchiveRefused("The archive's manifest cannot be read. Was it made by a newer Plumbline?") from error
    if manifest.version != VERSION:
        raise ArchiveRefused(f"The archive has layout {manifest.version}; this Plumbline reads layout {VERSION}.")
    sizes = [(member.name, member.size) for member in members[:-1]]
    if len(set(sizes)) != len(sizes) or dict(sizes) != {name: facts.size for name, facts in manifest.members.items()}:
        raise ArchiveRefused("The archive holds other files than its manifest says. Nothing was read.")
    if {table_of(name) for name, _ in sizes} - {None} != set(manifest.tables):
        raise ArchiveRefused("The archive holds other tables than its manifest says. Nothing was read.")
    if not all(fits(f"objects/{key}") for key in (*manifest.objects, *manifest.moved.values())):
        raise ArchiveRefused("The archive's manifest names a place that no backup has. Nothing was read.")
    return manifest


def unpack(path: Path, folder: Path | None, tell: Told) -> Manifest:
    """Afterwards every member is as the manifest says, and lies under `folder` when there is one.

    Raises ArchiveRefused, and Trouble when the disk has no room.
    """
    with opened(path) as (archive, members, manifest):
        total, done = sum(member.size for member in members), 0
        needed = total + 2 * sum(table.bytes for table in manifest.tables.values()) + RESERVE
        if folder is not None and shutil.disk_usage(folder).free < needed:
            raise Trouble(f"The disk of {folder.parent} has too little room: {needed:,} bytes are needed.")
        for member in members:
            taken = hashlib.sha256()
            for block in _blocks(archive, member, None if folder is None else folder / member.name):
                taken.update(block)
            if taken.hexdigest() != manifest.members[member.name].sha256:
                raise ArchiveRefused(f"{member.name} in the archive is damaged. Take another backup.")
            done += member.size
            tell(done, total)
    return manifest


def _blocks(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path | None) -> Iterator[bytes]:
    file = archive.extractfile(member)
    assert file is not None  # noqa: S101  (a plain file)
    if target is None:
        while block := file.read(BLOCK):
            yield block
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with target.open("xb") as out:
        if member.name == SECRET:
            target.chmod(0o600)
        while block := file.read(BLOCK):
            out.write(block)
            yield block
        if table_of(member.name) is None:  # what stays: the archive may be deleted from then on
            out.flush()
            os.fsync(out.fileno())
