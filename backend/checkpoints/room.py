"""Whether a download fits on the disk, with room left for what else the program writes."""

from backend.checkpoints.hub_errors import Refused

RESERVE = 512 << 20  # for the database, logs and whatever else is written meanwhile
TIGHT = 5 << 30


def lacking(missing: int, free: int) -> Refused | None:
    """Why `missing` bytes cannot be stored where `free` are free; None when they can."""
    if missing + RESERVE <= free:
        return None
    return Refused(
        f"The model takes {gib(missing)}, {gib(RESERVE)} stay reserved, and {gib(free)} are free.",
        "Free some space on the disk of the data folder.",
    )


def doubt(missing: int, free: int) -> str | None:
    """What to think of before `missing` bytes are stored where `free` are free."""
    left = free - missing
    return f"Only {gib(left)} will be left on the disk; a run writes checkpoints too." if left < TIGHT else None


def gib(size: int) -> str:
    """Bytes for people."""
    return f"{size / 2**30:,.1f} GiB"
