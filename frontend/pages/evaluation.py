"""One evaluation: how far it is, win rates with intervals, contestants, and its matches."""

from frontend.page import Page, component

PAGE = Page(
    path="evaluation",
    title="Evaluation",
    nav="Evaluate",
    modules=(
        "evaluation",
        "evaluation-report",
        "evaluation-findings",
        "evaluation-forest",
        "evaluation-matches",
        "evaluation-meters",
        "evaluation-training",
        "match-filter",
        "matches-data",
        "votes-export",
        "stylesheet",
        "charts",
        "live",
    ),
)


def build() -> None:
    """Draw the page."""
    component("evaluation")
