"""One run, live: progress, charts, samples, log, what went wrong, and the checkpoints it made."""

from frontend.page import Page, component

PAGE = Page(
    path="run",
    title="Run",
    nav="Runs",
    modules=(
        "run",
        "run-charts",
        "run-computing",
        "run-events",
        "run-forgetting",
        "run-products",
        "run-regressions",
        "run-state",
        "stylesheet",
        "charts",
        "live",
    ),
)


def build() -> None:
    """Draw the page."""
    component("run")
