"""A process that does not outlive the one that started it: a pipe whose other end is closed, or dies, ends it."""

import os
import threading

CONTROL = "PLUMBLINE_CONTROL_FD"
"""The variable that names the reading end of the pipe to the process that is started."""


def die_with_parent() -> None:
    """Afterwards this process ends when its parent closes its end of the pipe, or dies; without a pipe it lives on."""
    number = os.environ.get(CONTROL)
    if number is None:
        return

    def watch(descriptor: int) -> None:
        while os.read(descriptor, 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, args=(int(number),), daemon=True).start()
