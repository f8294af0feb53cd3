"""`python -m alignment.training RUN_DIR`: run the spec.json of a folder; the exit code says how it ended."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from alignment.training.errors import TrainingError
from alignment.training.launch import seat
from alignment.training.run import run_folder
from alignment.training.stop import Stop, signals, watch_control_pipe


def main(arguments: list[str]) -> int:
    """Run the folder named by the only argument and return the exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m alignment.training RUN_DIR", file=sys.stderr)
        return 64
    stop = Stop()
    watch_control_pipe(stop)
    with signals(stop):
        try:
            run_folder(Path(arguments[0]).resolve(), stop=stop)
        except TrainingError as error:
            if error.exit_code == 1:
                traceback.print_exc()
            print(f"{error.title}: {error.detail} {error.remedy}", file=sys.stderr)
            if seat() is not None:  # one of several: it must not wait for the others, as an orderly end would
                sys.stderr.flush()
                os._exit(error.exit_code)
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
