"""Runs: every training run, with state, data, checkpoint and main number."""

from frontend.page import Page, component

PAGE = Page(
    path="runs",
    title="Runs",
    nav="Runs",
    tab="Runs",
    order=100,
    modules=("runs", "run-state", "stylesheet", "charts", "format", "live"),
)


def build() -> None:
    """Draw the page."""
    component("runs")
