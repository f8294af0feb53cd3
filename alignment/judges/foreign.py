"""Templates that were written for other judging programs, with their places called as they are here.

AlpacaEval writes {instruction}, {output_1} and {output_2}; MT-Bench and RewardBench {question}, {answer_a} and
{answer_b}; Arena-Hard {QUESTION}, {ANSWER_1} and {ANSWER_2}. MT-Bench keeps a template in JSON, its system
prompt beside it; AlpacaEval marks turns with <|im_start|>.
"""

import json
import re
from typing import Any

NAMES = {
    "prompt": ("prompt", "instruction", "question", "input", "conversation"),
    "a": ("a", "output_1", "answer_a", "answer_1", "response_a", "response_1", "completion_a"),
    "b": ("b", "output_2", "answer_b", "answer_2", "response_b", "response_2", "completion_b"),
}
_OURS = {name: place for place, names in NAMES.items() for name in names}
_FOREIGN = re.compile(r"\{(" + "|".join(sorted(_OURS, key=len, reverse=True)) + r")\}", re.IGNORECASE)
_TURN = re.compile(r"<\|im_start\|>\s*(?:system|user|assistant)[ \t]*\n?|<\|im_end\|>\s*")
_SPELLED = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def taken(text: str) -> str:
    """The template with {prompt}, {a} and {b} in the places of others' names; what stands between is kept.

    Of JSON it is the `prompt_template` (or `template`) after the `system_prompt`.  Where the template already has our
    three names nothing is changed.
    """
    if all(f"{{{place}}}" in text for place in NAMES):
        return text
    text = _TURN.sub("", _of_json(text))
    found = _FOREIGN.sub(lambda place: f"{{{_OURS[place[1].lower()]}}}", text)
    return _SPELLED.sub(r"{\1}", found).strip() if found != text else text


def _of_json(text: str) -> str:
    """The template that a file of MT-Bench holds; any other text as it stands."""
    try:
        found: Any = json.loads(text.strip().partition("\n")[0] if "\n{" in text.strip() else text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(found, dict):
        return text
    template = found.get("prompt_template", found.get("template"))
    system = found.get("system_prompt")
    if not isinstance(template, str):
        return text
    return f"{system}\n\n{template}" if isinstance(system, str) and system else template
