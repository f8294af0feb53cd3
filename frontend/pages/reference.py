"""The API's reference: every operation with its fields and an example, drawn from the API's own description."""

from frontend.page import ANYBODY, Page, component

PAGE = Page(path="reference", title="API reference", nav="", roles=ANYBODY, modules=("reference",))


def build() -> None:
    """Draw the page."""
    component("reference")
