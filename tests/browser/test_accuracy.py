"""A judge is measured on labelled pairs in a real browser: chosen, watched, read, and what is wrong is said."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SignIn
from tests.browser.test_judge import shoot
from tests.loop import add_dataset
from workers.tasks import accuracies

pytestmark = pytest.mark.browser


def test_a_judge_is_measured(sign_in: SignIn) -> None:
    """From the dataset's page to a number with its interval; a field that is wrong says so where it stands."""
    page = sign_in()
    dataset = add_dataset(12)
    page.goto(f"/dataset?id={dataset.id}")
    section = page.get_by_role("region", name="Accuracy on labelled pairs")
    expect(section.get_by_text("how often does it prefer what people preferred?")).to_be_visible()

    section.get_by_role("button", name="Measure a judge").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Judge", exact=True).select_option("Rules on words, patterns and length")
    form.get_by_label("Must match").fill("^Gladly, or (not")
    form.get_by_role("button", name="Measure", exact=True).click()
    expect(form.get_by_text("is no regular expression")).to_be_visible()
    shoot(page, "accuracy-form")
    form.get_by_label("Must match").fill("^Gladly!\n(friend|place)")
    form.get_by_role("button", name="Measure", exact=True).click()
    expect(form).to_be_hidden()
    expect(section.get_by_text("Waiting for a worker.")).to_be_visible()

    accuracies.work()

    expect(section.get_by_text("100 %").or_(section.get_by_text("100%")).first).to_be_visible(timeout=15_000)
    section.get_by_text("More about the verdicts").click()
    expect(section.get_by_text("Same verdict in both orders")).to_be_visible()
    shoot(page, "accuracy")
