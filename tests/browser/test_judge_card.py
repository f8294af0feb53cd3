"""A judge's report card in a real browser: what follows from it in words, and every number with its n."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn
from tests.browser.test_judge import shoot
from tests.judged import Case, judged

pytestmark = pytest.mark.browser


def leaning(case: Case) -> float:
    """Likes the longer answer, and a little what stands first; says so with probabilities."""
    longer = case.longer == (case.luck < 0.8)
    first = not case.swapped
    return 0.8 if (longer or (first and case.luck > 0.9)) else 0.3


def test_the_report_card(sign_in: SignIn) -> None:
    """From the evaluation to its judge: sentences first, then habits, agreement, calibration and what it likes."""
    evaluation = judged(leaning, people=50)
    page: Page = sign_in("researcher")
    page.goto(f"/evaluation?id={evaluation}")
    page.get_by_role("link", name="Report card of this judge").click()

    expect(page.get_by_role("list", name="What follows")).to_contain_text("longer answer wins")
    habits = page.get_by_role("region", name="Habits")
    expect(habits.get_by_role("row", name="Same verdict in both side orders")).to_contain_text("80 matches")
    expect(page.get_by_role("region", name="Agreement with people")).to_contain_text("50 prompts")
    expect(page.get_by_role("region", name="Calibration")).to_contain_text("Expected calibration error")
    likes = page.get_by_role("region", name="What it likes")
    likes.scroll_into_view_if_needed()
    expect(likes.locator(".annotation", has_text="lists")).to_be_visible()
    shoot(page, "judge-card")

    page.get_by_role("button", name="All with these settings").click()
    expect(page).to_have_url(f"/judge?evaluation={evaluation}&judge=rules&scope=project")
    page.reload()
    expect(page.get_by_role("button", name="All with these settings")).to_have_attribute("aria-pressed", "true")
    page.goto("/judge")
    expect(page.get_by_text("Which judge?")).to_be_visible()


def test_what_the_report_says_beside_win_rates(sign_in: SignIn) -> None:
    """Whether one may stop, circles, the ranking at equal style, what more verdicts would do, and the way to them."""
    evaluation = judged(leaning, people=40, prompts=60, contestants=3)
    page: Page = sign_in("researcher")
    page.goto(f"/evaluation?id={evaluation}")

    expect(page.get_by_role("columnheader", name="Enough?").first).to_be_visible()
    expect(page.get_by_text("20 more: ±").first).to_be_visible()
    expect(page.get_by_text("Of 1 triple of contestants").first).to_be_visible()
    expect(page.get_by_role("table", name="Ranking at equal style").first).to_contain_text("Tuned again")
    shoot(page, "evaluation-further")
    page.get_by_role("link", name="Judge these next").click()
    expect(page).to_have_url(f"/compare?evaluation={evaluation}&order=telling")
    expect(page.get_by_text("Question").first).to_be_visible()
