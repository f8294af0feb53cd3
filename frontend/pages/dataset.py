"""One dataset: what is in it, its snapshots, where it came from, and what can be done with it."""

from frontend.page import Page, component

PAGE = Page(path="dataset", title="Dataset", nav="Data", modules=("dataset", "items", "tasks"))


def build() -> None:
    """Draw the page."""
    component("dataset")
