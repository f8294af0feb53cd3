"""Data files in the folders of the server that an admin allows: listed, named, and read where they lie."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from backend.datasets.source_schemas import ServerFile, ServerFolder
from backend.errors import Invalid, NotAllowed, NotFound
from backend.paths import Linked, Outside, below
from backend.settings import Settings

MOST_FILES = 500
ENDINGS = (".jsonl", ".ndjson", ".json", ".parquet", ".csv", ".tsv", ".txt", ".jsonl.gz", ".json.gz", ".csv.gz")
PACKED = (".gz", ".zst")
VERSION_OF_ARGILLA = ".argilla/version.json"


class OutsideDataRoots(NotAllowed):
    title = "Path not allowed"


class NoDataThere(Invalid):
    title = "No data there"


def browse(settings: Settings, path: str | None) -> ServerFolder:
    """The data files and folders in an allowed folder; without a path, the allowed folders."""
    if path is None:
        return ServerFolder(path=None, folders=[str(root) for root in settings.data_roots], files=[])
    folder = _folder(settings, path)
    folders, files = [], []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name)[:MOST_FILES]:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(str(folder / entry.name))
            elif entry.is_file(follow_symlinks=False) and is_data(entry.name):
                size = entry.stat(follow_symlinks=False).st_size
                files.append(ServerFile(path=str(folder / entry.name), size=size))
    return ServerFolder(path=str(folder), folders=folders, files=files)


def _folder(settings: Settings, path: str) -> Path:
    """An allowed folder or one below it."""
    for root in settings.data_roots:
        if Path(path) in (root, root.resolve()):
            return root.resolve()
    place = resolve(settings.data_roots, path)
    if not place.is_dir():
        raise NotFound("There is no such folder.", field="path", remedy="Choose one from the list.")
    return place


def is_data(name: str) -> bool:
    """Whether a file's name is that of a data file; single files are read whatever their name is."""
    plain = name.lower()
    for ending in PACKED:
        plain = plain.removesuffix(ending)
    return plain.endswith(ENDINGS)


def resolve(roots: Sequence[Path], asked: str) -> Path:
    """The file or folder that `asked` names, surely inside a root.  Raises OutsideDataRoots, NotFound."""
    try:
        places = below(roots, asked)
    except Outside:
        raise OutsideDataRoots(
            "This path is not inside a folder that data may come from.",
            field="path",
            remedy="Choose one from the list, or let an admin add its folder to PLUMBLINE_DATA_ROOTS.",
        ) from None
    except Linked:
        raise OutsideDataRoots(
            "A part of this path is a symbolic link.", field="path", remedy="Name the file itself, or copy it."
        ) from None
    for place in places:
        if os.path.isfile(place) or os.path.isdir(place):  # noqa: PTH112, PTH113
            return place
    raise NotFound("There is no such file or folder.", field="path", remedy="Choose one from the list.")


def files_of(roots: Sequence[Path], asked: str) -> list[Path]:
    """The plain files that a path names, in the order of their names; of a folder, the data files directly in it.

    Raises OutsideDataRoots, NotFound, NoDataThere.
    """
    place = resolve(roots, asked)
    if place.is_file():
        return [place]
    found = sorted(
        Path(entry.path)
        for entry in os.scandir(place)
        if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".") and is_data(entry.name)
    )
    if not found:
        raise NoDataThere(
            f"The folder holds no data files ({', '.join(ENDINGS[:6])}).", field="path", remedy="Choose another one."
        )
    if len(found) > MOST_FILES:
        raise NoDataThere(
            f"The folder holds {len(found):,} data files; at most {MOST_FILES} are read at once.",
            field="path",
            remedy="Join them, or import parts of the folder.",
        )
    return found


def stated_version(path: Path) -> str:
    """The version that a folder of Argilla states."""
    with path.open("rb") as file:
        found = file.read(10_000)
    match = re.search(rb'"argilla"\s*:\s*"([^"]{1,40})"', found)
    return match[1].decode("utf-8", "replace") if match else "of no version"


def fingerprint(files: Sequence[Path]) -> tuple[int, str]:
    """The size of all files, and a digest of their paths, sizes and times: equal means that nothing was changed."""
    digest, size = hashlib.sha256(b"server"), 0
    for path in files:
        stat = path.stat()
        size += stat.st_size
        digest.update(f"\0{path}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
    return size, digest.hexdigest()
