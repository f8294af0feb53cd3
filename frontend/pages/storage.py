"""What the project keeps in the storage, and the rules by which it lets go what it no longer needs."""

from frontend.page import RESEARCH, Page, component

PAGE = Page(
    path="storage",
    title="Storage",
    nav="Team",
    tab="Storage",
    order=45,
    roles=RESEARCH,
    modules=("storage", "retention"),
)


def build() -> None:
    """Draw the page."""
    component("storage")
