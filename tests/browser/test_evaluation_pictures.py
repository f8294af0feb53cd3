"""What an evaluation shows beside rates, in a real browser: meters, the forest plot, curves, ranking, trade-offs."""

import os

import pytest
from playwright.sync_api import Page, expect

from tests import contest
from tests.browser.conftest import SignIn

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("PLUMBLINE_SHOTS")


def shoot(page: Page, name: str) -> None:
    """Keep pictures when somebody wants to look at them."""
    if SHOTS:
        for scheme in ("light", "dark"):
            for width in (1280, 390):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 900})
                page.wait_for_timeout(600)
                page.screenshot(path=f"{SHOTS}/{name}-{scheme}-{width}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})


def test_the_evaluation_page(sign_in: SignIn, clean: None) -> None:
    """Meters stand beside the rates, each with its picture and its difference to the baseline."""
    made = contest.make()
    page = sign_in()
    page.goto(f"/evaluation?id={made.id}")
    meters = page.get_by_role("region", name="What the answers are like")
    expect(meters.get_by_role("columnheader", name="Self-BLEU")).to_be_visible()
    expect(meters.get_by_role("row")).to_have_count(7)
    expect(meters.locator(".pl-interval").first).to_be_visible()
    expect(meters.get_by_text("24 prompts")).to_be_visible()
    shoot(page, "evaluation")
