"""The members of the project, their roles, and invitations."""

from frontend.page import RESEARCH, Page, component

PAGE = Page(path="team", title="Team", nav="Team", tab="Members", order=10, roles=RESEARCH, modules=("team",))


def build() -> None:
    """Draw the page."""
    component("team")
