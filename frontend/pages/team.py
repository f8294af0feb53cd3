"""The people of the workbench and their roles."""

from frontend.page import ADMINS, Page, component

PAGE = Page(path="team", title="Team", nav="Team", roles=ADMINS, modules=("team",))


def build() -> None:
    """Draw the page."""
    component("team")
