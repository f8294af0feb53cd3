"""Data in a real browser: from a file to a dataset, its bad rows, searching, freezing; harmless whatever the text."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn
from tests.browser.labelling import add_task, answered, numbered
from workers.tasks import imports

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)

HOSTILE = '<img src="/nowhere" onerror="window.pwned = 1"><script>window.pwned = 2</script>'


def write_rows(path: Path, count: int = 60) -> Path:
    """A file with good rows, three bad ones and a double; text that tries to be markup."""
    rows = [
        json.dumps({"prompt": f"Question {n}?", "chosen": f"Kind answer {n}", "rejected": f"Rude {n}"})
        for n in range(count)
    ]
    hostile = json.dumps({"prompt": HOSTILE, "chosen": f"{HOSTILE} a", "rejected": f"{HOSTILE} b", HOSTILE: HOSTILE})
    bad = [json.dumps({"prompt": HOSTILE, "chosen": HOSTILE, "rejected": HOSTILE}), '{"prompt": "cut', "[1]"]
    path.write_text("\n".join([hostile, *rows[:20], *bad, *rows[20:], rows[0]]) + "\n")
    return path


def choose(page: Page, path: Path) -> None:
    page.goto("/import")
    page.locator("#pl-file").set_input_files(path)
    expect(page.get_by_role("heading", name="The first rows, as they will be")).to_be_visible()


def test_a_file_becomes_a_dataset(sign_in: SignIn, tmp_path: Path) -> None:
    """From an empty page to a searchable dataset with a snapshot; bad rows are told, text stays text."""
    page = sign_in()
    page.goto("/data")
    expect(page.get_by_text("No data yet")).to_be_visible()
    page.keyboard.press("i")
    page.wait_for_url("**/import")

    choose(page, write_rows(tmp_path / "my_pairs.jsonl"))
    expect(page.get_by_text("TRL explicit")).to_be_visible()
    expect(page.get_by_text("3 problems")).to_be_visible()
    expect(page.get_by_label("Name of the dataset")).to_have_value("my pairs")
    page.get_by_role("button", name="Start import").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    imports.work()
    expect(page.get_by_text("61 items imported")).to_be_visible()
    expect(page.get_by_text("3 bad rows left out, 1 double skipped")).to_be_visible()
    expect(page.get_by_role("cell", name="The row ends in the middle: its JSON is cut off.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("61 items imported")).to_be_visible()

    page.get_by_role("button", name="Open the dataset").click()
    expect(page.locator("#pl-title")).to_have_text("my pairs")
    page.get_by_label("Search items").fill("kind answer 41")
    expect(page.locator(".pl-item")).to_have_count(1)
    expect(page.locator(".pl-item-response.best")).to_contain_text("Kind answer 41")
    page.get_by_label("Search items").fill("onerror")
    expect(page.locator(".pl-item-prompt")).to_contain_text(HOSTILE)
    page.get_by_role("button", name="Freeze now").click()
    page.get_by_role("dialog").get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_role("table", name="Snapshots").locator("tbody tr")).to_have_count(1)
    assert page.evaluate("window.pwned") is None
    page.goto("/data")
    expect(page.get_by_role("link", name="my pairs")).to_be_visible()
    page.goto("/label")
    waiting = page.get_by_text("0 of 61 labelled by people · 61 came with labels · label them again if you like")
    expect(waiting).to_be_visible()  # not “61 items left for you”: nobody has to


def test_the_labels_of_one_task(sign_in: SignIn) -> None:
    """Where two tasks ask different things the dialog says that they mix and lets one choose; the snapshot and the
    file say which it was."""
    dataset = numbered(4)
    page = sign_in()
    for name, better in ("Helpful", 2), ("Safe", -2):
        answered(add_task(dataset, {}, name=name, guidelines=f"{name}?"), better)
    page.goto(f"/dataset?id={dataset}")
    numbers = page.get_by_role("region", name="Numbers")
    expect(numbers).to_contain_text("labels on record: 8 from people, changed, undone and skipped ones too")
    page.get_by_role("button", name="Freeze now").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("“Helpful” and “Safe” ask different questions")
    dialog.get_by_label("Labels of the task").select_option("Safe")
    expect(dialog).to_contain_text("4 examples")
    expect(dialog).not_to_contain_text("ask different questions")
    dialog.get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_role("table", name="Snapshots")).to_contain_text("of tasks “Safe” alone")
    page.get_by_role("button", name="Export").click()
    dialog.get_by_label("Labels of the task").select_option("Helpful")
    asked = re.compile(r"/export\?.*task=[0-9a-f-]{36}")
    expect(dialog.get_by_role("link", name="Download 4 rows")).to_have_attribute("href", asked)


def test_a_strict_import_keeps_nothing(sign_in: SignIn, tmp_path: Path) -> None:
    """With the strict choice a bad row ends the import; the page says which, and the file can be tried again."""
    page = sign_in()
    choose(page, write_rows(tmp_path / "strict.jsonl"))
    page.get_by_text("Stop, and keep nothing").click()
    page.get_by_role("button", name="Start import").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    imports.work()
    expect(page.get_by_text("Line 22, rejected")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Start import").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled before it started.")).to_be_visible()
    page.goto("/data")
    expect(page.get_by_text("No data yet")).to_be_visible()


def test_a_file_that_is_none(sign_in: SignIn, tmp_path: Path) -> None:
    """An unreadable file is refused with what to do, and another one can be chosen."""
    page = sign_in()
    path = tmp_path / "table.xlsx"
    path.write_bytes(b"PK\x03\x04 not rows")
    page.goto("/import")
    page.locator("#pl-file").set_input_files(path)
    expect(page.get_by_role("alert")).to_contain_text("zip archive or a spreadsheet")
    page.get_by_role("button", name="Choose another file").click()
    expect(page.get_by_text("Drop a file here")).to_be_visible()


def test_a_phone_has_room(sign_in: SignIn, tmp_path: Path) -> None:
    """Nothing is wider than a phone."""
    page = sign_in(viewport={"width": 375, "height": 740})
    choose(page, write_rows(tmp_path / "pairs.jsonl"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
