"""How a run is asked to stop: a signal, or the end of the control pipe that its worker holds open."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CONTROL = "PLUMBLINE_CONTROL_FD"


class Cancelled(Exception):
    """The run was asked to stop."""


class Stop:
    """A wish to stop that the loop looks at between batches."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ask(self) -> None:
        """Make the loop save and end at its next batch."""
        self._event.set()

    @property
    def asked(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled when asked; for the parts of a run that have nothing to save."""
        if self.asked:
            raise Cancelled


@contextmanager
def signals(stop: Stop) -> Iterator[None]:
    """SIGTERM and Ctrl-C ask for a stop while this is open; a second Ctrl-C ends the process at once."""

    def ask(number: int, _frame: object) -> None:
        if number == signal.SIGINT and stop.asked:
            raise KeyboardInterrupt
        stop.ask()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch_control_pipe(stop: Stop) -> None:
    """Ask for a stop when the pipe named by PLUMBLINE_CONTROL_FD ends: the worker that held it is gone."""
    number = os.environ.get(CONTROL)
    if number is None:
        return

    def watch(descriptor: int) -> None:
        with suppress(OSError):
            while os.read(descriptor, 1024):
                pass
        stop.ask()

    threading.Thread(target=watch, args=(int(number),), daemon=True, name="control-pipe").start()
