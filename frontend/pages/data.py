"""Data: the datasets of the project, and the imports that are under way."""

from frontend.page import Page, component

PAGE = Page(path="data", title="Data", nav="Data", modules=("data",))


def build() -> None:
    """Draw the page."""
    component("data")
