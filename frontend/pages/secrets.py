"""The secrets of the project: tokens of hubs and keys of endpoints."""

from frontend.page import RESEARCH, Page, component

PAGE = Page(path="secrets", title="Secrets", nav="Team", tab="Secrets", order=30, roles=RESEARCH, modules=("secrets",))


def build() -> None:
    """Draw the page."""
    component("secrets")
