"""An evaluation as a grid: prompts by contestants, as many as there are."""

from frontend.page import Page, component

PAGE = Page(
    path="grid",
    title="Grid",
    nav="Evaluate",
    modules=("grid", "sheet", "stretches", "match-filter", "matches-data", "stylesheet", "live", "keys"),
)


def build() -> None:
    """Draw the page."""
    component("grid")
