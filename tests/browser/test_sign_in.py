"""Signing in, adding people, changing a password: in a real browser, with real passwords."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from backend.accounts import service as accounts
from backend.accounts.models import Role
from backend.db import transaction
from backend.projects import members
from backend.projects import service as projects
from tests.browser.conftest import SignIn, Web

pytestmark = pytest.mark.browser

ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example/",
    "/\t/evil.example/",
    "\\\\evil.example",
    "javascript:alert(1)",
    "/%2f/evil.example/..//evil.example",
    "/..//evil.example",
    "/sign-in",
    "data:text/html,x",
]


def person(name: str, role: Role = Role.researcher) -> str:
    with transaction() as session:
        user, password = accounts.add(session, name)
        members.join(session, projects.default(session).id, user, role)
        return password


def submit(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.fixture
def tab(clean: None, browser: Browser, web: Web) -> Iterator[Page]:
    """A browser of somebody who is signed out."""
    context = browser.new_context(base_url=web.address)
    page = context.new_page()
    yield page
    page.goto("about:blank")
    context.close()
    web.rest()


def test_sign_in_leads_to_where_one_wanted_to_go(tab: Page) -> None:
    """The address asked for, with its query, opens after signing in; signing out leads back."""
    password = person("rita")
    tab.goto("/objectives?q=ipo")
    submit(tab, "rita", password)

    tab.wait_for_url("**/objectives?q=ipo")
    tab.locator(".pl-user summary").click()
    tab.get_by_role("button", name="Sign out").click()
    tab.wait_for_url("**/sign-in")
    tab.goto("/objectives")
    tab.wait_for_url("**/sign-in?next=*")


def test_a_wrong_password_says_so_and_keeps_the_name(tab: Page) -> None:
    """The refusal is read out, the name stays, and nothing tells whether the name exists."""
    person("rita")
    tab.goto("/sign-in")
    submit(tab, "rita", "not this one")
    known = tab.get_by_role("alert").inner_text()
    expect(tab.get_by_label("Name")).to_have_value("rita")
    submit(tab, "nobody", "not this one")

    expect(tab.get_by_role("alert")).to_have_text(known)


@pytest.mark.parametrize("next_address", ELSEWHERE)
def test_next_never_leaves_the_site(tab: Page, next_address: str) -> None:
    """A link with a foreign `next` ends on this site, whatever its spelling."""
    password = person("rita")
    home = tab.context.new_page()
    home.goto("/sign-in")
    tab.goto("/sign-in")
    tab.evaluate("next => history.replaceState(null, '', '/sign-in?next=' + encodeURIComponent(next))", next_address)
    submit(tab, "rita", password)
    tab.wait_for_url(lambda url: "/sign-in" not in url)

    assert tab.evaluate("location.origin") == home.evaluate("location.origin")
    home.close()


def test_an_admin_adds_an_annotator_who_signs_in(sign_in: SignIn, browser: Browser, web: Web) -> None:
    """The password is shown once; with it the person signs in and sees an annotator's navigation."""
    admin = sign_in(Role.admin)
    admin.goto("/accounts")
    admin.get_by_role("button", name="Add a person").first.click()
    dialog = admin.get_by_role("dialog")
    dialog.get_by_label("Name").fill("anna")
    dialog.get_by_role("button", name="Add", exact=True).click()
    password = admin.locator(".pl-secret").inner_text()
    admin.get_by_role("button", name="Done").click()
    expect(admin.get_by_role("row", name="anna")).to_be_visible()
    assert password not in admin.content()

    context = browser.new_context(base_url=web.address)
    anna = context.new_page()
    anna.goto("/")
    submit(anna, "anna", password)
    expect(anna.get_by_role("navigation", name="Main").get_by_role("link", name="Label")).to_be_visible()
    expect(anna.get_by_role("link", name="Team")).to_have_count(0)
    anna.goto("about:blank")
    context.close()


def test_a_taken_name_is_said_at_its_field(sign_in: SignIn) -> None:
    """Adding somebody twice is refused beside the name, and nothing is lost from the form."""
    person("anna", Role.annotator)
    admin = sign_in(Role.admin)
    admin.goto("/accounts")
    admin.get_by_role("button", name="Add a person").first.click()
    admin.get_by_role("dialog").get_by_label("Name").fill("anna")
    admin.get_by_role("dialog").get_by_role("button", name="Add", exact=True).click()

    expect(admin.get_by_role("dialog").get_by_role("alert").first).to_contain_text("anna")
    expect(admin.get_by_role("dialog").get_by_label("Name")).to_have_value("anna")


def test_a_closed_account_is_out_at_once(sign_in: SignIn) -> None:
    """Closing somebody's account ends their open pages' rights with the next click."""
    other = sign_in(Role.researcher, "rita")
    other.goto("/objectives")
    other.wait_for_selector("article")
    admin = sign_in(Role.admin)
    admin.goto("/accounts")
    admin.get_by_role("row", name="rita").get_by_role("button", name="Close").click()
    admin.get_by_role("dialog").get_by_role("button", name="Close account").click()
    expect(admin.get_by_role("row", name="rita")).to_contain_text("closed")
    other.get_by_role("button", name="Details").first.click()

    other.wait_for_url("**/sign-in?next=*")


def test_a_token_is_shown_once_and_revoked(sign_in: SignIn) -> None:
    """The token works as a bearer until it is revoked; the page never shows it again."""
    page = sign_in(Role.researcher)
    page.goto("/account")
    page.get_by_label("Name of a new token").fill("nightly")
    page.get_by_role("button", name="Make a token").click()
    token = page.locator(".pl-secret").inner_text()
    page.get_by_role("button", name="Done").click()
    ask = """token => fetch("/api/v1/me", {headers: {Authorization: "Bearer " + token}, credentials: "omit"})
        .then((response) => response.status)"""
    assert page.evaluate(ask, token) == 200
    page.reload()
    row = page.get_by_role("row", name="nightly")
    row.get_by_role("button", name="Revoke").click()
    assert token not in page.content()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()

    expect(row).to_contain_text("revoked")
    assert page.evaluate(ask, token) == 401


def test_a_password_is_changed_and_both_fields_are_checked(tab: Page) -> None:
    """Too short and unequal are said at their field; afterwards only the new password opens."""
    old = person("rita")
    tab.goto("/account")
    submit(tab, "rita", old)
    fresh = "a longer one than before"
    tab.get_by_label("Present password").fill(old)
    tab.get_by_label("New password", exact=True).fill("short")
    tab.get_by_role("button", name="Change password").click()
    expect(tab.get_by_text("It needs ten characters or more.")).to_be_visible()
    tab.get_by_label("New password", exact=True).fill(fresh)
    tab.get_by_label("New password again").fill(fresh + "!")
    tab.get_by_role("button", name="Change password").click()
    expect(tab.get_by_text("The two are not the same.")).to_be_visible()
    tab.get_by_label("New password again").fill(fresh)
    tab.get_by_role("button", name="Change password").click()
    tab.wait_for_url("**/sign-in?next=%2Faccount")
    submit(tab, "rita", fresh)

    tab.wait_for_url("**/account")
