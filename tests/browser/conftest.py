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
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Playwright keeps an event loop in this thread, so it ends before other tests need one."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(playwright), args=["--no-sandbox"])
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


@pytest.fixture
def sign_in(clean: None, browser: Browser, web: Web) -> Iterator[SignIn]:
    """Opens a browser of its own for a person of a role, signed in; no page may throw an error that nobody catches."""
    contexts, thrown = [], []

    def open_page(role: Role = Role.researcher, name: str | None = None, **context: object) -> Page:
        with transaction() as session:
            user = add_person(session, role, name or str(role))
            token = accounts.open_session(session, user)
        made = browser.new_context(base_url=web.address, **context)  # type: ignore[arg-type]
        made.set_default_timeout(45_000)
        made.add_cookies([{"name": COOKIE, "value": token, "url": web.address, "httpOnly": True, "sameSite": "Lax"}])
        contexts.append(made)
        page = made.new_page()
        page.on("pageerror", lambda error: thrown.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            page.goto("about:blank")
        context.close()
    web.rest()
    assert thrown == []
