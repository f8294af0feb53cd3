"""Import: choose a file, look how it will be read, watch it come in."""

from frontend.page import Page, component

PAGE = Page(path="import", title="Import data", nav="Data", modules=("import", "items"))


def build() -> None:
    """Draw the page."""
    component("import")
