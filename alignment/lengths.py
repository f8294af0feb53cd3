"""How many tokens texts have for a checkpoint's tokenizer, counted by a process of its own: its file is a stranger's.

`python -m alignment.lengths` reads jobs as lines of JSON and answers each with a line.  What a chat template writes
around the texts is not counted.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from alignment.apart import Apart, jobs, say
from alignment.rendering import limit, size

TOKENIZER = "tokenizer.json"
CPU_SECONDS = 5.0


class Counter:
    """Counts in a process of its own, which stays a while for the next texts. Threads take turns."""

    def __init__(self) -> None:
        self._process = Apart("alignment.lengths")
        self.close = self._process.close

    @property
    def pid(self) -> int | None:
        """The process that counts; None while there is none."""
        return self._process.pid

    def count(self, checkpoint: Path, texts: Sequence[str]) -> list[int] | None:
        """Tokens of each text; None where the checkpoint's tokenizer has no file of its own kind, or cannot be used."""
        file = checkpoint / TOKENIZER
        if not file.is_file():
            return None
        job = json.dumps({"tokenizer": str(file.resolve()), "texts": list(texts)}) + "\n"
        for _ in range(2):  # it may have gone because it was idle, or because somebody ended it
            found, code = self._process.ask(job.encode(), 1)
            if code is None:
                counts: list[int] | None = found[0].get("counts")
                return counts
            if code > 0 or code == -signal.SIGXCPU:
                break
        return None


COUNTER = Counter()


# ---- inside the process ---------------------------------------------------------------------------------------------


def main() -> int:
    """Answer jobs until the input ends or nothing comes for a while."""
    from tokenizers import Tokenizer

    base = size()
    for line in jobs():
        job = json.loads(line)
        place = Path(job["tokenizer"])
        limit(base, len(line) + place.stat().st_size, CPU_SECONDS)
        try:
            found = Tokenizer.from_file(str(place)).encode_batch(job["texts"], add_special_tokens=False)
        except Exception:  # noqa: BLE001  (the library names nothing more exact)
            say({"refused": "the tokenizer cannot be used"})
        else:
            say({"counts": [len(one.ids) for one in found]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
