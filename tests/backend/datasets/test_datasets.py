"""GET /api/v1/datasets, their items and exports."""

import io
import json
from typing import Any

import pyarrow.parquet as pq
import pytest

from backend.datasets import service
from tests.backend.datasets.conftest import Importer, lines, pair
from tests.conftest import Client

URL = "/api/v1/datasets"
SOME = "00000000-0000-7000-8000-000000000000"


def all_items(client: Client, dataset_id: str, **query: Any) -> list[dict[str, Any]]:
    items, cursor = [], None
    while True:
        page = client.get(f"{URL}/{dataset_id}/items", params=query | ({"cursor": cursor} if cursor else {})).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


@pytest.mark.parametrize("path", ["", f"/{SOME}", f"/{SOME}/items", f"/{SOME}/export"])
def test_anonymous(anonymous: Client, path: str) -> None:
    """Signed out, nothing of a dataset is told."""
    assert anonymous.get(URL + path).status_code == 401


def test_annotators_see_names_and_numbers(imported: Importer, annotator: Client) -> None:
    """An annotator may know what there is to label, and not read or take the data."""
    dataset_id = imported(lines([pair(1)]), name="Open")["dataset_id"]

    brief = {"id": dataset_id, "name": "Open", "kind": "paired", "items": 1, "labelled": 1}
    assert annotator.get(URL).json()["items"] == [brief]
    assert annotator.get(f"{URL}/{dataset_id}").json() == brief
    assert annotator.get(f"{URL}/{dataset_id}/items").status_code == 403
    assert annotator.get(f"{URL}/{dataset_id}/export").status_code == 403


def test_unknown(researcher: Client) -> None:
    """A dataset that is not there is 404; a cursor nobody gave is refused."""
    for path in ("", "/items", "/export"):
        assert researcher.get(f"{URL}/{SOME}{path}").status_code == 404
    assert researcher.get(URL, params={"cursor": "x"}).status_code == 422


def test_pages(imported: Importer, researcher: Client) -> None:
    """Paging by cursor gives each item once, in order; each list is bounded."""
    dataset_id = imported(lines([pair(n) for n in range(45)]))["dataset_id"]

    items = all_items(researcher, dataset_id, limit=10)
    assert [item["position"] for item in items] == list(range(45))
    assert researcher.get(f"{URL}/{dataset_id}/items", params={"limit": 201}).status_code == 422
    for cursor in ("-1", "x", "1" * 30, "\u0661"):
        assert researcher.get(f"{URL}/{dataset_id}/items", params={"cursor": cursor}).status_code == 422


@pytest.mark.parametrize("word", ['say "hi"', "100%", "under_score", "back\\slash", "naïve café", "line\nbreak", "<b>"])
def test_search_finds_text_as_it_is(imported: Importer, researcher: Client, word: str) -> None:
    """Search means the characters themselves: no pattern, no escape, whatever the case."""
    rows = [pair(1), pair(2, chosen=f"Look: {word} indeed."), pair(3, prompt="100 percent under score")]
    dataset_id = imported(lines(rows))["dataset_id"]

    found = all_items(researcher, dataset_id, search=word.upper())
    assert [item["position"] for item in found] == [1]


def test_a_search_goes_on(imported: Importer, researcher: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a search looks at so many items: what comes later is found by later pages, once."""
    monkeypatch.setattr(service, "LOOKED_AT", 10)
    rows = [pair(n, chosen="A heron." if n in (3, 27, 28, 44) else f"Other {n}.") for n in range(45)]
    dataset_id = imported(lines(rows))["dataset_id"]

    none = researcher.get(f"{URL}/{dataset_id}/items", params={"search": "heron", "cursor": "9"}).json()
    assert none == {"items": [], "next_cursor": "19"}
    for limit in (1, 2, 25):
        found = all_items(researcher, dataset_id, search="heron", limit=limit)
        assert [item["position"] for item in found] == [3, 27, 28, 44]
    assert all_items(researcher, dataset_id, search="ostrich") == []
    by_split = [item["position"] for one in ("train", "validation", "test")
                for item in all_items(researcher, dataset_id, split=one)]  # fmt: skip
    assert sorted(by_split) == list(range(45))


def test_splits_stay(imported: Importer, researcher: Client) -> None:
    """A prompt has the same split in every dataset of the project, about nine in ten train."""
    first = imported(lines([pair(n) for n in range(400)]))["dataset_id"]
    second = imported(lines([pair(n, chosen=f"Other {n}") for n in reversed(range(400))]))["dataset_id"]

    one, other = (
        {item["prompt"][0]["content"]: item["split"] for item in all_items(researcher, set_id, limit=200)}
        for set_id in (first, second)
    )
    assert one == other
    splits = researcher.get(f"{URL}/{first}").json()["splits"]
    assert splits["train"] > 320
    assert set(splits) == {"train", "validation", "test"}
    tested = all_items(researcher, first, split="test", limit=200)
    assert len(tested) == splits["test"]


def test_length_histogram(imported: Importer, researcher: Client) -> None:
    """Every response of the sample is in one bar, the longest too."""
    rows = [pair(n) for n in range(100)] + [pair(1_000, chosen="x" * 5_000)]
    dataset = researcher.get(f"{URL}/{imported(lines(rows))['dataset_id']}").json()

    assert dataset["length_sample"] == 101
    assert sum(bar["responses"] for bar in dataset["lengths"]) == 202
    assert dataset["lengths"][-1]["high"] > 5_000


def test_export_is_a_file(imported: Importer, researcher: Client) -> None:
    """An export is an attachment with a harmless name, and holds every item."""
    dataset_id = imported(lines([pair(1), pair(2)]), name='Évil "name"; ../x')["dataset_id"]

    native = researcher.get(f"{URL}/{dataset_id}/export")
    assert native.headers["content-disposition"] == 'attachment; filename="vil-name-..-x.jsonl"'
    assert native.headers["x-content-type-options"] == "nosniff"
    assert [json.loads(line)["labels"][0]["source"] for line in native.text.splitlines()] == ["import", "import"]

    trl = [json.loads(line) for line in researcher.get(f"{URL}/{dataset_id}/export?format=trl").text.splitlines()]
    assert trl[0]["chosen"] == [{"role": "assistant", "content": "Hello, 1!"}]
    table = pq.read_table(io.BytesIO(researcher.get(f"{URL}/{dataset_id}/export?format=parquet").content))
    assert table.num_rows == 2
    assert researcher.get(f"{URL}/{dataset_id}/export?format=csv").status_code == 422


def test_nothing_to_export(imported: Importer, researcher: Client) -> None:
    """TRL rows need a decided pair; without one the answer says so instead of an empty file."""
    row = {"prompt": "Hi", "responses": ["a", "b"]}
    dataset_id = imported(lines([row]))["dataset_id"]

    refused = researcher.get(f"{URL}/{dataset_id}/export?format=trl")
    assert (refused.status_code, refused.json()["field"]) == (422, "format")
    assert researcher.get(f"{URL}/{dataset_id}/export").status_code == 200
