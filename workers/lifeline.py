"""The lifeline: a pipe from the program that started this one; when it breaks, this process does not live on alone."""

import os
import signal
import threading
import time

VARIABLE = "PLUMBLINE_LIFELINE_FD"
GRACE_SECONDS = 30.0


def hold() -> None:
    """Afterwards this process ends itself when its parent is gone, however that one died.

    It gets a SIGTERM, as from a parent that stops in order; whatever of its session is left after the grace is
    killed. Without the variable (a container, a shell) nothing happens.
    """
    descriptor = os.environ.pop(VARIABLE, None)
    if descriptor is not None:
        os.set_inheritable(int(descriptor), False)
        threading.Thread(target=_watch, args=(int(descriptor),), name="lifeline", daemon=True).start()


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    if os.getsid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
