"""The exporter, which waits for the file `go` beside its order before it writes: a test needs the time."""

import sys
import time
from pathlib import Path
from typing import Any

from alignment.export import write
from workers import exporter


def main(arguments: list[str]) -> int:
    """The command line of the exporter."""
    go = Path(arguments[0]).with_name("go")
    honest = write._write_whole

    def patient(*given: Any) -> None:
        while not go.exists():
            time.sleep(0.05)
        honest(*given)

    write._write_whole = patient  # type: ignore[assignment]
    return exporter.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
