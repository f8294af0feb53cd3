"""Whether a download fits on the disk, with room left for what else the program writes."""

from alignment.amounts import amount
from backend.checkpoints.hub_errors import Refused

RESERVE = 500 * 10**6  # for the database, logs and whatever else is written meanwhile
TIGHT = 5 * 10**9


def lacking(missing: int, free: int) -> Refused | None:
    """Why `missing` bytes cannot be stored where `free` are free; None when they can."""
    if missing + RESERVE <= free:
        return None
    return Refused(
        f"The model takes {amount(missing)}, {amount(RESERVE)} stay reserved, and {amount(free)} are free.",
        "Free some space on the disk of the data folder.",
    )


def doubt(missing: int, free: int) -> str | None:
    """What to think of before `missing` bytes are stored where `free` are free."""
    left = free - missing
    return f"Only {amount(left)} will be left on the disk; a run writes checkpoints too." if left < TIGHT else None
