"""Home: the loop as a picture with live numbers, and where to go on."""

from frontend.page import EVERYONE, Page, component

PAGE = Page(path="", title="Home", nav="Home", roles=EVERYONE, modules=("home",))


def build() -> None:
    """Draw the page."""
    component("home")
