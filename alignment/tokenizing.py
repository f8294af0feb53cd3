"""What a checkpoint's tokenizer says, asked in a process of its own: its file is a stranger's, and no torch is needed.

`python -m alignment.tokenizing` reads jobs as lines of JSON and answers each with a line.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.apart import Apart, jobs, say
from alignment.rendering import limit, size

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "tokenizer.json"
CPU_SECONDS = 5.0
MEMORY_TIMES = 16  # a tokenizer's own size in memory, in sizes of its file


class Tokenizing:
    """Asks in a process of its own, which stays a while for the next question. Threads take turns."""

    def __init__(self) -> None:
        self._process = Apart("alignment.tokenizing")
        self.close = self._process.close

    @property
    def pid(self) -> int | None:
        """The process; None while there is none."""
        return self._process.pid

    def counts(self, checkpoint: Path, texts: Sequence[str]) -> list[int] | None:
        """Tokens of each text, without what the tokenizer or a chat template would write around them.

        None where the checkpoint's tokenizer has no file of its own kind, or cannot be used.
        """
        found: list[int] | None = self._ask(checkpoint, texts=list(texts)).get("counts")
        return found

    def vocabulary(self, checkpoint: Path) -> str | None:
        """A hash of all tokens and their ids; None as for `counts`."""
        found: str | None = self._ask(checkpoint).get("vocabulary")
        return found

    def _ask(self, checkpoint: Path, **asked: Any) -> dict[str, Any]:
        file = checkpoint / FILE
        if not file.is_file():
            return {}
        job = json.dumps({"tokenizer": str(file.resolve()), **asked}) + "\n"
        for _ in range(2):  # it may have gone because it was idle, or because somebody ended it
            found, code = self._process.ask(job.encode(), 1)
            if code is None:
                return found[0]
            if code > 0 or code == -signal.SIGXCPU:
                break
        return {}


TOKENIZING = Tokenizing()


# ---- inside the process ---------------------------------------------------------------------------------------------


def _answer(tokenizer: Tokenizer, job: dict[str, Any]) -> dict[str, Any]:
    if "texts" in job:
        return {"counts": [len(one.ids) for one in tokenizer.encode_batch(job["texts"], add_special_tokens=False)]}
    tokens = sorted(tokenizer.get_vocab(with_added_tokens=True).items())
    return {"vocabulary": hashlib.sha256(json.dumps(tokens).encode()).hexdigest()}


def main() -> int:
    """Answer jobs until the input ends or nothing comes for a while."""
    from tokenizers import Tokenizer

    base = size()
    for line in jobs():
        job = json.loads(line)
        place = Path(job["tokenizer"])
        limit(base, len(line) + MEMORY_TIMES * place.stat().st_size, CPU_SECONDS)
        try:
            answer = _answer(Tokenizer.from_file(str(place)), job)
        except Exception:  # noqa: BLE001  (the library names nothing more exact)
            answer = {"refused": "the tokenizer cannot be used"}
        say(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
