"""Results of another tool in a real browser: looked at, bad rows told, then read like any evaluation."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SignIn
from tests.browser.test_judge import shoot

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)
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
    expect(page.get_by_text("needs its df_gamed.csv")).to_be_visible()
    shoot(page, "imported")

    alone = [{"instruction": row["instruction"], "output": "Perhaps.", "generator": f"alone {HOSTILE}"} for row in rows]
    file.write_text(json.dumps(alone))
    page.goto("/evaluate")
    page.get_by_role("button", name="Import results").click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Keep 12 outputs as a contestant").click()
    page.wait_for_url("**/evaluate?new=1&checkpoints=*")
    expect(page.get_by_role("checkbox", name=f"alone {HOSTILE}")).to_be_checked()
    expect(page.get_by_role("button", name="Of imported outputs")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("checkbox", name="kind").check()
    expect(page.get_by_text("lack 1 of the 12 prompts")).to_be_visible()
    assert page.evaluate("window.pwned") is None
    shoot(page, "outputs")
