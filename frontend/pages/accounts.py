"""The accounts of the whole instance, for its admins."""

from frontend.page import ADMINS, Page, component

PAGE = Page(
    path="accounts", title="Accounts", nav="Team", tab="Accounts", order=90, roles=ADMINS, modules=("accounts", "team")
)


def build() -> None:
    """Draw the page."""
    component("accounts")
