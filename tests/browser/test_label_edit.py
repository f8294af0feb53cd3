"""Edits, drafts and refusals in a real browser: what somebody wrote is never lost."""

import uuid

import pytest
from playwright.sync_api import expect
from sqlalchemy import select, update

from backend.accounts.models import Role
from backend.datasets.models import Item
from backend.db import transaction
from backend.work import now
from tests.browser.conftest import SignIn
from tests.browser.labelling import add_task, labels, numbered, open_card, prompt, shown, wait_for_labels

pytestmark = pytest.mark.browser


def test_an_edit_becomes_a_pair(sign_in: SignIn) -> None:
    """`e` and a letter edit a response; with the vote it becomes a response that is better than the edited one."""
    page = sign_in(Role.annotator)
    open_card(page, task=add_task(numbered(2), {"edits": True}))
    edited = shown(page)[1]
    page.keyboard.press("e")
    page.keyboard.press("b")
    page.keyboard.press("Control+End")
    page.keyboard.type(", and 1 more")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Your edit of B is sent with your answer.")).to_be_visible()
    prompt(page, "Question 0")
    page.keyboard.press("2")
    wait_for_labels(page, 2)

    with transaction() as session:
        (made,) = session.scalars(select(Item).where(Item.position > 1))
        assert {one["content"] for one in made.responses} == {f"{edited} 0", f"{edited} 0, and 1 more"}


def test_a_browser_closed_in_the_middle(sign_in: SignIn) -> None:
    """An edit that was being written, a rationale and ratings are there again, and nothing of it was sent."""
    aspects = [{"name": "help", "title": "Helpfulness"}]
    page = sign_in(Role.annotator)
    task = add_task(numbered(1), {"edits": True, "aspects": aspects})
    open_card(page, task=task)
    page.keyboard.press("4")
    page.keyboard.press("r")
    page.keyboard.type("Because")
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.keyboard.press("a")
    page.keyboard.press("Control+End")
    page.keyboard.type(" half a sent")
    page.close(run_before_unload=False)

    again = page.context.new_page()
    open_card(again, task=task)
    expect(again.get_by_text("Your edit of A is not finished.")).to_be_visible()
    expect(again.get_by_role("textbox", name="Rationale")).to_have_value("Because")
    expect(again.locator(".pl-rating[aria-pressed=true]")).to_have_text(["4"])
    again.keyboard.press("2")
    again.keyboard.press("1")  # the edit must be kept or discarded first
    area = again.get_by_role("textbox", name="Response A, edited")
    expect(area).to_have_value(f"{shown(again)[0]} 0 half a sent")
    assert labels() == []
    again.keyboard.type("ence")
    again.keyboard.press("Control+Enter")
    again.keyboard.press("1")
    found = wait_for_labels(again, 2)
    assert found[0][1].rationale == "Because"
    assert again.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('pl-draft')).length") == 0


def test_undo_brings_all_of_it_back(sign_in: SignIn) -> None:
    """The rationale and the edit of the last answer are on the card again, and the pair made of the edit is gone."""
    page = sign_in(Role.annotator)
    open_card(page, task=add_task(numbered(2), {"edits": True}))
    page.keyboard.press("r")
    page.keyboard.type("Why not")
    page.keyboard.press("Enter")
    page.keyboard.press("e")
    page.keyboard.press("a")
    page.keyboard.type("Edited: ")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("1")
    wait_for_labels(page, 2)
    page.reload()
    prompt(page, "Question 1")
    page.keyboard.press("u")
    prompt(page, "Question 0")
    expect(page.get_by_text("Your edit of A is sent with your answer.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Rationale")).to_have_value("Why not")
    with transaction() as session:
        (made,) = session.scalars(select(Item).where(Item.position > 1))
        assert made.withdrawn_at is not None


def test_a_withdrawn_item(sign_in: SignIn) -> None:
    """An answer given offline about what is withdrawn meanwhile is refused, told, and its words can be read; whoever
    has a card on the screen whose item is withdrawn is told so, and has it no more."""
    page = sign_in(Role.annotator)
    open_card(page, task=add_task(numbered(4), {"edits": True}))
    page.context.set_offline(True)
    page.keyboard.press("r")
    page.keyboard.type("A long and careful reason")
    page.keyboard.press("Enter")
    page.keyboard.press("1")
    prompt(page, "Question 1")
    page.keyboard.press("1")
    expect(page.get_by_text("2 answers wait for the connection")).to_be_visible()
    with transaction() as session:
        session.execute(update(Item).where(Item.position == 0).values(withdrawn_at=now()))
    page.context.set_offline(False)

    expect(page.get_by_text("One answer could not be saved")).to_be_visible()
    page.get_by_text("What you wrote").click()
    expect(page.get_by_text("A long and careful reason")).to_be_visible()
    assert [position for position, _ in wait_for_labels(page, 1)] == [1]
    prompt(page, "Question 2")
    page.context.set_offline(True)
    page.keyboard.press("1")
    expect(page.get_by_text("1 answer waits for the connection")).to_be_visible()
    expect(page.get_by_text("A long and careful reason")).to_be_visible()  # what was opened stays open
    page.context.set_offline(False)
    assert [position for position, _ in wait_for_labels(page, 2)] == [1, 2]
    prompt(page, "Question 3")
    with transaction() as session:
        session.execute(update(Item).where(Item.position == 3).values(withdrawn_at=now()))
    expect(page.get_by_text("That one was withdrawn meanwhile")).to_be_visible()
    expect(page.locator(".pl-pair-body")).to_have_count(0)


def test_enough_others_answered(sign_in: SignIn) -> None:
    """An answer that came late is kept, and the person is told."""
    task = add_task(numbered(12), {})
    one, two = sign_in(Role.annotator, "one"), sign_in(Role.annotator, f"two-{uuid.uuid4().hex[:4]}")
    open_card(one, task=task)
    one.context.set_offline(True)
    one.keyboard.press("1")
    with transaction() as session:
        from backend.labels.models import Lease

        session.execute(update(Lease).values(expires_at=now()))
    open_card(two, task=task)
    prompt(two, "Question 0")
    two.keyboard.press("2")
    wait_for_labels(two, 1)
    one.context.set_offline(False)
    expect(one.get_by_text("Your answer is kept, though enough others had answered meanwhile.")).to_be_visible()
    assert [label.surplus for _, label in wait_for_labels(one, 2)] == [False, True]
