"""Whether this worker has been told to stop. Long tasks ask about once a second and bring their work to a halt."""

import mmap

# One byte shared with the processes that a prefork worker forks: set in the parent, seen in every child.
_flag = mmap.mmap(-1, 1)


def ask() -> None:
    """Afterwards `asked` is true here and in every process forked from this one. Safe in a signal handler."""
    _flag[0] = 1


def asked() -> bool:
    """True once the worker has got its first SIGTERM (or Ctrl-C)."""
    return _flag[0] == 1


def reset() -> None:
    """Afterwards `asked` is false again, for a worker that starts anew in the same process (tests)."""
    _flag[0] = 0
