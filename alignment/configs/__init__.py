"""Configurations of other trainers (TRL, LLaMA-Factory) as a run spec, with what was understood and what was not."""

from __future__ import annotations

from alignment.configs import llama_factory, trl
from alignment.configs.convert import Converted, NotConverted
from alignment.configs.reading import parsed

__all__ = ["Converted", "NotConverted", "convert"]


def convert(text: str, devices: int = 1) -> Converted:
    """The run that a configuration describes, given as YAML, JSON or a command line.

    `devices` is how many processes it was meant for, when the text does not say.  Raises NotConverted naming what
    cannot be done here, above all an unknown loss.
    """
    given = parsed(text)
    of = llama_factory.convert if llama_factory.claims(given.values) else trl.convert
    return of(given, given.devices or devices)
