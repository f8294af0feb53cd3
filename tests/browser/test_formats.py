"""Formats in a real browser: columns are mapped by hand, an export says first what it loses, rankings become pairs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from alignment.formats import Item, nectar
from alignment.formats.canonical import Message
from backend.datasets import service as datasets
from backend.datasets.models import Kind
from backend.datasets.writer import Writer
from backend.db import transaction
from backend.projects import service as projects
from tests.browser.conftest import SignIn
from workers.tasks import imports

pytestmark = pytest.mark.browser
expect.set_options(timeout=45_000)


def bring_in(page: Page, path: Path, look: Callable[[], None] = lambda: None) -> None:
    """Import a file through the pages, and open its dataset."""
    page.goto("/import")
    page.locator("#pl-file").set_input_files(path)
    expect(page.get_by_role("button", name="Start import")).to_be_visible()
    look()
    page.get_by_role("button", name="Start import").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    imports.work()
    page.get_by_role("button", name="Open the dataset").click()


def test_columns_are_mapped_and_losses_told(sign_in: SignIn, tmp_path: Path) -> None:
    """A table of unknown columns is mapped by hand; the export's dialog counts what each format loses."""
    page = sign_in()
    table = "asked;good;bad;note\n" + "".join(f'Question {n}?;"Yes; {n}";No {n};x\n' for n in range(20))
    path = tmp_path / "own columns.csv"
    path.write_text(table, encoding="windows-1252")

    def look() -> None:
        expect(page.get_by_text("No known format was recognized")).to_be_visible()
        page.get_by_role("button", name="Read it so").click()
        expect(page.get_by_text("Choose a column.").first).to_be_visible()
        page.get_by_label("Prompt", exact=True).select_option("asked")
        page.get_by_label("Better response").select_option("good")
        page.get_by_label("Worse response").select_option("bad")
        page.get_by_role("button", name="Read it so").click()
        expect(page.get_by_text("Columns by a mapping: chosen and rejected")).to_be_visible()
        expect(page.locator(".pl-item-response.best").first).to_contain_text("Yes; 0")

    bring_in(page, path, look)
    expect(page.locator("#pl-title")).to_have_text("own columns")
    page.get_by_role("button", name="Export").click()
    expect(page.get_by_text("Nothing is lost", exact=True)).to_be_visible()
    page.get_by_label("Format", exact=True).select_option("openai_preference")
    expect(page.get_by_text("20 of 20 rows have columns of their own")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download 20 rows").click()
    rows = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    assert download.value.suggested_filename == "own-columns.openai_preference.jsonl"
    assert rows[0]["preferred_output"] == [{"role": "assistant", "content": "Yes; 0"}]


def test_rankings_become_pairs(sign_in: SignIn, tmp_path: Path) -> None:
    """A file of rankings is a dataset of its own kind; a rule makes pairs of it, which are counted before."""
    page = sign_in()
    row = json.loads(nectar.EXAMPLE)
    path = tmp_path / "ranked.jsonl"
    asked = [row | {"prompt": f"\n\nHuman: Name color {n}.\n\nAssistant: "} for n in range(5)]
    path.write_text("".join(json.dumps(one) + "\n" for one in asked))

    bring_in(page, path)
    expect(page.get_by_text("as pairs that are made of them")).to_be_visible()
    expect(page.locator(".pl-item").first).to_contain_text("rank 3")
    page.get_by_role("button", name="Convert").click()
    expect(page.get_by_text("5 pairs of 5 items")).to_be_visible()
    page.get_by_label("Which answers meet").select_option("all")
    expect(page.get_by_text("15 pairs of 5 items")).to_be_visible()
    page.get_by_label("Margin").fill("-1")
    expect(page.get_by_role("dialog").get_by_text("Must be at least 0")).to_be_visible()
    page.get_by_label("Margin").fill("9")
    expect(page.get_by_text("5 of 5 items have no scores; left out.")).to_be_visible()
    page.get_by_label("Margin").fill("0")
    expect(page.get_by_text("15 pairs of 5 items")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Make the dataset").click()
    expect(page.get_by_text("15 pairs made.")).to_be_visible()
    page.get_by_role("link", name="Open them").click()
    expect(page.locator("#pl-title")).to_have_text("ranked: pairs")
    expect(page.get_by_text("Made of ranked (rankings): meet all")).to_be_visible()
    expect(page.get_by_role("button", name="Train on this")).to_be_visible()


def test_a_rule_is_completed_before_it_is_shown_and_makes_one_dataset(sign_in: SignIn, tmp_path: Path) -> None:
    """Nothing is asked of the server while a required field is empty; clicks while it works make nothing more, nor does
    the same content sent again. Frozen, the snapshot says what it holds and what was left out, in words."""
    items = []
    for place in range(30):
        answers: list[Message] = [{"role": "assistant", "content": one} for one in "abc"]
        facts = {"ranks": [1.0, 2.0, 3.0]} if place else {}
        items.append(Item([{"role": "user", "content": f"Name color {place}."}], answers, facts=facts))
    with transaction() as session:
        dataset = datasets.create(session, projects.default(session), "ranked", Kind.ranked)
        Writer(session, dataset).add(items)
    page = sign_in()
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url.rsplit("/", 1)[1]) if one.method == "POST" else None)
    held: list[Route] = []
    page.route("**/convert", lambda route: held.append(route))
    page.goto(f"/dataset?id={dataset.id}")
    page.get_by_role("button", name="Convert").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("29 pairs of 30 items")).to_be_visible()
    before = asked.count("preview")
    dialog.get_by_label("What becomes of it").select_option("rankings_to_thumbs")
    expect(dialog.get_by_text("shown once the rule is complete")).to_be_visible()
    page.wait_for_timeout(500)
    assert asked.count("preview") == before
    assert not any(dialog.get_by_role("alert").all_inner_texts())
    dialog.get_by_label("By", exact=True).select_option("rank")
    dialog.get_by_label("Threshold").fill("1")
    expect(dialog.get_by_text("87 answers with a thumb of 30 items")).to_be_visible()
    make = dialog.get_by_role("button", name="Make the dataset")
    make.click()
    expect(make).to_be_disabled()
    dialog.get_by_label("Name of the new dataset").press("Enter")
    page.wait_for_timeout(300)
    assert len(held) == 1
    held[0].continue_()
    expect(dialog.get_by_text("87 answers with a thumb made.")).to_be_visible()
    make.click()
    expect(make).to_be_disabled()
    held[1].continue_()
    expect(dialog.get_by_text("87 answers with a thumb made.")).to_be_visible()
    assert held[0].request.headers["idempotency-key"] == held[1].request.headers["idempotency-key"]
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Freeze now").click()
    page.get_by_role("dialog").get_by_role("button", name="Freeze", exact=True).click()
    expect(page.get_by_text("holds 29 rankings.")).to_be_visible()
    expect(page.get_by_text("1 without ranks or scores")).to_be_visible()
