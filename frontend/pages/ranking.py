"""The ranking of an evaluation's contestants, and what it explains."""

from frontend.page import Page, component

PAGE = Page(
    path="ranking", title="Ranking", nav="Evaluate", modules=("ranking", "evaluation-findings", "charts", "live")
)


def build() -> None:
    """Draw the page."""
    component("ranking")
