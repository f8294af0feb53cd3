"""One match side by side: what differs, who judged how, and what two checkpoints think of each token."""

from frontend.page import Page, component

PAGE = Page(
    path="match",
    title="Match",
    nav="Evaluate",
    modules=(
        "match",
        "match-verdicts",
        "match-tokens",
        "match-filter",
        "sides",
        "message",
        "diff",
        "stylesheet",
        "keys",
    ),
)


def build() -> None:
    """Draw the page."""
    component("match")
