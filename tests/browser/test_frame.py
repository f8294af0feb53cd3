"""The frame in a real browser: every page clean under the content policy, theme, keys, help, lost connection."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request, Route, ViewportSize, expect

from backend.accounts.models import Role
from frontend.page import Page as PageOf
from frontend.page import discover
from tests.browser.conftest import SignIn, intercept

pytestmark = pytest.mark.browser

PAGES = [module.PAGE for module in discover()]
READY = ".pl-mount[data-mounted]:not([aria-busy])"
PHONE: dict[str, ViewportSize] = {"viewport": {"width": 390, "height": 780}}

# Afterwards what changes by and by has its last color and size.
SETTLED = """async () => {
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  const ending = document.getAnimations().filter((one) => one.effect.getComputedTiming().endTime !== Infinity);
  await Promise.allSettled(ending.map((one) => one.finished));
}"""
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


def is_noise(message: ConsoleMessage) -> bool:
    """What a page cannot help: an id that is missing in the address is answered 404 or 422."""
    return "Failed to load resource" in message.text and "/api/v1/" in message.location.get("url", "")


class Heard:
    """What a page says on the console, and whom it asks."""

    def __init__(self, tab: Page) -> None:
        self.said: list[str] = []
        self.hosts: set[str | None] = set()
        tab.on("console", self._say)
        tab.on("request", self._ask)

    def _say(self, message: ConsoleMessage) -> None:
        if not is_noise(message):
            self.said.append(f"{message.type}: {message.text}")

    def _ask(self, request: Request) -> None:
        if request.url.startswith("http"):
            self.hosts.add(urlsplit(request.url).hostname)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.address)
def test_every_page_is_clean(sign_in: SignIn, page: PageOf) -> None:
    """No page breaks the content policy, throws, asks another host, or is wider than a phone; text has AA contrast."""
    tab = sign_in(Role.admin, color_scheme="light")
    heard = Heard(tab)
    tab.goto(page.address)
    tab.wait_for_selector(READY)
    tab.wait_for_function("!document.querySelector('.pl-skeletons')")

    tab.evaluate(SETTLED)
    assert tab.evaluate(CONTRAST) == []
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    tab.evaluate(SETTLED)
    assert tab.evaluate(CONTRAST) == []
    tab.set_viewport_size(PHONE["viewport"])
    tab.evaluate(SETTLED)
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert heard.said == []
    assert heard.hosts == {"127.0.0.1"}


def home(sign_in: SignIn, **look: object) -> Page:
    tab = sign_in(Role.researcher, **look)
    tab.goto("/")
    tab.wait_for_selector(READY)
    return tab


def test_the_theme_is_chosen_and_kept(sign_in: SignIn) -> None:
    """The switch goes from the system's theme to light to dark; the choice outlives a reload and wins over Gradio's."""
    tab = home(sign_in, color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(background)

    tab.click("#pl-theme")
    tab.click("#pl-theme")

    assert tab.evaluate(background) != light
    tab.reload()
    tab.wait_for_selector(READY)
    assert tab.evaluate(background) != light
    assert tab.evaluate("document.body.classList.contains('dark')")
    expect(tab.locator("#pl-theme")).to_have_attribute("title", "Theme: dark")


def test_help_lists_keys_and_a_key_can_be_changed(sign_in: SignIn) -> None:
    """`?` opens the list; a changed key works at once and after a reload; Escape closes."""
    tab = home(sign_in)
    tab.keyboard.press("?")
    expect(tab.get_by_role("dialog")).to_contain_text("Keyboard shortcuts")
    tab.get_by_role("button", name="Change").first.click()
    tab.keyboard.press("h")
    tab.keyboard.press("Escape")
    expect(tab.get_by_role("dialog")).to_have_count(0)

    tab.reload()
    tab.wait_for_selector(READY)
    tab.keyboard.press("?")
    expect(tab.get_by_role("dialog")).to_have_count(0)
    tab.keyboard.press("h")
    expect(tab.get_by_role("dialog")).to_be_visible()


def test_keys_are_letters_inside_text_fields(sign_in: SignIn) -> None:
    """Typing a question mark into a field writes it."""
    tab = sign_in(Role.researcher)
    tab.goto("/objectives")
    search = tab.get_by_label("Search objectives")
    search.click()
    tab.keyboard.type("?")

    expect(search).to_have_value("?")
    expect(tab.get_by_role("dialog")).to_have_count(0)


def test_a_lost_connection_is_said_and_recovers(sign_in: SignIn) -> None:
    """While the server is out of reach a banner says so; when it answers again the page goes on by itself."""
    tab = home(sign_in)

    def refuse(route: Route) -> None:
        route.abort("connectionrefused")

    intercept(tab, "**/api/v1/**", refuse)
    banner = tab.locator("#pl-banner")
    expect(banner).to_contain_text("No connection", timeout=30_000)
    tab.unroute("**/api/v1/**")

    expect(banner).to_contain_text("Connected again", timeout=15_000)
    expect(banner).to_be_hidden(timeout=15_000)


def test_an_ended_session_leads_back_here(sign_in: SignIn) -> None:
    """A page whose session ended meanwhile goes to sign-in, and knows the address to come back to."""
    tab = sign_in(Role.researcher)
    tab.goto("/objectives?q=ipo")
    tab.wait_for_selector(READY)
    tab.context.clear_cookies()
    tab.get_by_role("button", name="Details").first.click()

    tab.wait_for_url("**/sign-in?next=*")
    assert "q%3Dipo" in tab.url


def test_the_menu_on_a_phone(sign_in: SignIn) -> None:
    """On a phone the navigation opens from a button that says whether it is open."""
    tab = home(sign_in, **PHONE)
    button = tab.get_by_role("button", name="Menu")
    expect(tab.get_by_role("link", name="Objectives")).to_be_hidden()
    button.click()

    expect(button).to_have_attribute("aria-expanded", "true")
    tab.get_by_role("link", name="Objectives").click()
    tab.wait_for_url("**/objectives")


def test_the_keyboard_reaches_everything_and_focus_is_seen(sign_in: SignIn) -> None:
    """Tab walks from the skip link through navigation and tools; what has the focus has an outline."""
    tab = home(sign_in)
    seen = []
    for _ in range(14):
        tab.keyboard.press("Tab")
        seen.append(
            tab.evaluate(
                "[document.activeElement.textContent.trim(), getComputedStyle(document.activeElement).outlineStyle]"
            )
        )

    names = [name for name, _ in seen]
    assert names[0] == "Skip to the page"
    assert {"Home", "Label", "Objectives", "?"} <= set(names)
    assert all(outline != "none" for _, outline in seen)
