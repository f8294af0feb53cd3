"""One checkpoint: what it is, where it comes from, and what has been done with it."""

from frontend.page import Page, component

PAGE = Page(
    path="checkpoint",
    title="Checkpoint",
    nav="Runs",
    modules=(
        "checkpoint",
        "checkpoint-template",
        "checkpoint-export",
        "checkpoint-push",
        "run-state",
        "stylesheet",
        "format",
    ),
)


def build() -> None:
    """Draw the page."""
    component("checkpoint")
