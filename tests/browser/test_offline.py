"""No page loads anything from elsewhere, and an offline server offers nothing that it would refuse."""

import re
import urllib.parse

import pytest
from playwright.sync_api import Page, Request, expect

from backend.accounts.models import Role
from backend.settings import Settings
from frontend.page import discover
from tests.browser.conftest import SignIn, Web

ELSEWHERE = re.compile(
    r"""<(?:link|script|img|iframe|source|base|form)\b[^>]*\b(?:href|src|action)\s*=\s*["']?(?:https?:)?//"""
)


@pytest.fixture
def offline(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "offline", True)


def test_pages_load_nothing_from_elsewhere(offline: None, sign_in: SignIn, web: Web) -> None:
    """Every page asks its own server alone: no script, style, font or picture of others, and no early connection to
    them. Browsers are told so too, by the policy that comes with each page; what each then asks is for the walk
    through all pages (`test_frame`)."""
    page = sign_in(Role.admin)
    asked: set[str] = set()
    failed: list[str] = []

    def see(request: Request) -> None:
        asked.add(urllib.parse.urlsplit(request.url)._replace(path="", query="", fragment="").geturl())

    page.on("request", see)
    page.on("console", lambda line: failed.append(line.text) if "Content Security Policy" in line.text else None)
    for address in ("/sign-in", "/invitation", *(module.PAGE.address for module in discover())):
        answer = page.request.get(address)
        assert not ELSEWHERE.search(answer.text()), (address, ELSEWHERE.search(answer.text()))
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        if address in ("/sign-in", "/invitation", "/checkpoints", "/import"):
            page.goto(address)
            page.wait_for_load_state("load")
    assert {one for one in asked if not one.startswith(("data:", "blob:", "about:"))} == {web.address}
    assert failed == []


def open_dialog(page: Page) -> None:
    page.goto("/checkpoints?register=&hub=a/b")


def test_hubs_are_not_offered(offline: None, sign_in: SignIn) -> None:
    """Where a model or data of a hub would be chosen it says Offline, and which setting switches hubs off."""
    page = sign_in(Role.researcher)
    page.goto("/import?from=hub")
    expect(page.get_by_role("heading", name="Offline")).to_be_visible()
    expect(page.get_by_text("PLUMBLINE_OFFLINE").first).to_be_visible()
    expect(page.locator(".pl-tools").get_by_text("Offline")).to_be_visible()
    open_dialog(page)
    expect(page.get_by_role("dialog").get_by_role("heading", name="Offline")).to_be_visible()
    expect(page.get_by_role("button", name="Look it up")).to_have_count(0)
