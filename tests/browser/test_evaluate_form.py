"""The form of an evaluation in a real browser: a run with one checkpoint, and a checkpoint that goes meanwhile."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from tests import contest
from tests.browser.conftest import SignIn
from tests.browser.test_evaluation_pictures import shoot
from tests.checkpoints import make_llama

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)


def test_what_goes_while_the_form_is_open(sign_in: SignIn, clean: None, tmp_path: Path) -> None:
    """How many checkpoints of a run take part is told; one that is removed meanwhile is named, and the list is new."""
    made = contest.make(2)
    folder = make_llama(tmp_path / "weights", ["tea"])
    with transaction() as session:
        for row in session.scalars(select(Checkpoint)):
            place = tmp_path / str(row.id)
            place.symlink_to(folder)
            row.path, row.own_template = str(place), True
        session.get_one(Checkpoint, made.contestants[5]).removed_at = datetime.now(UTC)
        outside = Checkpoint(project_id=row.project_id, name="Outside", source=Source.outputs, path="outputs:Outside")
        outside.architecture, outside.parameters = "outputs", 0
        session.add(outside)
    page = sign_in()
    page.goto("/evaluate?new")
    expect(page.get_by_role("heading", name="Public benchmarks")).to_be_visible()
    run = page.get_by_label("Every checkpoint of a run")
    run.select_option(value=str(made.runs[0]))
    expect(page.get_by_text("3 checkpoints are left, each a point of the curve")).to_be_visible()
    run.select_option(value=str(made.runs[1]))
    expect(page.get_by_text("One checkpoint of this run is left")).to_be_visible()
    run.select_option("")
    for name in ("DPO, beta 0.1 10", "DPO, beta 0.1 20"):
        page.get_by_role("checkbox", name=name).check()
    page.get_by_role("button", name="Typed here").click()
    page.get_by_role("textbox", name="Prompts").fill("Why is tea green?")
    expect(page.get_by_role("button", name="Start evaluation")).to_be_enabled()
    for label, wrong in (("Temperature", "9"), ("Longest answer", "abc")):
        page.get_by_role("textbox", name=label).fill(wrong)
    expect(page.get_by_text("2 fields need a change first.")).to_be_visible()
    expect(page.get_by_text("Must be at most 2.", exact=True)).to_be_visible()
    expect(page.get_by_text("Must be a whole number.", exact=True)).to_be_visible()
    for label, right in (("Temperature", "1"), ("Longest answer", "20")):
        page.get_by_role("textbox", name=label).fill(right)
    expect(page.get_by_role("button", name="Start evaluation")).to_be_enabled()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("checkbox", name="Outside").check()
    expect(page.get_by_text("The imported outputs of “Outside” answer none of these prompts.")).to_be_visible()
    page.wait_for_timeout(1_000)
    expect(page.get_by_text("cannot take part any more")).to_have_count(0)
    assert sum("preflight" in url for url in asked) == 1  # it is there, so nothing is asked again
    page.get_by_role("checkbox", name="Outside").uncheck()
    expect(page.get_by_role("button", name="Start evaluation")).to_be_enabled()
    with transaction() as session:
        session.get_one(Checkpoint, made.contestants[2]).removed_at = datetime.now(UTC)
    page.get_by_role("button", name="Start evaluation").click()
    expect(page.get_by_text("“DPO, beta 0.1 20” cannot take part any more; the list is read anew.")).to_be_visible()
    expect(page.get_by_role("checkbox", name="DPO, beta 0.1 10")).to_be_checked()
    expect(page.get_by_role("checkbox", name="DPO, beta 0.1 20", checked=True)).to_have_count(0)
    shoot(page, "form")
