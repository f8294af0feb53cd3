"""How long runs kept devices busy."""

from frontend.page import RESEARCH, Page, component

PAGE = Page(path="usage", title="Usage", nav="Team", tab="Usage", order=40, roles=RESEARCH, modules=("usage",))


def build() -> None:
    """Draw the page."""
    component("usage")
