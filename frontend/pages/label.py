"""Label: one card fills the page; without `?task=` (or a dataset's own task, `?dataset=`) the tasks to choose from."""

from frontend.page import EVERYONE, Page, component

PAGE = Page(
    path="label",
    title="Label",
    nav="Label",
    tab="Label",
    order=10,
    roles=EVERYONE,
    modules=(
        "label-card",
        "label-chooser",
        "label-controls",
        "label-scale",
        "label-rank",
        "label-aspects",
        "label-dialogs",
        "label-drafts",
        "label-notes",
        "label-states",
        "label-queue",
        "label-outbox",
        "label-history",
        "label-leases",
        "label-words",
        "vote-scale",
        "sides",
        "message",
        "diff",
        "keys",
        "format",
    ),
)


def build() -> None:
    """Draw the page."""
    component("label-card")
