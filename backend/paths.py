"""Turning what somebody asks for into a path below a folder that an admin allows, and nothing else."""

import os
from collections.abc import Sequence
from pathlib import Path


class Outside(Exception):
    """The path lies below none of the folders, whether it exists or not."""


class Linked(Exception):
    """A part of the path is a symbolic link."""


def below(roots: Sequence[Path], asked: str) -> list[Path]:
    """Where `asked` (a whole path, or one relative to a root) would lie in each root, without links in it.

    Raises Outside, so that nothing can be learned about other folders; Linked.
    """
    if "\x00" in asked or any(part in ("..", "~") for part in Path(asked).parts):
        raise Outside
    found = []
    for root in roots:
        real_root = root.resolve()
        # A root itself may be reached through a link: the admin named it. Below it, no link is followed.
        plain = Path(os.path.normpath(real_root / _relative(root, asked)))
        if plain == real_root or not plain.is_relative_to(real_root):
            continue
        # os.path and not pathlib: its questions have an answer also for names too long and links in a circle.
        if os.path.realpath(plain) != str(plain):
            raise Linked
        found.append(plain)
    if not found:
        raise Outside
    return found


def _relative(root: Path, asked: str) -> Path:
    """`asked` relative to `root` where it lies below it as written, else as it is."""
    path = Path(asked)
    return path.relative_to(root) if path.is_absolute() and path.is_relative_to(root) else path
