"""The project itself: its name, archiving and deleting it, making another."""

from frontend.page import OWNERS, Page, component

PAGE = Page(
    path="project", title="Project", nav="Team", tab="Project", order=20, roles=OWNERS, modules=("project", "projects")
)


def build() -> None:
    """Draw the page."""
    component("project")
