"""One task: progress, throughput, annotators, agreement, items and gold."""

from frontend.page import Page, component

PAGE = Page(
    path="task",
    title="Task",
    nav="Label",
    modules=(
        "task",
        "task-words",
        "task-progress",
        "task-items",
        "annotators",
        "annotators-agree",
        "annotator-labels",
        "charts",
        "tasks",
        "items",
    ),
)


def build() -> None:
    """Draw the page."""
    component("task")
