"""The Storage page and what it changes, seen by those who use it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import update

from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.retention.models import RetentionRules
from backend.settings import Settings
from backend.work import State, now
from tests import loop
from tests.backend.retention.conftest import World, write_weights
from tests.browser.conftest import SignIn
from tests.people import add_person
from workers.tasks import retention


@pytest.fixture
def world(clean: None, settings: Settings, tmp_path: Path) -> World:
    with transaction() as session:
        user = add_person(session, Role.researcher)
    return World(user, loop.add_checkpoint(write_weights(tmp_path / "base")), settings)


def test_rules_are_seen_before_they_are_set(sign_in: SignIn, world: World) -> None:
    """An owner sees what rules would remove, sets them, and later which rule took the weights of a checkpoint; what
    was pinned is still there."""
    pinned, free = world.run(State.failed, (0.1, 0.2))
    page = sign_in(Role.owner)
    page.goto(f"/checkpoint?id={pinned}")
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()

    page.goto("/storage")
    expect(page.get_by_role("row", name=re.compile("Checkpoints")).first).to_contain_text("200 B")
    days = page.get_by_label("Weights of failed and cancelled runs")
    days.fill("0")
    page.get_by_role("button", name="Show what would go").click()
    expect(page.get_by_text("Give a whole number")).to_be_visible()
    days.fill("7")
    page.get_by_role("button", name="Show what would go").click()
    expect(page.get_by_text("1 checkpoint of failed")).to_be_visible()
    expect(page.get_by_text("Step 2")).to_be_visible()
    page.get_by_role("button", name="Set the rules").click()
    page.get_by_role("dialog").get_by_role("button", name="Set the rules").click()
    expect(page.get_by_text("Applied next")).to_be_visible()
    page.reload()
    expect(days).to_have_value("7")

    with transaction() as session:
        session.execute(update(RetentionRules).values(due_at=now()))
    retention.work()
    page.goto(f"/checkpoint?id={free}")
    expect(page.get_by_role("alert")).to_contain_text("keep weights of failed and cancelled runs for 7 days")
    expect(page.get_by_role("button", name="Use as base")).to_have_attribute("aria-disabled", "true")
    with transaction() as session:
        assert session.get_one(Checkpoint, pinned).removed_at is None


def test_researchers_read_the_rules(sign_in: SignIn, world: World) -> None:
    """Who does not own the project sees its rules and what they would do, and cannot set them."""
    world.run(State.failed, (0.1,))
    page = sign_in(Role.researcher)
    page.goto("/storage")
    expect(page.get_by_label("Exports: keep (days)")).not_to_be_editable()
    expect(page.get_by_role("button", name="Show what would go")).to_be_visible()
    expect(page.get_by_role("button", name="Set the rules")).to_have_count(0)
    expect(page.get_by_text("All projects")).to_have_count(0)
