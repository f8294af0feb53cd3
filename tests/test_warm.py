"""Tests of how the tests start programs."""

import socket
import subprocess
import sys
from collections.abc import Callable

import pytest


def gone(_: socket.socket) -> None:
    """Killed before it said anything."""


def amid_its_order(one: socket.socket) -> None:
    """Killed while it said what to start."""
    socket.send_fds(one, [b"."], [0, 1, 2])
    one.sendall(b'{"command": ["python"')


@pytest.mark.parametrize("said", [gone, amid_its_order])
def test_who_is_killed_over_it_takes_nobody_along(
    warm: None, warm_place: str, said: Callable[[socket.socket], None]
) -> None:
    """Whoever is killed while asking for a program leaves the others theirs: workers are killed at any moment."""
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(warm_place)
        said(one)
    done = subprocess.run([sys.executable, "-c", "print('there')"], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "there\n"
