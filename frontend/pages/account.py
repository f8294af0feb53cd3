"""The own password, API tokens and sessions."""

from frontend.page import ANYBODY, Page, component

PAGE = Page(path="account", title="Your account", nav="", roles=ANYBODY, modules=("account",))


def build() -> None:
    """Draw the page."""
    component("account")
