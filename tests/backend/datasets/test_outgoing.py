"""What goes out: every kind of dataset in and out again, losses counted first, and who may."""

import json
import uuid
from typing import Any

import pytest

from alignment.formats import FORMATS, nectar
from tests.backend.datasets.conftest import Importer, lines, pair, upload
from tests.conftest import Client

NOBODY = uuid.UUID(int=1)
ROUTES = [
    ("GET", "/api/v1/formats"),
    ("GET", f"/api/v1/datasets/{NOBODY}/export?format=hh"),
    ("GET", f"/api/v1/datasets/{NOBODY}/export/losses?format=hh"),
    ("GET", f"/api/v1/datasets/{NOBODY}/conversions"),
    ("POST", f"/api/v1/datasets/{NOBODY}/convert/preview"),
    ("POST", f"/api/v1/datasets/{NOBODY}/convert"),
]
RANKED = [json.loads(nectar.EXAMPLE) | {"prompt": f"\n\nHuman: Color {n}?\n\nAssistant: "} for n in range(4)]


def _body(path: str) -> dict[str, Any]:
    return {"rule": {"name": "pairs_to_thumbs"}} | ({} if path.endswith("preview") else {"name": "x"})


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_who_may(anonymous: Client, annotator: Client, method: str, path: str) -> None:
    """Signed out is 401; an annotator neither exports nor makes datasets."""
    body = _body(path) if method == "POST" else None
    assert anonymous.request(method, path, json=body).status_code == 401
    assert annotator.request(method, path, json=body).status_code == 403


@pytest.mark.parametrize(("method", "path"), ROUTES[1:])
def test_unknown(researcher: Client, method: str, path: str) -> None:
    """A dataset that is not the project's is not found."""
    body = _body(path) if method == "POST" else None
    assert researcher.request(method, path, json=body).status_code == 404


def test_the_catalogue(researcher: Client) -> None:
    """Every format is listed with an example and with what it cannot hold."""
    found = {one["name"]: one for one in researcher.get("/api/v1/formats").json()}

    assert found.keys() == FORMATS.keys()
    assert found["hh"]["kinds"] == ["paired"]
    assert any("tool calls" in line for line in found["hh"]["styles"][0]["losses"])


def rows_of(client: Client, dataset_id: str, **query: str) -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1/datasets/{dataset_id}/export", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment")
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize(
    ("rows", "kind", "format"),
    [
        (RANKED, "ranked", "nectar"),
        ([{"prompt": f"P{n}", "completion": "c", "label": n % 2 == 0} for n in range(4)], "unpaired", "trl_unpaired"),
        ([{"prompt": f"P{n}", "completion": "c"} for n in range(4)], "demonstrations", "trl_unpaired"),
        ([{"text": f"Name color {n}."} for n in range(4)], "prompts", "prompts"),
    ],
)
def test_every_kind_comes_in_and_goes_out(
    imported: Importer, researcher: Client, rows: list[dict[str, Any]], kind: str, format: str
) -> None:
    """Rows of each kind become a dataset of it, which is listed, shown, exported as it came; all but prompts freeze
    and are labelled."""
    row = imported(lines(rows))
    dataset = researcher.get(f"/api/v1/datasets/{row['dataset_id']}").json()
    assert (row["format"], dataset["kind"], dataset["items"]) == (format, kind, 4)

    given = FORMATS[format].parse(rows[0])
    shown = researcher.get(f"/api/v1/datasets/{row['dataset_id']}/items").json()["items"][0]
    assert (shown["responses"], shown["facts"]) == (given.responses, given.facts)
    again = [FORMATS[format].parse(one) for one in rows_of(researcher, row["dataset_id"], format=format)]
    assert again == [FORMATS[format].parse(one) for one in rows]
    frozen = researcher.post(f"/api/v1/datasets/{row['dataset_id']}/snapshots", json={})
    if kind == "prompts":
        assert (frozen.status_code, frozen.json()["field"]) == (422, "dataset_id")
        assert "prompts" in frozen.json()["detail"]
    else:
        assert (frozen.status_code, frozen.json()["kind"]) == (201, kind)
    labelled = researcher.post(f"/api/v1/datasets/{row['dataset_id']}/cards", json={"n": 1, "holding": []})
    assert labelled.status_code == (409 if kind == "prompts" else 200), labelled.text


