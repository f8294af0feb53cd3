"""Data from elsewhere, exports of labelling tools, pasted configurations and mixtures, as people meet them."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from backend.settings import get_settings
from tests import loop
from tests.browser.conftest import SignIn
from tests.checkpoints import make_llama
from workers.tasks import imports

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)


def export(tmp_path: Path) -> Path:
    """An Argilla export whose question has an answer that nobody here knows."""
    rows = [
        {"fields": {"prompt": f"Name color {n}.", "response_a": "Red.", "response_b": "Seven."}, "suggestions": [],
         "responses": [{"user_id": f"u{n % 2}", "status": "submitted", "values": {"better": {"value": answer}}}]}
        for n, answer in enumerate(["response_a", "neither", "response_b"])
    ]  # fmt: skip
    path = tmp_path / "argilla.json"
    path.write_text(json.dumps(rows))
    return path


def test_what_an_export_means_is_asked_and_then_imported(sign_in: SignIn, tmp_path: Path) -> None:
    """The import cannot start before the unknown answer has a meaning; then labels have their annotators."""
    page = sign_in()
    page.goto("/import")
    page.locator("#pl-file").set_input_files(export(tmp_path))
    expect(page.get_by_role("heading", name="What the export means")).to_be_visible()
    expect(page.get_by_role("button", name="Start import")).to_be_disabled()
    page.get_by_label("Prompt", exact=True).select_option("prompt")
    page.get_by_label("Responses, in order").select_option(["response_a", "response_b"])
    page.get_by_label("Question that decides").select_option("better")
    page.get_by_label("“neither” means").select_option("both_bad")
    page.get_by_role("button", name="Read the rows so").click()
    expect(page.get_by_text("“better” decides")).to_be_visible()
    page.get_by_role("button", name="Start import").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    imports.work()
    expect(page.get_by_text("3 items imported")).to_be_visible()


def test_files_of_the_server_are_chosen_from_a_list(
    sign_in: SignIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Allowed folders are shown, a file is used where it lies, and data imported before are told."""
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"prompt": "Hello?", "chosen": "Hi.", "rejected": "No."}))
    monkeypatch.setattr(get_settings(), "data_roots", (tmp_path,))
    page = sign_in()
    page.goto("/import?from=server")
    page.get_by_role("button", name="Open").click()
    page.get_by_role("button", name="Use", exact=True).click()
    page.get_by_role("button", name="Start import").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    imports.work()
    expect(page.get_by_text("1 item imported")).to_be_visible()

    page.goto("/import?from=server")
    page.get_by_role("button", name="Open").click()
    page.get_by_role("button", name="Use", exact=True).click()
    expect(page.get_by_text("Imported before")).to_be_visible()


def test_a_pasted_configuration_fills_the_form_and_data_are_mixed(sign_in: SignIn, tmp_path: Path) -> None:
    """What was assumed is shown before it is used; two datasets by weight pass the pre-flight."""
    loop.add_checkpoint(make_llama(tmp_path / "base", ["hello there"] * 50))
    loop.add_dataset()
    loop.add_dataset()
    page = sign_in()
    page.goto("/new-run")
    page.get_by_role("button", name="Paste a configuration").click()
    page.get_by_label("YAML, JSON or the command line").fill("beta: 0.3\nloss_type: sigmoid\nmax_steps: 2\nfoo: 1")
    page.get_by_role("button", name="Convert").click()
    expect(page.get_by_text("Ignored (1)")).to_be_visible()
    page.get_by_role("button", name="Use these settings").click()
    expect(page.get_by_text("beta: 0.3")).to_have_count(1)
    page.get_by_role("button", name="Mix in more data").click()
    page.get_by_text("Draw by weight").click()
    page.get_by_label("Weight 2").fill("3")
    expect(page.get_by_text("weight: 3.0")).to_have_count(1)
