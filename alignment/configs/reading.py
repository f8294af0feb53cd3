"""A configuration as plain values, out of YAML, JSON or a command line."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any, Final

import yaml

from alignment.configs.convert import NotConverted

LONGEST: Final = 100_000
_OPTION: Final = re.compile(r"--?[A-Za-z][\w.-]*(=.*)?", re.DOTALL)
_PROCESSES: Final = ("num_processes", "nproc_per_node", "nproc-per-node", "num_gpus")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Given:
    """The values of a configuration; from a command line also the program and the number of processes."""

    values: dict[str, Any]
    program: str = ""
    devices: int | None = None


class _Plain(yaml.SafeLoader):
    """YAML without references, which can say gigabytes in a few lines."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise NotConverted("The YAML refers to other parts of itself (*name).", "Write the values out.")
        return super().compose_node(parent, index)


def parsed(text: str) -> Given:
    """The values of a text.  Raises NotConverted."""
    if len(text) > LONGEST:
        raise NotConverted(f"The text is longer than {LONGEST:,} characters.", "Give the configuration alone.")
    bare = text.strip()
    if not bare:
        raise NotConverted("There is nothing to convert.", "Paste a configuration of TRL or LLaMA-Factory.")
    if re.search(r"(^|\s)--[A-Za-z]", bare) and not re.search(r"(?m)^\s*[\w.]+\s*:(\s|$)", bare):
        return _command_line(bare)
    try:
        found = json.loads(bare) if bare.startswith("{") else yaml.load(bare, _Plain)  # noqa: S506  (a SafeLoader)
    except NotConverted:
        raise
    except (json.JSONDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else getattr(error, "lineno", None)
        where = f" (line {line})" if line else ""
        raise NotConverted(f"This is neither YAML, JSON nor a command line{where}.", "Correct it.") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise NotConverted("The configuration holds no `name: value` lines.", "Paste the whole configuration.")
    return Given({name: _value(value) for name, value in found.items()})


def _command_line(text: str) -> Given:
    """`trl dpo --beta 0.1 …`, `accelerate launch --num_processes 2 dpo.py --beta=0.1 …`, or the options alone."""
    try:
        words = shlex.split(text.replace("\\\n", " ").replace("\\\r\n", " "), comments=True)
    except ValueError:
        raise NotConverted("The command line has an open quotation.", "Paste the whole command.") from None
    values: dict[str, Any] = {}
    program: list[str] = []
    name: str | None = None
    for word in words:
        if _OPTION.fullmatch(word):
            name, equals, value = word.lstrip("-").partition("=")
            values[name] = _value(value) if equals else True
            name = None if equals else name
        elif name is None or word.endswith(".py"):
            program.append(word)
            name = None
        elif values[name] is True:
            values[name] = _value(word)
        else:  # a list of words
            before = values[name]
            values[name] = [*(before if isinstance(before, list) else [before]), word]
    counted = next((values.pop(one) for one in _PROCESSES if isinstance(values.get(one), int)), None)
    return Given({name.replace("-", "_"): value for name, value in values.items()}, " ".join(program), counted)


def _value(value: Any) -> Any:
    """Numbers and truths that stand as texts: YAML takes 5e-7 for one, a command line everything."""
    if not isinstance(value, str):
        return value
    word = value.strip()
    if _NUMBER.fullmatch(word):
        return float(word) if re.search(r"[.eE]", word) else int(word)
    return {"true": True, "false": False, "none": None, "null": None}.get(word.lower(), value)
