"""Training elsewhere from a browser: launched, given a token, trained by a program that has nothing else, watched."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from backend.db import transaction
from backend.runs.models import Run
from backend.work import State
from tests import loop
from tests.browser.conftest import SignIn

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("warm")]
expect.set_options(timeout=45_000)
TRAINED_MS = 120_000
MINE = ("DATABASE_URL", "REDIS_URL", "PLUMBLINE_DATA")

Typed = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[Typed]:
    """Runs a command as somebody types it on another machine."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str) -> subprocess.Popen[bytes]:
        variable, program, *rest = shlex.split(command)
        assert program == "plumbline"
        name, _, value = variable.partition("=")
        environment = {known: kept for known, kept in os.environ.items() if known not in MINE}
        environment |= {name: value, "OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen([sys.executable, "-m", "plumbline", *rest], env=environment, cwd=tmp_path))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def connected() -> None:
    """Return once the program has told the server that it is there."""
    limit = time.monotonic() + TRAINED_MS / 1000
    while time.monotonic() < limit:
        with transaction() as session:
            if session.scalars(select(Run.state)).one() is not State.queued:
                return
        time.sleep(0.02)
    pytest.fail("The program did not report.")


def test_elsewhere(sign_in: SignIn, tmp_path: Path, typed: Typed) -> None:
    """The form's choice, the token shown once, the connection, the charts, and the end."""
    page = sign_in()
    loop.add_checkpoint(loop.tiny_checkpoint(tmp_path / "tiny"), "Tiny base")
    dataset = loop.add_dataset(name="Harbor pairs")
    page.goto(f"/new-run?dataset={dataset.id}")
    page.get_by_role("button", name="Quick try").click()
    page.get_by_role("textbox", name="Duration").fill("4")
    page.get_by_label("Examples per step").fill("4")
    page.get_by_role("button", name="Elsewhere").click()
    expect(page.get_by_role("button", name="Elsewhere")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("heading", name="Ready to launch")).to_be_visible()
    page.get_by_role("button", name="Launch run").click()

    page.wait_for_url("**/run?id=*")
    panel = page.get_by_label("Trained elsewhere")
    expect(panel.get_by_text("waiting for it")).to_be_visible()
    expect(page.get_by_label("Status").get_by_text("elsewhere")).to_be_visible()
    panel.get_by_role("button", name="Make a token").click()
    command = page.locator("dialog pre").inner_text()
    page.get_by_role("button", name="Done").click()
    expect(panel.get_by_text("plr_")).to_be_visible()
    expect(page.get_by_text(command)).to_have_count(0)

    process = typed(command)
    connected()
    process.send_signal(signal.SIGSTOP)  # so small a run may end before the page has asked again
    expect(panel.get_by_text("connected")).to_be_visible(timeout=TRAINED_MS)
    process.send_signal(signal.SIGCONT)
    expect(page.locator(".pl-run-chart").first).to_be_visible(timeout=TRAINED_MS)
    expect(page.get_by_label("Status").get_by_text("succeeded")).to_be_visible(timeout=TRAINED_MS)
    assert process.wait(60) == 0
    expect(page.get_by_role("link", name="Step 4")).to_be_visible()
    expect(panel).to_be_hidden(timeout=TRAINED_MS)
