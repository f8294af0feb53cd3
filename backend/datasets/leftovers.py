"""What a killed program left on the disk: parts of uploads and of snapshots that nobody will finish."""

import shutil
import time
from pathlib import Path

from backend.settings import Settings

OLD_SECONDS = 3600.0  # an upload that lives writes more often, a snapshot is done sooner


def remove(settings: Settings) -> int:
    """Remove unfinished uploads and snapshots that have not changed for an hour; returns how many."""
    found = [*settings.uploads.glob("*.part"), *settings.snapshots.glob(".writing-*")]
    old = [path for path in found if _age(path) > OLD_SECONDS]
    for path in old:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(old)


def _age(path: Path) -> float:
    """Seconds since the path, or anything directly in it, changed; 0 when it is gone by now."""
    try:
        times: list[float] = [inner.stat().st_mtime for inner in (path, *(path.iterdir() if path.is_dir() else ()))]
    except FileNotFoundError:
        return 0.0
    return time.time() - max(times)
