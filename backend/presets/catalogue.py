"""The presets that come with the program, read once."""

from functools import lru_cache
from pathlib import Path

from alignment.presets import Presets, load

# A file of the program beside this room and no module of another: it is found by its place.
FILE = Path(__file__).resolve().parents[2] / "plumbline" / "presets" / "models.toml"


@lru_cache
def presets() -> Presets:
    """Models, recipes and data of `models.toml`."""
    return load(FILE)
