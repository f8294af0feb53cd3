"""Formulas of the catalogue in the browser: every command of LaTeX that they use is one that is drawn."""

import re
from pathlib import Path

import pytest

from alignment.objectives import CATALOGUE

ASSETS = Path(__file__).parents[2] / "frontend" / "assets"
SOURCE = (ASSETS / "formula-signs.js").read_text(encoding="utf-8")
STRUCTURE = {"frac", "tfrac", "dfrac", "sqrt", "left", "right", "begin", "end", "underbrace", "underline"}


def table(name: str) -> set[str]:
    """The commands that a table of the script names: keys of an object, or the words of a set."""
    found = re.search(rf"const {name} = (?:new Set\(\[(.*?)\]\)|{{(.*?)}});", SOURCE, re.DOTALL)
    assert found, name
    words, keys = found.groups()
    pattern = r'"(\w+)"' if words is not None else r"(?:^|[\s,{])(\w+):"
    return set(re.findall(pattern, words if words is not None else keys))


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_command_of_a_formula_is_drawn(name: str) -> None:
    """A command that the page does not know would stand in the formula as a word."""
    known = STRUCTURE.union(*map(table, ("LETTERS", "SIGNS", "WORDS", "SPACES", "SIZES", "FONTS", "ACCENTS")))
    objective = CATALOGUE[name]

    for text in (objective.formula, objective.logic):
        assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= known
        assert text.count("{") == text.count("}")
        assert len(re.findall(r"\\left(?![a-z])", text)) == len(re.findall(r"\\right(?![a-z])", text))
