"""One item: its texts, every label, its known answer, and its history."""

from frontend.page import Page, component

PAGE = Page(path="item", title="Item", nav="Data", modules=("item", "item-history", "item-value", "items", "tasks"))


def build() -> None:
    """Draw the page."""
    component("item")
