"""How far the annotators of a dataset agree, and every label of one of them."""

from frontend.page import Page, component

PAGE = Page(
    path="agreement",
    title="Agreement",
    nav="Data",
    modules=("agreement", "annotators", "annotators-agree", "annotator-labels", "tasks"),
)


def build() -> None:
    """Draw the page."""
    component("agreement")
