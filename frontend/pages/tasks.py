"""Tasks: every question that is asked about a dataset, and how far it is."""

from frontend.page import Page, component

PAGE = Page(path="tasks", title="Tasks", nav="Label", tab="Tasks", order=20, modules=("tasks", "task-words"))


def build() -> None:
    """Draw the page."""
    component("tasks")
