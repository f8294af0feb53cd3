"""The own password, API tokens and sessions."""

from frontend.page import EVERYONE, Page, component

PAGE = Page(path="account", title="Your account", nav="", roles=EVERYONE, modules=("account",))


def build() -> None:
    """Draw the page."""
    component("account")
