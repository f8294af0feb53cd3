"""Checkpoints: the weights one can start from, compare and evaluate; and the way to register more."""

from frontend.page import Page, component

PAGE = Page(
    path="checkpoints",
    title="Checkpoints",
    nav="Runs",
    tab="Checkpoints",
    order=101,
    modules=(
        "checkpoints",
        "checkpoint-register",
        "checkpoint-hub",
        "checkpoint-endpoint",
        "checkpoint-template",
        "run-state",
        "stylesheet",
        "live",
    ),
)


def build() -> None:
    """Draw the page."""
    component("checkpoints")
