"""New task: the question, the guidelines, how many labels of whom, and what that will cost."""

from frontend.page import Page, component

PAGE = Page(
    path="new-task",
    title="New task",
    nav="Label",
    modules=(
        "new-task",
        "task-form",
        "task-aspects",
        "task-guidelines",
        "task-cost",
        "task-suggestions",
        "task-words",
        "tasks",
    ),
)


def build() -> None:
    """Draw the page."""
    component("new-task")
