"""Secrets, the audit log and removing a person's data, as an admin and an owner meet them in the browser."""

import pytest
from playwright.sync_api import expect

from backend.accounts.models import Role
from backend.audit import service as audit
from backend.db import transaction
from backend.projects import service as projects
from tests.browser.conftest import SignIn
from tests.people import add_person

pytestmark = pytest.mark.browser

VALUE = "a-value-to-keep-0123456789"
MARKUP = "<img src=x onerror=alert(1)>"


def test_secrets(sign_in: SignIn) -> None:
    """An owner sets a secret; the page never holds its value again, and a researcher sees that it is there."""
    page = sign_in(Role.owner, "olga")
    page.goto("/secrets")
    page.get_by_role("button", name="Add a secret").first.click()
    page.get_by_label("Name").fill("judge-key")
    page.get_by_label("What it is").select_option("endpoint")
    page.get_by_label("Value").fill(VALUE)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_text("needs the endpoint's address")).to_be_visible()
    page.get_by_label("Address of the endpoint").fill("https://api.example.com/v1")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("cell", name="https://api.example.com:443")).to_be_visible()
    assert VALUE not in page.content()
    reader = sign_in(Role.researcher, "rosa")
    reader.goto("/secrets")
    expect(reader.get_by_text("judge-key")).to_be_visible()
    expect(reader.get_by_role("button", name="Replace")).to_have_count(0)


def test_audit_and_usage(sign_in: SignIn) -> None:
    """An owner reads and filters the log of the project, whatever text is in it; others are told that they may not."""
    page = sign_in(Role.owner, "olga")
    with transaction() as session:
        project = projects.default(session)
        for number in range(60):
            audit.record(session, None, project.id, "delete", "dataset", None, {"name": f"{MARKUP} {number}"})
        audit.record(session, None, project.id, "export", "checkpoint", None, {"kind": "merged"})
    page.goto("/audit")
    expect(page.get_by_text(f"{MARKUP} 59")).to_be_visible()
    page.get_by_role("button", name="Earlier").click()
    expect(page.get_by_text(f"{MARKUP} 0", exact=False).first).to_be_visible()
    page.get_by_label("Action").select_option("export")
    expect(page.get_by_role("row")).to_have_count(2)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    assert waiting.value.suggested_filename == "audit.csv"
    page.goto("/usage")
    expect(page.get_by_text("No run in this time")).to_be_visible()
    reader = sign_in(Role.researcher, "rosa")
    reader.goto("/audit")
    expect(reader.get_by_role("button", name="Download CSV")).to_have_count(0)


def test_removing_data(sign_in: SignIn) -> None:
    """An admin sees what there is of a person and what stays, types the name, and the person is nameless."""
    page = sign_in(Role.admin, "ada")
    with transaction() as session:
        add_person(session, Role.annotator, "mira")
    page.goto("/accounts")
    page.get_by_role("row", name="mira").get_by_role("button", name="Remove data").click()
    page.get_by_text("What stays").click()
    expect(page.get_by_text("backups made before now")).to_be_visible()
    page.get_by_role("button", name="Remove for good").click()
    expect(page.get_by_text("That is not the person's name.")).to_be_visible()
    page.get_by_label("Type mira to confirm").fill("mira")
    page.get_by_role("button", name="Remove for good").click()
    expect(page.get_by_role("cell", name="removed person 1", exact=True)).to_be_visible()
    page.goto("/account")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download your data").click()
    assert waiting.value.suggested_filename == "my-data.json"


def test_webhooks(sign_in: SignIn) -> None:
    """An owner adds a webhook and sees its secret once, sends a test, and stops it; a researcher is told who may."""
    page = sign_in(Role.owner, "olga")
    page.goto("/webhooks")
    page.get_by_role("button", name="Add a webhook").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("https://example.invalid/hook")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog.get_by_text("Choose at least one event.")).to_be_visible()
    dialog.get_by_label("run.succeeded").check()
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("whsec_")).to_be_visible()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("https://example.invalid/hook")).to_be_visible()
    assert "whsec_" not in page.content()
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("cell", name="webhook.test")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped", exact=True)).to_be_visible()
    reader = sign_in(Role.researcher, "rosa")
    reader.goto("/webhooks")
    expect(reader.get_by_role("button", name="Add a webhook")).to_have_count(0)
