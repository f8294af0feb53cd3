"""Evaluate: every evaluation, and the form that starts one."""

from frontend.page import Page, component

PAGE = Page(
    path="evaluate", title="Evaluate", nav="Evaluate", modules=("evaluate", "evaluate-form", "sampling", "form", "live")
)


def build() -> None:
    """Draw the page."""
    component("evaluate")
