"""The catalogue of objectives: formula, paper, needs, and a plot under each one's hyperparameters."""

from frontend.page import RESEARCH, Page, component

PAGE = Page(
    path="objectives",
    title="Objectives",
    nav="Objectives",
    roles=RESEARCH,
    modules=("objectives", "charts", "formula", "form"),
)


def build() -> None:
    """Draw the page."""
    component("objectives")
