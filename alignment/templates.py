"""Tries a chat template before it is trusted: `python -m alignment.templates`, in a process of its own.

It reads `{template, tokens}` as JSON from its standard input and prints `{samples, warnings}` or `{problem}`. Rendering
is that of `alignment.rendering`, under the same limits.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

from alignment.rendering import CPU_SECONDS, limit, render, size
from alignment.turns import Unwritable, turn

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
    try:
        turn(partial(render, template, tokens), [QUESTION], [ANSWER])
    except Unwritable as error:
        found.append(f"Training refuses it: {error}.")
    else:
        if not whole.startswith(one):
            found.append(
                "A prompt is written differently once its answer follows: training takes the prompt that answers are "
                "generated from."
            )
    tail = whole.partition(ANSWER["content"])[2]
    if not any(token and token in tail for token in tokens.values()):
        found.append("No special token of the tokenizer ends an answer, so answers may not know where to end.")
    return found


def _render(template: str, tokens: dict[str, str], messages: list[dict[str, str]], *, opened: bool) -> str:
    try:
        return render(template, tokens, messages, opened)
    except Unwritable as error:
        sentence = str(error).removeprefix("the chat template refuses it: ")
        raise Refused(f"{sentence[:1].upper()}{sentence[1:]}.") from error


def template_of(folder: Path) -> str | None:
    """The chat template in a checkpoint's folder; None without one, or with several of which none is the default.

    Raises CheckpointRefused when the tokenizer's settings cannot be read.
    """
    from alignment.training.folder import TEMPLATE, read_json

    own, settings = folder / TEMPLATE, folder / "tokenizer_config.json"
    if own.exists():
        return own.read_text(encoding="utf-8", errors="replace")
    found = read_json(settings).get("chat_template") if settings.exists() else None
    if isinstance(found, list):
        named = (one for one in found if isinstance(one, dict) and one.get("name") == "default")
        found = next(named, {}).get("template")
    return found if isinstance(found, str) else None


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


def main() -> int:
    """The command line."""
    import transformers.utils.chat_template_utils  # noqa: F401  (before the limits: it is ours)

    given = sys.stdin.read()
    asked = json.loads(given)
    limit(size(), len(given), CPU_SECONDS)
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
