"""Where the weights of a checkpoint lie on this machine; an adapter names its base where that lies here."""

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy.orm import Session

from alignment.training.folder import ADAPTER, LONGEST_CHAIN, TEMPLATE
from backend import storage
from backend.checkpoints.models import Checkpoint
from backend.settings import get_settings

UNUSED_SECONDS = 30 * 24 * 3600.0
BASE = "base_model_name_or_path"


def chain(session: Session, checkpoint: Checkpoint) -> list[Checkpoint]:
    """The checkpoint, then what it adapts, down to whole weights: what `place` needs, without a session."""
    links = [checkpoint]
    while links[-1].adapter and links[-1].parent_id is not None and len(links) < LONGEST_CHAIN:
        links.append(session.get_one(Checkpoint, links[-1].parent_id))
    return links


def place(links: Sequence[Checkpoint], use: storage.Use) -> Path:
    """The folder of the first link on this machine, fetched if need be, and its bases; with the chat template that it
    was given, where it was given one.

    Raises StorageTrouble, ObjectMissing, ObjectDamaged, NoSpace.
    """
    folder = use(links[0].path)
    if len(links) > 1:
        folder = based(folder, place(links[1:], use))
    return _beside(folder, TEMPLATE, links[0].template) if links[0].template else folder


def outline(session: Session, checkpoint: Checkpoint) -> Path:
    """A folder whose headers say all about the checkpoint and its bases, without their weights."""
    return place(chain(session, checkpoint), storage.outline)


def based(folder: Path, base: Path) -> Path:
    """A folder like the adapter in `folder`, that names `base` as its base: itself, or a view of links beside it."""
    try:
        config = json.loads((folder / ADAPTER).read_bytes())
    except (OSError, ValueError):
        return folder  # whoever loads it says what is wrong
    if not isinstance(config, dict) or config.get(BASE) == str(base):
        return folder
    return _beside(folder, ADAPTER, json.dumps({**config, BASE: str(base)}))


def _beside(folder: Path, name: str, text: str) -> Path:
    """A view of the folder, made of links, in which the file `name` holds `text`. The folder itself is not touched."""
    named = hashlib.sha256(f"{folder}\n{name}\n{text}".encode()).hexdigest()[:40]
    views = get_settings().data.absolute() / "views"
    view = views / named / folder.name
    if view.exists():
        with suppress(FileNotFoundError):  # just being forgotten by another process; it is made anew when asked for
            os.utime(view.parent)
        return view
    _make(view, folder, name, text)
    forget_views(views)
    return view


def forget_views(views: Path) -> None:
    """Remove the views of this machine that nobody has asked for in a month: they are made anew when they are."""
    for found in views.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - found.lstat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(found, ignore_errors=True)


def _make(view: Path, folder: Path, name: str, text: str) -> None:
    partial = view.parent.parent / f".{uuid.uuid4()}"
    (partial / view.name).mkdir(parents=True)
    try:
        for path in folder.iterdir():
            if path.name != name:
                (partial / view.name / path.name).symlink_to(path.absolute())
        (partial / view.name / name).write_text(text, encoding="utf-8")
        with suppress(OSError):  # another process has made the same one first
            partial.rename(view.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
