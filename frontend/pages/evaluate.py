"""Evaluate: every evaluation, and the form that starts one."""

from frontend.page import Page, component

PAGE = Page(
    path="evaluate", title="Evaluate", nav="Evaluate", tab="Evaluations", order=10,
    modules=("evaluate", "evaluate-form", "sampling", "form", "live"),
)  # fmt: skip


def build() -> None:
    """Draw the page."""
    component("evaluate")
