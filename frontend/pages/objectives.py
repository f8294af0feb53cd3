"""The catalogue of objectives: each one's theory card, with a plot that follows its hyperparameters."""

from frontend.page import RESEARCH, Page, component

PAGE = Page(
    path="objectives",
    title="Objectives",
    nav="Objectives",
    roles=RESEARCH,
    modules=("objectives", "objective-card", "objective-curve", "charts", "form"),
)


def build() -> None:
    """Draw the page."""
    component("objectives")
