"""New run: the form drawn from the objective's and the run's schema, and what the run would take."""

from frontend.page import Page, component

PAGE = Page(
    path="new-run",
    title="New run",
    nav="Runs",
    modules=(
        "new-run",
        "new-run-kind",
        "new-run-preflight",
        "new-run-objective",
        "objective-card",
        "form",
        "formula",
        "run-state",
        "stylesheet",
    ),
)


def build() -> None:
    """Draw the page."""
    component("new-run")
