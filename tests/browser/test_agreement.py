"""Agreement of a dataset in a real browser: of the annotators whom its file names, down to every label of one."""

import re

import pytest
from playwright.sync_api import expect

from alignment.formats import LabelFacts
from backend.datasets import service as datasets
from backend.datasets.models import Kind
from backend.datasets.writer import Writer
from backend.db import transaction
from backend.projects import service as projects
from tests import loop
from tests.browser.conftest import SignIn

pytestmark = pytest.mark.browser


def test_annotators_of_a_file(sign_in: SignIn) -> None:
    """From the dataset to how far its annotators agree, to every two of them, and to every label of one by name; all of
    it on a phone."""
    items = loop.pairs(12)
    for place, item in enumerate(items):
        said = {"Ann": 1, "Bob": 1 if place < 9 else -1, "<i>Cho</i>": -1}
        item.labels = [LabelFacts({"strength": strength}, "import", name) for name, strength in said.items()]
    with transaction() as session:
        dataset = datasets.create(session, projects.default(session), "Three of a file", Kind.paired)
        Writer(session, dataset).add(items)
    page = sign_in(viewport={"width": 390, "height": 844})
    page.goto(f"/dataset?id={dataset.id}")
    page.get_by_role("link", name="Agreement", exact=True).click()
    expect(page.get_by_role("heading", name="How much people agree")).to_be_visible()
    page.get_by_text("Of every two annotators").click()
    pairs = page.get_by_role("table", name="Pairs of annotators")
    expect(pairs.get_by_role("row", name=re.compile("^Ann and Bob 12 75"))).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    page.get_by_role("table", name="Annotators", exact=True).get_by_role("link", name="<i>Cho</i>").click()
    expect(page.get_by_role("heading", name="Labels of <i>Cho</i>")).to_be_visible()
    said_by = page.get_by_role("table", name="Labels", exact=True).locator("tbody tr")
    expect(said_by).to_have_count(12)
    expect(said_by.filter(has_text="second is better")).to_have_count(12)
    page.get_by_role("link", name="All annotators").click()
    expect(page.get_by_role("table", name="Annotators", exact=True).locator("tbody tr")).to_have_count(3)
