"""The API's reference in the browser: drawn from the description of this very server, with nothing from outside."""

import re

import pytest
from playwright.sync_api import Page, Request, expect

from backend.accounts.models import Role
from tests.browser.conftest import SignIn

pytestmark = pytest.mark.browser
LOADS_WITHIN = 45_000  # milliseconds


def open_operation(page: Page, text: str) -> None:
    page.get_by_role("searchbox", name="Search operations").fill(text)
    page.locator("details.pl-operation > summary").first.click()


def test_every_operation_is_listed_with_its_example(sign_in: SignIn) -> None:
    """The summary, the fields with their types, and a request and an answer to copy; all from this server."""
    page = sign_in(Role.annotator)
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    page.goto("/reference")
    expect(page.get_by_role("heading", name="Datasets", exact=True)).to_be_visible(timeout=LOADS_WITHIN)
    assert page.locator("details.pl-operation").count() > 140
    open_operation(page, "post /runs launch queue")
    operation = page.locator("details.pl-operation[open]")
    expect(operation).to_contain_text("Freeze the data and queue a run")
    expect(operation.get_by_role("term").filter(has_text="checkpoint_id *")).to_contain_text("id")
    expect(operation.locator("pre").first).to_contain_text('"learning_rate": 0.000005')
    expect(operation.locator("pre").first).to_contain_text("Authorization: Bearer $PLUMBLINE_TOKEN")
    operation.locator("details.pl-model > summary", has_text="Duration").click()
    expect(operation.get_by_role("term").filter(has_text="epochs")).to_be_visible()
    operation.get_by_text("4XX").click()
    expect(operation.locator("pre", has_text="objective.beta").last).to_be_visible()
    server = re.match(r"http://[^/]+/", page.url)
    assert server is not None
    assert [url for url in asked if not url.startswith((server[0], "data:"))] == []


def test_an_operation_has_an_address(sign_in: SignIn) -> None:
    """A link opens what it names; the help and the menu lead to the page; nothing is wider than a phone."""
    page = sign_in(Role.researcher, viewport={"width": 390, "height": 800})
    page.goto("/reference#get-api-v1-runs-run-id-metrics")
    opened = page.locator("details.pl-operation[open]")
    expect(opened).to_have_count(1, timeout=LOADS_WITHIN)
    expect(opened).to_contain_text("/runs/{run_id}/metrics")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("?")
    expect(page.get_by_role("dialog").get_by_role("link", name="API reference")).to_be_visible()


def test_a_token_with_limits_is_made_and_ends(sign_in: SignIn) -> None:
    """The Account page asks for how long and for what, and its list says so."""
    page = sign_in(Role.researcher)
    page.goto("/account")
    page.get_by_label("Name of a new token").fill("nightly")
    page.get_by_label("For", exact=True).select_option("90 days")
    page.get_by_label("Use", exact=True).select_option("reading only")
    page.get_by_role("button", name="Make a token").click()
    expect(page.get_by_role("dialog")).to_contain_text("plb_")
    page.get_by_role("button", name="Done").click()
    row = page.get_by_role("row", name=re.compile("nightly"))
    expect(row).to_contain_text("reads only")
    expect(row.get_by_role("cell").nth(4)).to_contain_text(re.compile(r"\d{4}"))
