"""How much of a person's attention a walk through the pages needs: every action counted, by published times of people.

The keystroke-level model (Card, Moran and Newell 1980) gives an action its seconds: 1.35 to make up one's mind, 1.1 to
point, 0.2 to press a button of the mouse, 0.28 for a key. Reading goes at 238 words a minute (Brysbaert 2019).
Waiting for the machine is no attention.
"""

from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Locator, Page

MIND, POINT, PRESS, KEY = 1.35, 1.1, 0.2, 0.28
WORDS_A_SECOND = 238 / 60
CONSIDER = 3.0  # beyond reading, to weigh two answers


@dataclass
class Person:
    """Somebody at the page; `seconds` of attention by what it went to."""

    page: Page
    actions: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"handling": 0.0, "reading": 0.0, "judging": 0.0})

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def _handle(self, seconds: float) -> None:
        self.actions += 1
        self.seconds["handling"] += seconds

    def click(self, what: Locator) -> None:
        self._handle(MIND + POINT + PRESS)
        what.click()

    def type(self, where: Locator, text: str) -> None:
        self._handle(MIND + POINT + PRESS + KEY * len(text))
        where.fill(text)

    def choose(self, where: Locator, option: str | list[str]) -> None:
        """Options of a list: opened, found, pressed."""
        for _ in [option] if isinstance(option, str) else option:
            self._handle(MIND + 2 * (POINT + PRESS))
        where.select_option(option)

    def bring(self, where: Locator, path: Path) -> None:
        """A file, by the dialog of the system: opened, found by name, confirmed."""
        self._handle(2 * MIND + 3 * (POINT + PRESS))
        where.set_input_files(path)

    def read(self, what: Locator) -> None:
        """Somebody who has not seen it before reads all of it."""
        self.seconds["reading"] += len(what.inner_text().split()) / WORDS_A_SECOND

    def judge(self, pair: Locator, key: str) -> None:
        """Both answers and the prompt are read and weighed, and a key says which is better."""
        self.actions += 1
        self.seconds["judging"] += len(pair.inner_text().split()) / WORDS_A_SECOND + CONSIDER + KEY
        self.page.keyboard.press(key)
