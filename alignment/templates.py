"""Tries a chat template before it is trusted: `python -m alignment.templates`, in a process of its own.

It reads `{template, tokens}` as JSON from its standard input and prints `{samples, warnings}` or `{problem}`. Rendering
is that of transformers, in Jinja's immutable sandbox; the sandbox limits neither time nor memory, hence the process.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any, NamedTuple

CPU_SECONDS = 5
MEMORY_BYTES = 256 << 20
SHOWN = 4000

SYSTEM = {"role": "system", "content": "You answer in verse."}
QUESTION = {"role": "user", "content": "What is the sea?"}
ANSWER = {"role": "assistant", "content": "The sea is wide."}
AGAIN = {"role": "user", "content": "And the sky?"}


class Refused(ValueError):
    """The template cannot be used; the text is a sentence for people."""


class Tried(NamedTuple):
    """What a template makes of sample dialogues, and what is doubtful about it."""

    samples: list[dict[str, str]]
    warnings: list[str]


def attempt(template: str, tokens: dict[str, str]) -> Tried:
    """Render samples with the template.  Raises Refused."""
    one = _render(template, tokens, [QUESTION], opened=True)
    if QUESTION["content"] not in one:
        raise Refused("It leaves out what the user said.")
    whole = _render(template, tokens, [QUESTION, ANSWER], opened=False)
    if ANSWER["content"] not in whole:
        raise Refused("It leaves out what the assistant said.")
    several = _render(template, tokens, [QUESTION, ANSWER, AGAIN], opened=True)
    samples = [("A question, ready to be answered", one), ("With its answer", whole), ("A second turn", several)]
    warnings = [*_doubts(template, tokens, one, whole)]
    try:
        told = _render(template, tokens, [SYSTEM, QUESTION], opened=True)
        samples.append(("With a system message", told))
        if SYSTEM["content"] not in told:
            warnings.append("System messages are left out without a word.")
    except Refused as refused:
        warnings.append(f"Prompts with a system message are refused: {refused}")
    return Tried([{"title": title, "text": text[:SHOWN]} for title, text in samples], warnings)


def _doubts(template: str, tokens: dict[str, str], one: str, whole: str) -> list[str]:
    found = []
    if one == _render(template, tokens, [QUESTION], opened=False):
        found.append(
            "It does not open the assistant's turn (add_generation_prompt), so the model may go on as the user."
        )
    if not whole.startswith(one):
        found.append("A prompt is written differently once its answer follows: training refuses such a template.")
    tail = whole.partition(ANSWER["content"])[2]
    if not any(token and token in tail for token in tokens.values()):
        found.append("No special token of the tokenizer ends an answer, so answers may not know where to end.")
    return found


def _render(template: str, tokens: dict[str, str], messages: list[dict[str, str]], *, opened: bool) -> str:
    from jinja2 import TemplateError, TemplateSyntaxError
    from transformers.utils.chat_template_utils import render_jinja_template

    names: dict[str, Any] = dict(tokens)
    try:
        rendered: Any = render_jinja_template([messages], chat_template=template, add_generation_prompt=opened, **names)
    except TemplateSyntaxError as error:
        raise Refused(f"Line {error.lineno}: {str(error.message).rstrip('.')}.") from error
    except TemplateError as error:
        raise Refused(f"{str(error.message).rstrip('.')}.") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        raise Refused(f"It fails on a plain dialogue ({type(error).__name__}).") from error
    return str(rendered[0][0])


def special_tokens(folder: Path) -> dict[str, str]:
    """The special tokens by name that the tokenizer's settings in a folder state."""
    from alignment.training.folder import read_json

    found: dict[str, str] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        settings = read_json(folder / name) if (folder / name).exists() else {}
        for key, value in settings.items():
            content = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(content, str):
                found[key] = content
    return found


def _limit() -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_BYTES, size + MEMORY_BYTES))
    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, used + CPU_SECONDS))


def main() -> int:
    """The command line."""
    import transformers.utils.chat_template_utils  # noqa: F401  (before the limits: it is ours)

    asked = json.loads(sys.stdin.read())
    _limit()
    try:
        tried = attempt(asked["template"], asked["tokens"])
        print(json.dumps(tried._asdict()))
    except Refused as refused:
        print(json.dumps({"problem": str(refused)[:500]}))
    except MemoryError:
        print(json.dumps({"problem": "It takes too much memory for a dialogue of three lines."}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
