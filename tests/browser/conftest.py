"""The whole web program on a free port and real Chromium in front of it."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.db import transaction
from backend.deps import COOKIE
from plumbline.embedded import Embedded

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(playwright), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def address(servers: Embedded) -> Iterator[str]:
    """Where the pages and the API answer; one web server for the whole session, without workers."""
    from plumbline.asgi import create

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create(), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    limit = time.monotonic() + STARTS_WITHIN
    while not server.started:
        if not thread.is_alive() or time.monotonic() > limit:
            pytest.fail("The web server did not start.")
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def sign_in(clean: None, browser: Browser, address: str) -> Iterator[SignIn]:
    """Opens a browser of its own for a person of a role, signed in; no page may throw an error that nobody catches."""
    contexts, thrown = [], []

    def open_page(role: Role = Role.researcher, name: str | None = None, **context: object) -> Page:
        with transaction() as session:
            user = User(name=name or str(role), role=role, password_hash="-", active=True)
            session.add(user)
            session.flush()
            token = accounts.open_session(session, user)
        made = browser.new_context(base_url=address, **context)  # type: ignore[arg-type]
        made.set_default_timeout(15_000)
        made.add_cookies([{"name": COOKIE, "value": token, "url": address, "httpOnly": True, "sameSite": "Lax"}])
        contexts.append(made)
        page = made.new_page()
        page.on("pageerror", lambda error: thrown.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert thrown == []
