"""A language model as the judge in a real browser: chosen in the form, trusted as far as the report says."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from backend.addresses import Allowance
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.projects import service as projects
from backend.settings import Settings
from tests.browser.conftest import SignIn
from tests.court import JUDGE, LONG, SHORT, Court, longer
from tests.endpoint import Habits, serving
from workers.answering import SHELF
from workers.tasks import evaluate

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("PLUMBLINE_SHOTS")


def shoot(page: Page, name: str) -> None:
    """Keep pictures when somebody wants to look at them."""
    if SHOTS:
        for scheme in ("light", "dark"):
            for width in (1280, 390):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 900})
                page.wait_for_timeout(500)
                page.screenshot(path=f"{SHOTS}/{name}-{scheme}-{width}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})


@pytest.fixture
def court(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Court]:
    monkeypatch.setattr(settings, "allowed_addresses", (Allowance.parse("127.0.0.1"),))
    with serving(Habits()) as habits:
        yield Court(habits)
    SHELF.clear()


def register(court: Court, *models: str) -> None:
    """Models of the court as endpoints."""
    with transaction() as session:
        project = projects.default(session).id
        for model in models:
            facts = {
                "base_url": court.habits.url,
                "model": model,
                "secret": None,
                "concurrency": 2,
                "timeout_seconds": 9,
            }
            row = Checkpoint(project_id=project, name=model, source=Source.endpoint, path=model, endpoint=facts)
            row.architecture, row.parameters = "endpoint", 0
            session.add(row)


def test_a_model_judges(sign_in: SignIn, court: Court) -> None:
    """Where no checkpoint fits the form says so; one is chosen and told what to ask; the report tells its faults."""
    page = sign_in()
    register(court, SHORT, LONG)
    page.goto("/evaluate?new")
    page.get_by_label("Judge", exact=True).select_option("Reward models")
    expect(page.get_by_text("There is no reward model yet")).to_be_visible()
    page.get_by_label("Judge", exact=True).select_option("A panel of judges")
    expect(page.get_by_role("group", name="Member")).to_have_count(2)  # the two kinds that could decide here
    expect(page.get_by_label("Judge", exact=True).nth(1)).to_have_value("llm")
    expect(page.get_by_label("Judge", exact=True).last).to_have_value("rules")
    page.get_by_label("Must match").fill("^Gladly, sir\\n(and)")
    shoot(page, "judge-panel")
    register(court, JUDGE)
    page.reload()
    page.get_by_label(SHORT).check()
    page.get_by_label(LONG).check()
    page.get_by_label("Prompts", exact=True).fill("\n".join(f"Number {number}?" for number in range(6)))
    page.get_by_label("Judge", exact=True).select_option("A language model")
    page.get_by_label("Model that judges").select_option(f"{JUDGE} (endpoint)")
    asked = page.get_by_label("What it is asked")
    template = asked.input_value()
    asked.fill("Which is better? {a}")
    expect(page.get_by_text("name {prompt}, {a} and {b} once each")).to_be_visible()
    asked.fill(template.replace("Compare two", "Kindly compare two"))
    expect(page.get_by_text("12, both side orders")).to_be_visible()
    page.get_by_label("Spend at most, tokens").fill("90000")
    expect(page.get_by_text("24 to endpoints")).to_be_visible()
    shoot(page, "judge-form")
    page.get_by_role("button", name="Start evaluation").click()
    page.wait_for_url("**/evaluation?id=*")

    court.verdict = judge
    evaluate.work()

    page.reload()
    expect(page.get_by_role("heading", name=f"Judged by {JUDGE}")).to_be_visible()
    expect(page.get_by_text("written in 24 requests")).to_be_visible()
    expect(page.get_by_text("90\N{THIN SPACE}000 tokens")).to_be_visible()
    facts = page.locator(".pl-eval-bias")
    expect(facts).to_contain_text("Same verdict in both side orders80")
    expect(facts).to_contain_text("The answer shown first won64")
    expect(facts).to_contain_text("Replies without a verdict1 of 12 verdicts")
    expect(facts).to_contain_text("Decided in one side order only1 match, left out")
    page.locator("summary", has_text="2 verdicts").first.click()
    expect(page.get_by_text("“Length decides.").first).to_be_visible()
    assert any("Kindly compare two" in question for question in court.questions)
    assert page.evaluate("window.pwned") is None
    shoot(page, "judge-report")


def judge(question: str) -> str:
    """Mostly length; once it sticks to the first answer, and once it says nothing."""
    if "Number 1?" in question:
        return "Length decides.\nA"
    if "Number 2?" in question and longer(question).endswith("B"):
        return "<img src=x onerror=window.pwned=1> I would rather not."
    return longer(question)


def test_an_endpoint_is_changed_and_deleted(sign_in: SignIn, court: Court) -> None:
    """Its page changes it after a try, refuses what is wrong at its field, and deletes it after a question."""
    register(court, JUDGE)
    page = sign_in()
    page.goto("/checkpoints")
    page.get_by_role("link", name=JUDGE).click()
    page.get_by_role("button", name="Change").click()
    page.get_by_label("Model").fill("unheard-of")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("does not list")).to_be_visible()
    page.get_by_label("Model").fill(LONG)
    page.get_by_label("Name").fill("A new name")
    shoot(page, "endpoint-change")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("A new name").first).to_be_visible()
    expect(page.locator("dd", has_text=LONG)).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/checkpoints")
    expect(page.get_by_text("No checkpoint yet")).to_be_visible()
