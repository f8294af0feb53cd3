"""Who gave away, deleted or changed what."""

from frontend.page import OWNERS, Page, component

PAGE = Page(path="audit", title="Audit log", nav="Team", tab="Audit", order=50, roles=OWNERS, modules=("audit",))


def build() -> None:
    """Draw the page."""
    component("audit")
