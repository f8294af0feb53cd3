"""Renders chat templates in a process of its own, with limits of time and memory: templates come from strangers.

Rendering is that of transformers, in Jinja's immutable sandbox. The sandbox limits neither time nor memory, and a
template can wait for a dialogue of a certain kind before it misbehaves, so every dialogue is rendered apart:
`python -m alignment.rendering` reads jobs as lines of JSON and answers every dialogue of a job with a line.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Any

from alignment.apart import Apart, jobs, say
from alignment.turns import Message, Turn, Unwritable, turn

CPU_SECONDS = 5
CPU_SECONDS_EACH = 0.05  # of processor time for every dialogue of a job, on top
MEMORY_BYTES = 256 << 20
MEMORY_BYTES_EACH = 32  # for every byte of a job, on top
TOO_LONG = "the chat template does not come to an end"
TOO_MUCH = "the chat template takes too much memory"


class Unrenderable(ValueError):
    """A dialogue cannot become text: why, as a sentence without its full stop, and its place among those asked for."""

    def __init__(self, reason: str, index: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = index


class UnsupportedContent(Unrenderable):
    """A message holds something other than text."""


class TemplateRefused(Unrenderable):
    """The chat template cannot write a dialogue."""


class TemplateStopped(TemplateRefused):
    """The template was stopped because it took too much time or memory."""


@dataclass(frozen=True)
class Dialogue:
    """What is to be rendered: a prompt, answers to it, and whether the assistant's turn is opened."""

    prompt: Sequence[Message]
    answers: Sequence[Message] = ()
    opened: bool = True


class Renderer:
    """Renders in a process of its own. Threads take turns."""

    def __init__(self, cpu_seconds: float = CPU_SECONDS) -> None:
        self._cpu_seconds = cpu_seconds
        self._day: date | None = None
        self._process = Apart("alignment.rendering")
        self.start, self.close = self._process.start, self._process.close

    @property
    def pid(self) -> int | None:
        """The process that renders; None while there is none."""
        return self._process.pid

    @contextmanager
    def on(self, day: date) -> Iterator[None]:
        """Let templates that write the date write this one: a run that goes on tomorrow keeps its prompts."""
        before, self._day = self._day, day
        try:
            yield
        finally:
            self._day = before

    def render(self, template: str, names: Mapping[str, Any], dialogues: Sequence[Dialogue]) -> list[Turn]:
        """Every dialogue as text; `names` are what the template knows besides the messages.

        Raises TemplateRefused for the first dialogue that cannot be written, TemplateStopped at the limits.
        """
        asked = {"template": template, "names": dict(names), "dialogues": [asdict(one) for one in dialogues]}
        day = None if self._day is None else self._day.isoformat()
        seconds = self._cpu_seconds + CPU_SECONDS_EACH * len(dialogues)
        job = json.dumps({**asked, "cpu_seconds": seconds, "day": day}) + "\n"
        for _ in range(2):  # it may have gone because it was idle, or because somebody ended it
            found, code = self._process.ask(job.encode(), len(dialogues))
            if code is None:
                last = found[-1] if found else {}
                if "refused" in last:
                    raise (TemplateStopped if last["stopped"] else TemplateRefused)(last["refused"], len(found) - 1)
                return [Turn(**one) for one in found]
            if code == -signal.SIGXCPU:
                raise TemplateStopped(TOO_LONG, len(found))
            if code > 0:
                raise RuntimeError("the process that renders chat templates does not run")
        raise TemplateStopped(TOO_MUCH, len(found))


RENDERER = Renderer()


# ---- inside the process ---------------------------------------------------------------------------------------------


def render(template: str, names: Mapping[str, Any], messages: Sequence[Message], opened: bool) -> str:
    """The text of a dialogue, rendered here and now without limits.  Raises Unwritable."""
    from jinja2 import TemplateError, TemplateSyntaxError
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        rendered: Any = render_jinja_template(
            [[dict(message) for message in messages]], chat_template=template, add_generation_prompt=opened, **names
        )
    except TemplateSyntaxError as error:
        raise Unwritable(f"line {error.lineno} of the chat template: {_sentence(error)}") from error
    except TemplateError as error:
        raise Unwritable(f"the chat template refuses it: {_sentence(error)}") from error
    except MemoryError:
        raise
    except Exception as error:  # whatever a stranger's template calls may raise
        raise Unwritable(f"the chat template fails on it ({type(error).__name__})") from error
    return str(rendered[0][0])


def _sentence(error: Any) -> str:
    return " ".join(str(error.message).split())[:300].rstrip(". ")


def _answer(job: dict[str, Any], dialogue: dict[str, Any]) -> dict[str, Any]:
    def rendered(messages: Sequence[Message], opened: bool) -> str:
        return render(job["template"], job["names"], messages, opened)

    try:
        if not dialogue["opened"]:
            return Turn(rendered(dialogue["prompt"], False), [])._asdict()
        return turn(rendered, dialogue["prompt"], dialogue["answers"])._asdict()
    except Unwritable as error:
        return {"refused": str(error), "stopped": False}
    except MemoryError:
        return {"refused": TOO_MUCH, "stopped": True}


def _be_on(day: str | None) -> None:
    """Let the clock that templates are given (`strftime_now`) stand at this day; without one it goes on."""
    from transformers.utils import chat_template_utils

    class Standing(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Standing:
            return cls.fromisoformat(f"{day}T12:00:00").replace(tzinfo=tz)

    vars(chat_template_utils)["datetime"] = datetime if day is None else Standing


def size() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def limit(base: int, job_bytes: int, cpu_seconds: float) -> None:
    """Allow this process the memory beyond `base` bytes that a job of this size may need, and so much more time."""
    most = base + MEMORY_BYTES + MEMORY_BYTES_EACH * job_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    seconds = int(used + cpu_seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def main() -> int:
    """Answer jobs until the input ends or nothing comes for a while."""
    import transformers.utils.chat_template_utils  # noqa: F401  (before the limits: it is ours)

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    base = size()
    for line in jobs():
        job = json.loads(line)
        _be_on(job["day"])
        limit(base, len(line), job["cpu_seconds"])
        room = MEMORY_BYTES + MEMORY_BYTES_EACH * len(line)  # whoever asks has all answers at once
        for dialogue in job["dialogues"]:
            answer = _answer(job, dialogue)
            room -= sum(map(len, (answer.get("prompt", ""), *answer.get("responses", ()))))
            if room < 0:
                answer = {"refused": TOO_MUCH, "stopped": True}
            say(answer)
            if "refused" in answer:
                break
    return 0


if __name__ == "__main__":
    sys.exit(main())
