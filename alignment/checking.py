"""Answers looked at in a process of its own with limits: regular expressions, JSON schemas, and checks in Python.

A regular expression of a stranger can take for ever, and so can a check; nothing of either runs in the caller.
`python -m alignment.checking` reads jobs as lines of JSON, and answers every text of a job with a line: what each thing
that was asked gave, in order. A text that takes too long ends the process, is told as such, and the next one goes on.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from alignment.apart import Apart, jobs, say

CPU_SECONDS: Final = 0.5  # for one text and everything that is asked of it
WALL_SECONDS: Final = 10.0
MEMORY_BYTES: Final = 1 << 30
MOST_STOPS: Final = 3  # texts of one call that may take too long before the others are not looked at
TOO_LONG: Final = "Looking at an answer took too long or too much memory."
GIVEN_UP: Final = f"{MOST_STOPS} other answers took too long, so this one was not looked at."
BROKEN: Final = "The check “{name}” failed on an answer ({error})."

Look = Callable[[Any, str], float]
Looked = list[float] | str
"""What everything that was asked gave for one text (1 kept, 0 broken), or why it could not be told."""


class Checker:
    """Looks at texts in a process of its own. Threads take turns."""

    def __init__(self) -> None:
        self._process = Apart("alignment.checking")
        self.close = self._process.close

    def look(self, asked: Mapping[str, Any], texts: Sequence[tuple[Any, str]]) -> list[Looked]:
        """For each prompt with an answer what each thing asked gives: `patterns` (searched), `schema`, or `checks` by
        name from a `folder`, in this order."""
        found: list[Looked] = []
        stops = 0
        while len(found) < len(texts):
            if stops == MOST_STOPS:
                return found + [GIVEN_UP] * (len(texts) - len(found))
            rest = texts[len(found) :]
            told = self._process.ask(json.dumps({**asked, "texts": rest}).encode() + b"\n", len(rest))
            found += [one.get("gave", one.get("failed", TOO_LONG)) for one in told.answers]
            if len(told.answers) < len(rest):
                found.append(TOO_LONG)
                stops += 1
        return found


CHECKER = Checker()


# ---- inside the process ---------------------------------------------------------------------------------------------


def _pattern(pattern: str) -> Look:
    compiled = re.compile(pattern)
    return lambda _prompt, text: float(compiled.search(text) is not None)


def _schema(schema: Mapping[str, Any] | bool) -> Look:
    """Whether a text is JSON that fits; references lead nowhere outside of the schema."""
    from jsonschema.validators import validator_for
    from referencing import Registry

    kind = validator_for(schema)
    validator = kind(schema, registry=Registry())

    def fits(_prompt: Any, text: str) -> float:
        try:
            found = json.loads(text, parse_constant=_no_number)
        except (ValueError, RecursionError):
            return 0.0
        return float(validator.is_valid(found))

    return fits


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _installed(folder: str, name: str) -> Look:
    """The function `check(prompt, response)` of a file that an admin has installed."""
    from importlib.util import module_from_spec, spec_from_file_location

    made = spec_from_file_location(f"plumbline_check_{name}", Path(folder) / f"{name}.py")
    if made is None or made.loader is None:
        raise FileNotFoundError(name)
    module = module_from_spec(made)
    made.loader.exec_module(module)
    check: Callable[[Any, str], Any] = module.check

    def gave(prompt: Any, text: str) -> float:
        value = float(check(prompt, text))
        if not math.isfinite(value):
            raise ValueError("it gave no number")
        return value

    return gave


def _asked(job: Mapping[str, Any]) -> list[tuple[str, Look]]:
    found = [(pattern, _pattern(pattern)) for pattern in job.get("patterns", [])]
    if "schema" in job:
        found.append(("JSON schema", _schema(job["schema"])))
    return found + [(name, _installed(job["folder"], name)) for name in job.get("checks", [])]


def _answer(asked: Sequence[tuple[str, Look]], prompt: Any, text: str) -> dict[str, Any]:
    gave = []
    for name, look in asked:
        try:
            gave.append(look(prompt, text))
        except MemoryError:
            return {"failed": TOO_LONG}
        except Exception as error:  # noqa: BLE001  (code of others)
            return {"failed": BROKEN.format(name=name, error=type(error).__name__)}
    return {"gave": gave}


def _limit() -> None:
    """Give this process so much time from now on; at the end of it the kernel ends it, whatever runs."""
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)


def main() -> int:
    """Answer jobs until the input ends or nothing comes for a while."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for line in jobs():
        job = json.loads(line)
        for answer in _answers(job):
            say(answer)
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
    return 0


def _answers(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """An answer for every text; what checks print is none of them."""
    _limit()
    asked: list[tuple[str, Look]] = []
    failed = ""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            asked = _asked(job)
        except Exception as error:  # noqa: BLE001  (code of others)
            failed = f"What was asked of the answers cannot be used ({type(error).__name__})."
    for prompt, text in job["texts"]:
        _limit()
        with contextlib.redirect_stdout(io.StringIO()):
            answer = {"failed": failed} if failed else _answer(asked, prompt, text)
        yield answer


if __name__ == "__main__":
    sys.exit(main())
