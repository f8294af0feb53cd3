"""Label: one pair fills the page; without `?dataset=` the datasets to choose from."""

from frontend.page import EVERYONE, Page, component

PAGE = Page(
    path="label",
    title="Label",
    nav="Label",
    roles=EVERYONE,
    modules=(
        "label-card",
        "label-chooser",
        "label-scale",
        "label-queue",
        "label-outbox",
        "pair",
        "diff",
        "keys",
        "format",
    ),
)


def build() -> None:
    """Draw the page."""
    component("label-card")
