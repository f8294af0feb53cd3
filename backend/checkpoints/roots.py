"""The folders an admin allows: finding checkpoints in them, and turning what somebody asks for into one of them."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from backend import storage
from backend.checkpoints.folder import looks_like_checkpoint
from backend.errors import NotAllowed, NotFound
from backend.paths import Linked, Outside, below
from backend.settings import get_settings

DEPTH = 3
MOST_FOLDERS = 500
# Downloads, whole or on their way; what runs and exports wrote; copies and views of all that.
_KEPT = re.compile(
    r"checkpoints/(?:\.arriving-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:/|$)|(?:runs|exports|cache|views)(?:/|$)"
)
Own = Callable[[str], bool]
"""Whether the project that asks has the checkpoint of this key."""


class OutsideRoots(NotAllowed):
    title = "Folder not allowed"


def others(folder: Path, own: Own) -> bool:
    """Whether the program keeps the folder for a project that is not the one that asks: it names none of its own."""
    data = get_settings().data
    for root in {*storage.roots(), data.absolute(), data.resolve()}:
        if folder.is_relative_to(root):
            kept = folder.relative_to(root).as_posix()
            if _KEPT.match(kept) and not own(kept):
                return True
    return False


def resolve(roots: Sequence[Path], asked: str, own: Own) -> Path:
    """The folder that `asked` names (a whole path, or one relative to a root), surely inside a root.

    Raises OutsideRoots for anything else and for what belongs to another project, whether it exists or not, so that
    nothing can be learned about other folders; NotFound for what is missing inside a root.
    """
    remedy = "Choose a folder from the list, or let an admin add its parent to PLUMBLINE_CHECKPOINT_ROOTS."
    refused = OutsideRoots(
        "This folder is not inside one that checkpoints may come from.", field="folder", remedy=remedy
    )
    try:
        places = below(roots, asked)
    except Outside:
        raise refused from None
    except Linked:
        raise OutsideRoots(
            "A part of this path is a symbolic link.", field="folder", remedy="Copy the folder."
        ) from None
    if any(others(place, own) for place in places):
        raise refused
    for place in places:
        if os.path.isdir(place):  # noqa: PTH112
            return place
    raise NotFound("There is no such folder.", field="folder", remedy="Choose a folder from the list.")


def candidates(roots: Sequence[Path], own: Own) -> Iterator[Path]:
    """Folders inside the roots that look like checkpoints, none below another and none of another project, at most
    `MOST_FOLDERS`."""
    given = 0
    for root in roots:
        for folder in _walk(root.resolve(), DEPTH):
            if others(folder, own):
                continue
            if given == MOST_FOLDERS:
                return
            given += 1
            yield folder


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # unreadable or gone: it cannot be registered either
        return
    for entry in entries:
        if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
            continue
        path = Path(entry.path)
        if looks_like_checkpoint(path):
            yield path
        elif depth > 1:
            yield from _walk(path, depth - 1)
