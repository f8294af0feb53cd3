"""Compare: the blind arena; with `?evaluation=` an evaluation's matches to judge, blind, one by one."""

from frontend.page import EVERYONE, Page, component

PAGE = Page(
    path="compare",
    title="Compare",
    nav="Compare",
    roles=EVERYONE,
    modules=(
        "compare",
        "arena",
        "arena-choice",
        "arena-composer",
        "arena-pool",
        "arena-reply",
        "arena-tally",
        "arena-view",
        "match-judge",
        "vote-scale",
        "label-dialogs",
        "label-rank",
        "label-scale",
        "label-words",
        "sides",
        "message",
        "diff",
        "keys",
    ),
)


def build() -> None:
    """Draw the page."""
    component("compare")
