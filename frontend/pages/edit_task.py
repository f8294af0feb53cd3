"""Edit task: the form of a new one, filled with what a task is."""

from frontend.page import Page, component
from frontend.pages.new_task import PAGE as NEW

PAGE = Page(path="edit-task", title="Edit task", nav="Label", modules=NEW.modules)


def build() -> None:
    """Draw the page."""
    component("new-task")
