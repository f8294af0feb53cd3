"""A run is checked for regressions in a real browser: checks are written, the run is marked, and one sees on what."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from tests import loop
from tests.browser.conftest import SignIn
from tests.browser.test_judge import shoot
from tests.people import add_person
from workers.answering import SHELF
from workers.tasks import evaluate

pytestmark = pytest.mark.browser


def test_checks_and_the_mark_of_a_run(sign_in: SignIn, tmp_path: Path) -> None:
    """From an empty page of prompt checks to a run that got worse, its picture, and its mark in the list."""
    base, tuned = (
        loop.add_checkpoint(loop.tiny_checkpoint(tmp_path / name, seed=seed), f"The {name}")
        for seed, name in enumerate(("base", "tuned"))
    )
    with transaction() as session:
        user = add_person(session, Role.researcher)
    run = loop.add_run(user, base, loop.add_dataset(12), name="Kinder <b>answers</b>")
    with transaction() as session:
        row = session.get_one(Checkpoint, tuned.id)
        row.run_id, row.step, row.source = run.id, 4, Source.run
    page = sign_in()

    page.goto("/prompt-checks")
    expect(page.get_by_role("heading", name="No prompt checks yet")).to_be_visible()
    page.get_by_role("main").get_by_role("button", name="Add a check").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Prompt", exact=True).fill("Name the capital of <i>Peru</i>.")
    form.get_by_label("Must match").fill("Lima(")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form.get_by_text("is no regular expression")).to_be_visible()
    form.get_by_label("Must match").fill("[Ll]ima")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(form).to_be_hidden()
    expect(page.get_by_text("Name the capital of <i>Peru</i>.")).to_be_visible()
    expect(page.get_by_text("matches [Ll]ima")).to_be_visible()
    page.get_by_role("button", name="Import").click()
    lines = [
        f'{{"category": "Words", "prompt": "Say word {n}.", "expects": {{"rules": {{"min_words": 1}}}}}}'
        for n in range(30)
    ]
    form.get_by_label("JSON Lines").fill("\n".join([*lines, "no JSON"]))
    form.get_by_role("button", name="Import", exact=True).click()
    expect(form.get_by_text("Line 31: This is no JSON object.")).to_be_visible()
    form.get_by_role("button", name="Close", exact=True).last.click()
    expect(page.get_by_label("Category")).to_contain_text("Words (30)")
    shoot(page, "prompt-checks")

    page.goto(f"/run?id={run.id}")
    section = page.get_by_role("region", name="Regressions")
    section.get_by_role("button", name="Check for regressions").click()
    expect(form.get_by_text("Words 30 prompts · 30 with rules")).to_be_visible()
    for box in form.get_by_role("group", name="Prompt checks").get_by_role("checkbox").all():
        box.uncheck()
    expect(form.get_by_text("Tick a category")).to_be_visible()
    for box in form.get_by_role("group", name="Prompt checks").get_by_role("checkbox").all():
        box.check()
    form.get_by_label("Longest answer, in tokens").fill("4")
    shoot(page, "regressions-form")
    form.get_by_role("button", name="Check", exact=True).click()
    expect(form).to_be_hidden()
    expect(section.get_by_text("of 124 answers and verdicts")).to_be_visible()

    evaluate.work()
    SHELF.clear()

    expect(section.get_by_text("Cannot tell on").or_(section.get_by_text("Got worse on")).first).to_be_visible()
    expect(section.get_by_role("img", name="Changes against the base")).to_be_visible()
    expect(section.get_by_role("cell", name="Answers what it should")).to_be_visible()
    expect(section.get_by_text("Words: cannot tell (n = 30)")).to_be_visible()
    shoot(page, "regressions")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    page.goto("/runs")
    expect(page.get_by_text("cannot tell").or_(page.get_by_text("got worse")).first).to_be_visible()
    shoot(page, "runs-marked")
    page.goto(f"/new-run?from={run.id}")
    page.get_by_label("Check for regressions when it has succeeded").check()
    expect(page.get_by_role("group", name="Prompt checks")).to_be_visible()
