"""The documentation is complete: what exists is written down, what is written down exists."""

import re
from pathlib import Path

from backend.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return name.upper() if name.endswith("_url") else f"PLUMBLINE_{name.upper()}"


def test_every_setting_is_documented() -> None:
    """docs/settings.md names exactly the settings that exist."""
    documented = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))

    assert documented == {variable(name) for name in Settings.model_fields}


def test_links_lead_somewhere() -> None:
    """Relative links and pictures of every page of the documentation exist."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    missing = [
        f"{page.relative_to(ROOT)} → {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert missing == []
