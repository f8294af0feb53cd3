"""Adjudicate: items that people disagree about, blind first, then the votes."""

from frontend.page import Page, component

PAGE = Page(
    path="adjudicate",
    title="Adjudicate",
    nav="Label",
    modules=(
        "adjudicate",
        "label-card",
        "label-controls",
        "label-scale",
        "label-rank",
        "label-words",
        "sides",
        "tasks",
    ),
)


def build() -> None:
    """Draw the page."""
    component("adjudicate")
