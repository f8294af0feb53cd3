"""The webhooks of the project: where its events are told, and whether they arrived."""

from frontend.page import OWNERS, Page, component

PAGE = Page(
    path="webhooks", title="Webhooks", nav="Team", tab="Webhooks", order=35, roles=OWNERS, modules=("webhooks",)
)


def build() -> None:
    """Draw the page."""
    component("webhooks")
