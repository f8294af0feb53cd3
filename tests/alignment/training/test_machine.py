"""Sharing a machine: what the environment says stays, and a C library of another kind is left alone."""

import ctypes
import os

import pytest

from alignment.training import machine

NAMES = ("OMP_WAIT_POLICY", "MKL_DISABLE_FAST_MM", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES")


class Library:
    """A C library that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def mallopt(self, what: int, value: int) -> int:
        """Take it."""
        self.told.append((what, value))
        return 1


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, [(-8, 1)]),
        ({"MALLOC_ARENA_MAX": "4"}, []),
        ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}, []),
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "OMP_WAIT_POLICY": "active"}, [(-8, 1)]),
    ],
)
def test_what_the_environment_says_stays(
    said: dict[str, str], told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One heap for all threads, threads that sleep, products without buffers: each unless somebody chose otherwise."""
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what is set is taken back
        monkeypatch.delenv(name)
    for name, value in said.items():
        monkeypatch.setenv(name, value)

    machine.share()

    assert library.told == told
    assert os.environ["OMP_WAIT_POLICY"] == said.get("OMP_WAIT_POLICY", "passive")
    assert os.environ["MKL_DISABLE_FAST_MM"] == "1"


def test_a_library_that_cannot_be_told_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one without the function, nor none at all."""

    def none(_: object) -> object:
        raise OSError("statically linked")

    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    machine.share()
    monkeypatch.setattr(ctypes, "CDLL", none)
    machine.share()
