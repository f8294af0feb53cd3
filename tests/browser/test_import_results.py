"""Results of another tool in a real browser: looked at, bad rows told, then read like any evaluation."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SignIn
from tests.browser.test_judge import shoot

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=window.pwned=1>"


def test_results_become_an_evaluation(sign_in: SignIn, tmp_path: Path) -> None:
    """A file with a bad row is previewed as text, imported, and its report says who won."""
    rows = [
        {
            "instruction": f"{HOSTILE} {number}?",
            "output_1": "No.",
            "output_2": f"Yes, {HOSTILE}",
            "generator_1": "base",
            "generator_2": "kind",
            "annotator": "judge-x",
            "preference": 2 if number else 7,
        }
        for number in range(12)
    ]
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps(rows))
    page = sign_in()
    page.goto("/evaluate")
    page.get_by_role("button", name="Import results").click()
    page.get_by_label("File").set_input_files(file)
    expect(page.get_by_text("AlpacaEval annotations", exact=True)).to_be_visible()
    page.get_by_text("1 row left out").click()
    expect(page.get_by_text("Row 1: preference is not from 1 to 2.")).to_be_visible()
    shoot(page, "import-results")
    page.get_by_role("button", name="Import 11 matches").click()
    page.wait_for_url("**/evaluation?id=*")
    expect(page.get_by_text("imported, AlpacaEval annotations")).to_be_visible()
    expect(page.get_by_role("heading", name="Judged by judge-x (imported)")).to_be_visible()
    assert page.evaluate("window.pwned") is None
    shoot(page, "imported")
