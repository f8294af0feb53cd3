"""The whole web program on a free port and real Chromium in front of it."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Route, sync_playwright
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.accounts import service as accounts
from backend.accounts.models import Role
from backend.db import transaction
from backend.deps import COOKIE
from plumbline.embedded import Embedded
from tests.people import add_person

INSTALLED = ("chromium", "chromium-browser", "google-chrome", "chrome")
STARTS_WITHIN = 60.0

SignIn = Callable[..., Page]


def chromium(playwright: Playwright) -> str:
    """Playwright's own browser, or one that the machine has. Missing: a skip, under CI a failure."""
    own = playwright.chromium.executable_path
    found = own if Path(own).exists() else next(filter(None, map(shutil.which, INSTALLED)), None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("There is no Chromium; under CI nothing is skipped.")
        pytest.skip("There is no Chromium; `make setup` gets one.")
    return found


class Counting:
    """The application, and how many requests it is answering; the database may be emptied only when it is none."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.open = app, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.open += scope["type"] == "http"
        try:
            await self.app(scope, receive, send)
        finally:
            self.open -= scope["type"] == "http"


class Web(NamedTuple):
    """A web server that runs: where, and what it is doing."""

    address: str
    counting: Counting

    def rest(self) -> None:
        """Afterwards every request that a closed browser has sent (leases given back) is answered."""
        calm = 0
        while calm < 4:
            time.sleep(0.05)
            calm = 0 if self.counting.open else calm + 1


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Playwright keeps an event loop in this thread, so it ends before other tests need one."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--process-per-site"]
        opened = playwright.chromium.launch(executable_path=chromium(playwright), args=options)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def web(servers: Embedded) -> Iterator[Web]:
    """Pages and API; one web server for the whole session, without workers."""
    from plumbline.asgi import create

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    counting = Counting(create())
    server = uvicorn.Server(uvicorn.Config(counting, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    limit = time.monotonic() + STARTS_WITHIN
    while not server.started:
        if not thread.is_alive() or time.monotonic() > limit:
            pytest.fail("The web server did not start.")
        time.sleep(0.05)
    yield Web(f"http://127.0.0.1:{port}", counting)
    server.should_exit = True
    thread.join(20)


class Kept(NamedTuple):
    """A browser of its own between tests: it knows nobody, but has read the scripts of the pages, which takes seconds.
    A page that nobody uses keeps what was read."""

    context: BrowserContext
    held: Page

    def forget(self, address: str) -> None:
        """Afterwards no page is open, and nothing is left of whom it was."""
        for page in self.context.pages:
            if page is not self.held:
                page.goto("about:blank")
                page.close()
        self.context.clear_cookies()
        self.context.set_offline(False)
        session = self.context.new_cdp_session(self.held)
        session.send("Storage.clearDataForOrigin", {"origin": address, "storageTypes": "local_storage,indexeddb"})
        session.detach()


@pytest.fixture(scope="package")
def kept(browser: Browser, web: Web) -> dict[str, list[Kept]]:
    """Browsers that tests have left, by their looks."""
    return {}


@pytest.fixture
def sign_in(clean: None, browser: Browser, web: Web, kept: dict[str, list[Kept]]) -> Iterator[SignIn]:
    """Opens a browser of its own for a person of a role, signed in; no page may throw an error that nobody catches.
    Whose clock is turned must be `alone`: a new one, that nobody uses afterwards."""
    used: list[tuple[str, Kept]] = []
    thrown: list[str] = []

    def opened(looks: dict[str, object]) -> Kept:
        made = browser.new_context(base_url=web.address, **looks)  # type: ignore[arg-type]
        made.set_default_timeout(45_000)
        held = made.new_page()
        held.goto("/sign-in")
        return Kept(made, held)

    def open_page(
        role: Role = Role.researcher, name: str | None = None, *, alone: bool = False, **looks: object
    ) -> Page:
        with transaction() as session:
            user = add_person(session, role, name or str(role))
            token = accounts.open_session(session, user)
        look = "alone" if alone else repr(sorted(looks.items()))
        known = kept.setdefault(look, [])
        found = known.pop() if known else opened(looks)
        used.append((look, found))
        cookie = {"name": COOKIE, "value": token, "url": web.address, "httpOnly": True, "sameSite": "Lax"}
        found.context.add_cookies([cookie])  # type: ignore[list-item]
        page = found.context.new_page()
        page.on("pageerror", lambda error: thrown.append(str(error)))
        return page

    yield open_page
    for look, one in used:
        one.forget(web.address)
        if look == "alone":
            one.context.close()
        else:
            kept[look].append(one)
    web.rest()
    assert thrown == []


def intercept(page: Page, pattern: str, handler: Callable[[Route], object]) -> None:
    """Afterwards the handler has each request of an open page that matches, the very next one too.

    A page that is busy hears only after a while that it is to ask, and sends meanwhile as before.
    """
    page.route(pattern, handler)
    page.route("**/intercepted", lambda route: route.fulfill(status=204))
    page.evaluate("async () => { while ((await fetch('/intercepted')).status !== 204); }")
    page.unroute("**/intercepted")