def test_losses_are_counted_first(imported: Importer, researcher: Client) -> None:
    """The count names what is dropped and what is left out, and the export holds just the rest."""
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a color."}]
    rows = [pair(n, weight=2.0) for n in range(3)] + [pair(9) | {"prompt": system}]
    dataset_id = imported(lines(rows))["dataset_id"]
    found = researcher.get(f"/api/v1/datasets/{dataset_id}/export/losses", params={"format": "hh"}).json()

    assert (found["items"], found["looked_at"], found["rows"]) == (4, 4, 3)
    assert found["sentences"] == [
        "1 of 4 rows have a system turn, which Anthropic HH transcripts cannot hold; left out.",
        "3 of 4 rows have weights, which Anthropic HH transcripts cannot hold.",
    ]
    assert len(rows_of(researcher, dataset_id, format="hh")) == 3
    whole = researcher.get(f"/api/v1/datasets/{dataset_id}/export/losses", params={"format": "native"}).json()
    assert (whole["rows"], whole["sentences"]) == (4, [])


def test_pairs_as_thumbs_and_as_a_table(imported: Importer, researcher: Client) -> None:
    """A pair is two rows of KTO; as CSV it comes with a byte order mark, and formulas are guarded."""
    dataset_id = imported(lines([pair(1) | {"chosen": "=SUM(A1)"}]))["dataset_id"]
    thumbs = rows_of(researcher, dataset_id, format="kto", style="alpaca")
    assert [(row["output"], row["kto_tag"]) for row in thumbs] == [("=SUM(A1)", True), ("Go away, 1.", False)]

    table = researcher.get(f"/api/v1/datasets/{dataset_id}/export", params={"format": "mapped"})
    assert table.headers["content-type"].startswith("text/csv")
    assert table.content.startswith(b"\xef\xbb\xbfprompt,chosen,rejected")
    assert b"'=SUM(A1)" in table.content
    again = imported(table.content)
    assert (again["state"], again["format"]) == ("succeeded", "mapped")
    assert rows_of(researcher, again["dataset_id"])[0]["responses"][0]["content"] == "=SUM(A1)"


@pytest.mark.parametrize(
    "query",
    [
        {"format": "nectar"},
        {"format": "trl", "style": "nonsense"},
        {"format": "nonsense"},
        {"format": "trl", "sources": "nobody"},
        {"format": "trl", "rule": "some"},
    ],
)
def test_what_cannot_be_written(imported: Importer, researcher: Client, query: dict[str, str]) -> None:
    """A format without rows for pairs, an unknown style, format, source or rule is refused with a reason."""
    dataset_id = imported(lines([pair(1)]))["dataset_id"]
    for way in ("export", "export/losses"):
        answer = researcher.get(f"/api/v1/datasets/{dataset_id}/{way}", params=query)
        assert answer.status_code == 422, answer.text


def test_rankings_are_exported_as_pairs(imported: Importer, researcher: Client) -> None:
    """By a rule that must be stated."""
    dataset_id = imported(lines(RANKED * 1))["dataset_id"]
    refused = researcher.get(f"/api/v1/datasets/{dataset_id}/export", params={"format": "trl"})
    assert (refused.status_code, refused.json()["remedy"]) == (422, "Choose a rule.")
    assert len(rows_of(researcher, dataset_id, format="trl", rule="best_rest")) == 8


def test_an_import_by_a_mapping(imported: Importer, researcher: Client) -> None:
    """The mapping in the request is what the worker reads by; one that fits nothing is refused at once."""
    table = b"asked;one;two;best\nQ;A;B;2\n"
    columns = {"prompt": "asked", "response_a": "one", "response_b": "two", "label": "best"}
    row = imported(table, columns=columns)
    assert (row["state"], row["format"], row["columns"]) == ("succeeded", "mapped", columns)
    assert rows_of(researcher, row["dataset_id"])[0]["labels"][0]["value"] == {"strength": -1}
    for wrong in (
        {"prompt": "asked", "chosen": "one"},
        {"chosen": "one", "rejected": "two"},
        {"prompt": "p", "x": "y"},
    ):
        body = {"upload_id": str(NOBODY), "name": "n", "columns": wrong}
        assert researcher.post("/api/v1/imports", json=body).status_code == 422
    body = {"upload_id": upload(researcher, table + b"Q2;A;B;1\n"), "name": "n", "columns": columns, "format": "trl"}
    assert researcher.post("/api/v1/imports", json=body).json()["field"] == "columns"
