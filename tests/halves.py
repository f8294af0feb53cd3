"""A plugin of pytest, `pytest -p tests.halves --claims FOLDER [--backwards] …`: two processes share all tests.

Each collects all of them. One goes through the files from the first, the other from the last, until they meet, and
whoever claims a file first runs it: however long the tests of an area take, both end together.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--claims", type=Path, help="An empty folder that both processes are given.")
    parser.addoption("--backwards", action="store_true", help="Begin with the last file.")


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run every test of the files that this process claims."""
    claims: Path | None = session.config.getoption("claims")
    if claims is None or session.testsfailed:
        return None
    mine = claimed(session.items, claims, backwards=session.config.getoption("backwards"))
    item = next(mine, None)
    while item is not None:
        following = next(mine, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


def claimed(items: Sequence[pytest.Item], claims: Path, *, backwards: bool) -> Iterator[pytest.Item]:
    """The tests of every file that nobody has claimed when its turn comes; claiming is making a file of its name."""
    files: dict[Path, list[pytest.Item]] = {}
    for one in items:
        files.setdefault(one.path, []).append(one)
    for path, tests in reversed(files.items()) if backwards else files.items():
        try:
            (claims / str(path).replace("/", "·")).touch(exist_ok=False)
        except FileExistsError:
            continue
        yield from tests
