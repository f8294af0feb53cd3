"""The report card of one judge: whether it keeps its word, agrees with people, and what it likes."""

from frontend.page import Page, component

PAGE = Page(path="judge", title="Judge", nav="Evaluate", modules=("judge", "charts", "interval", "live"))


def build() -> None:
    """Draw the page."""
    component("judge")
