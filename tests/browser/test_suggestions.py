"""Suggestions in a real browser: a lead lets a checkpoint suggest, people see it marked, and the label says so."""

from pathlib import Path

import pytest
import torch
from playwright.sync_api import expect
from sqlalchemy import select

from backend.accounts.models import Role
from backend.addresses import Allowance
from backend.db import transaction
from backend.settings import Settings
from backend.suggestions.models import Suggestion
from backend.tasks.models import Order, Task
from tests import loop
from tests.browser.conftest import SignIn, Web
from tests.browser.labelling import add_task, numbered, open_card, wait_for_labels
from tests.court import JUDGE, Court
from tests.endpoint import Habits, serving
from workers.tasks import suggest


def test_a_checkpoint_suggests_from_start_to_label(sign_in: SignIn, tmp_path: Path) -> None:
    """Off at first; what is missing is said at its field; progress, result, switches; on a phone in the dark; the card
    shows the suggestion, Enter takes it, the label is marked; removed, nothing is left."""
    torch.set_num_threads(1)
    loop.add_checkpoint(loop.tiny_checkpoint(tmp_path / "before", seed=0), "Before")
    loop.add_checkpoint(loop.tiny_checkpoint(tmp_path / "trained", seed=1), "Trained")
    task = add_task(numbered(3), {})
    lead = sign_in(Role.researcher, "lead")
    lead.goto(f"/edit-task?id={task}")
    panel = lead.get_by_role("region", name="Suggestions")
    expect(panel.get_by_text("Nothing is suggested yet.")).to_be_visible()
    expect(panel.get_by_label("Show suggestions on the cards")).not_to_be_checked()

    panel.get_by_role("button", name="Choose who suggests").click()
    panel.get_by_label("A reward model").check()
    expect(panel).to_contain_text("No reward model is here.")
    panel.get_by_label("A trained checkpoint").check()
    panel.get_by_label("Checkpoint", exact=True).select_option("Trained")
    panel.get_by_role("button", name="Start suggesting").click()
    expect(panel).to_contain_text("“Trained” comes from no run here")
    panel.get_by_label("Reference", exact=True).select_option("Before")
    panel.get_by_role("button", name="Start suggesting").click()
    expect(panel).to_contain_text("Waits for a worker")
    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text("Cancelled before it started.")
    panel.get_by_role("button", name="Go on").click()
    expect(panel).to_contain_text("Waits for a worker")
    suggest.work()
    expect(panel).to_contain_text("Suggested: 3 by Implicit reward of a checkpoint: Trained.")
    panel.get_by_label("Show suggestions on the cards").check()
    expect(lead.get_by_text("Cards show suggestions")).to_be_visible()
    panel.get_by_label("Order of the items").select_option("Uncertain first")
    expect(lead.get_by_text("Order changed")).to_be_visible()
    with transaction() as session:
        row = session.get_one(Task, task)
        assert (row.order, row.assistance) == (Order.uncertainty, {"group_prompts": False, "suggest": True})
        least = session.scalars(select(Suggestion).order_by(Suggestion.margin).limit(1)).one()

    page = sign_in(Role.annotator, viewport={"width": 390, "height": 800}, color_scheme="dark")
    open_card(page, task=task)
    expect(page.locator(".pl-judge-suggestion")).to_contain_text("by Implicit reward of a checkpoint: Trained")
    page.keyboard.press("Enter")
    ((_, label),) = wait_for_labels(page, 1)
    assert (label.item_id, label.value) == (least.item_id, least.value)
    assert label.aided == {"value": least.value, "words": "Implicit reward of a checkpoint: Trained"}

    lead.set_viewport_size({"width": 390, "height": 800})
    lead.reload()
    panel.get_by_role("button", name="Remove suggestions").click()
    lead.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(panel.get_by_text("Nothing is suggested yet.")).to_be_visible()
    assert lead.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_judge_that_costs_money_is_limited(
    sign_in: SignIn, web: Web, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The panel tells the cost beforehand and takes a limit; at the limit it says so, and goes on with a higher one."""
    monkeypatch.setattr(settings, "allowed_addresses", (Allowance.parse("127.0.0.1"),))
    task = add_task(numbered(3), {})
    with serving(Habits()) as habits:
        court = Court(habits)
        lead = sign_in(Role.researcher, "lead")
        facts = {"name": "Judge", "model": JUDGE, "output_price": 1e6, "input_price": 0, "concurrency": 1}
        body = {"base_url": habits.url, **facts}
        made = lead.request.post("/api/v1/endpoints", data=body, headers={"origin": web.address})
        assert made.ok, made.text()
        habits.asked.clear()
        lead.goto(f"/edit-task?id={task}")
        panel = lead.get_by_role("region", name="Suggestions")
        panel.get_by_role("button", name="Choose who suggests").click()
        panel.get_by_label("A judge behind an endpoint").check()
        expect(panel).to_contain_text("6 to endpoints")
        panel.get_by_label("Spend at most, money").fill("1030")
        panel.get_by_role("button", name="Start suggesting").click()
        expect(panel).to_contain_text("Waits for a worker")
        suggest.work()
        expect(panel).to_contain_text("Stopped at its limit of 1,030.00 in money")
        expect(panel).to_contain_text("Limit: 1,030 in money.")
        panel.get_by_role("button", name="Go on").click()
        lead.get_by_role("dialog").get_by_label("Spend at most, money").fill("9999")
        lead.get_by_role("dialog").get_by_role("button", name="Go on").click()
        expect(panel).to_contain_text("Waits for a worker")
        suggest.work()
        expect(panel).to_contain_text("Suggested: 3 by A language model: Judge.")
        assert len(court.questions) == len(set(court.questions)) == 6
