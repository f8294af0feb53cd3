"""Prompt checks: prompts of the project with what a good answer to each must keep."""

from frontend.page import RESEARCH, Page, component

PAGE = Page(
    path="prompt-checks",
    title="Prompt checks",
    nav="Evaluate",
    tab="Prompt checks",
    order=20,
    roles=RESEARCH,
    modules=("prompt-checks", "form", "live"),
)


def build() -> None:
    """Draw the page."""
    component("prompt-checks")
