"""POST /api/v1/imports and the worker's task behind it."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from backend import work
from backend.datasets.models import Dataset, Import, Item
from backend.db import transaction
from backend.labels.models import Label
from backend.settings import Settings
from tests.backend.datasets.conftest import Importer, finished, lines, pair, start, upload
from tests.conftest import Client
from workers import shutdown
from workers.tasks import imports

URL = "/api/v1/imports"


def rows_kept() -> tuple[int, int, int]:
    with transaction() as session:
        return tuple(session.scalar(select(func.count()).select_from(table)) or 0 for table in (Dataset, Item, Label))  # type: ignore[return-value]


def test_anonymous(anonymous: Client) -> None:
    """Signed out, nobody imports, lists or cancels."""
    some = "00000000-0000-7000-8000-000000000000"
    assert anonymous.post(URL, json={}).status_code == 401
    assert anonymous.get(URL).status_code == 401
    assert anonymous.get(f"{URL}/{some}").status_code == 401
    assert anonymous.get(f"{URL}/{some}/errors").status_code == 401
    assert anonymous.post(f"{URL}/{some}/cancel").status_code == 401


def test_annotator(annotator: Client) -> None:
    """Annotators label; they do not import."""
    some = "00000000-0000-7000-8000-000000000000"
    assert annotator.post(URL, json={"upload_id": some, "name": "x"}).status_code == 403
    assert annotator.get(URL).status_code == 403
    assert annotator.get(f"{URL}/{some}").status_code == 403
    assert annotator.post(f"{URL}/{some}/cancel").status_code == 403


def test_unknown(researcher: Client) -> None:
    """An import or upload that is not there is 404, not an error of the server."""
    some = "00000000-0000-7000-8000-000000000000"
    assert researcher.get(f"{URL}/{some}").status_code == 404
    assert researcher.post(URL, json={"upload_id": some, "name": "x"}).status_code == 404


def test_pairs_and_labels_are_kept(imported: Importer, researcher: Client) -> None:
    """Each good row becomes an item with a label of source import that prefers the chosen response."""
    row = imported(lines([pair(n) for n in range(5)]), name="Five pairs")

    assert (row["state"], row["rows_good"], row["rows_bad"]) == ("succeeded", 5, 0)
    dataset = researcher.get(f"/api/v1/datasets/{row['dataset_id']}").json()
    assert (dataset["name"], dataset["items"], dataset["labelled"], dataset["sources"]) == (
        "Five pairs",
        5,
        5,
        {"import": 5},
    )
    items = researcher.get(f"/api/v1/datasets/{row['dataset_id']}/items").json()["items"]
    assert [item["responses"][0]["content"] for item in items] == [f"Hello, {n}!" for n in range(5)]
    assert items[0]["labels"] == [{"source": "import", "value": {"strength": 1}}]


BAD_ROWS = [
    (b'{"prompt": "p", "chosen": "same", "rejected": "same "}', "rejected", "same"),
    (b'{"prompt": "p", "chosen": "a"}', "rejected", "missing"),
    (b'{"prompt": "p", "chosen": "a", "rejected": " "}', "rejected", "empty"),
    (b'{"prompt": "p", "chosen": "a", "rejec', "row", "cut off"),
    (b'{"prompt": "p", "chosen": "a", "rejected": "caf\xe9"}', "row", "offset"),
    (b'{"prompt": "p", "chosen": "a", "rejected": "b", "margin": NaN}', "row", "NaN"),
    (b'{"prompt": "p", "chosen": "a", "rejected": "b\\ud800"}', "row", "Unicode"),
    (b'{"prompt": "p", "chosen": "a", "rejected": "b\\u0000"}', "rejected", "NUL"),
    (b'["prompt", "chosen"]', "row", "object"),
    (b'{"prompt": [{"role": "assistant", "content": "x"}], "chosen": "a", "rejected": "b"}', "prompt", "user"),
    (b'{"prompt": [{"role": "king", "content": "x"}], "chosen": "a", "rejected": "b"}', "prompt[0].role", "king"),
    (b'{"prompt": "p", "chosen": "a", "rejected": "b", "weight": "heavy"}', "weight", "number"),
    (b'{"prompt": "only a prompt"}', "responses", "pairs"),
]


@pytest.mark.parametrize(("bad", "field", "word"), BAD_ROWS)
def test_bad_row_is_named_and_good_rows_stay(imported: Importer, bad: bytes, field: str, word: str) -> None:
    """A bad row is told with its line, field and reason; the rows around it are imported."""
    row = imported(lines([pair(1)]) + bad + b"\n" + lines([pair(2)]), format="trl")

    assert (row["state"], row["rows_good"], row["rows_bad"]) == ("succeeded", 2, 1), row
    assert (row["errors"][0]["line"], row["errors"][0]["field"]) == (2, field)
    assert word in row["errors"][0]["reason"]


def test_abort_keeps_nothing(imported: Importer) -> None:
    """When the user chose it, one bad row means that nothing at all is kept."""
    content = lines([pair(n) for n in range(3_000)]) + b"{broken\n" + lines([pair(9_999)])
    row = imported(content, abort_on_bad_row=True)

    assert (row["state"], row["rows_good"], row["dataset_id"]) == ("failed", 0, None)
    assert "Line 3001" in row["reason"]
    assert rows_kept() == (0, 0, 0)


def test_doubles_are_skipped_and_counted(imported: Importer) -> None:
    """The same content comes in once; the opposite choice on the same pair is told apart."""
    turned = pair(1, chosen=pair(1)["rejected"], rejected=pair(1)["chosen"])
    row = imported(lines([pair(1), pair(2), pair(1), turned]))

    assert (row["rows_good"], row["rows_doubled"]) == (2, 2)
    told = {warning["reason"]: (warning["count"], warning["line"]) for warning in row["warnings"]}
    assert told == {imports.DOUBLED: (1, 3), imports.CONFLICT: (1, 4)}


def test_only_bad_rows(imported: Importer) -> None:
    """A file without one good row makes no dataset, and says why."""
    row = imported(b'{"chosen": "a", "rejected": "a", "prompt": "p"}\n')

    assert (row["state"], row["dataset_id"], len(row["errors"])) == ("failed", None, 1)
    assert rows_kept() == (0, 0, 0)


def test_errors_are_downloadable(imported: Importer, researcher: Client) -> None:
    """Bad rows come as a file to keep, never shown by the browser."""
    row = imported(lines([pair(1)]) + b"{broken\n")
    answer = researcher.get(f"{URL}/{row['id']}/errors")

    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert json.loads(answer.text)["line"] == 2


def test_cancel_before_and_during(researcher: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled import keeps nothing, whether it waited or was under way."""
    waiting = start(researcher, lines([pair(1)]))
    assert researcher.post(f"{URL}/{waiting['id']}/cancel").json()["state"] == "cancelled"

    running = start(researcher, lines([pair(n) for n in range(6_500)]))
    pulse = imports._pulse

    def cancel_then_pulse(import_id: Any, tally: imports.Tally) -> None:
        if tally.good:
            researcher.post(f"{URL}/{running['id']}/cancel")
            pulse(import_id, tally)

    monkeypatch.setattr(imports, "PULSE_SECONDS", 0.0)
    monkeypatch.setattr(imports, "_pulse", cancel_then_pulse)
    imports.work()

    assert finished(researcher, running["id"])["state"] == "cancelled"
    assert rows_kept() == (0, 0, 0)
    assert researcher.post(f"{URL}/{running['id']}/cancel").json()["state"] == "cancelled"


def test_an_import_that_another_worker_has_by_now_is_left_to_it(
    researcher: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that slept through a sweep keeps nothing, and neither ends nor changes what is no longer its own."""
    row = start(researcher, lines([pair(n) for n in range(2_500)]))
    pulse = imports._pulse

    def taken_then_pulse(import_id: Any, tally: imports.Tally) -> None:
        with transaction() as session:
            session.get_one(Import, import_id).pid = 1
        pulse(import_id, tally)

    monkeypatch.setattr(imports, "PULSE_SECONDS", 0.0)
    monkeypatch.setattr(imports, "_pulse", taken_then_pulse)
    imports.work()

    left = finished(researcher, row["id"])
    assert (left["state"], left["reason"], left["rows_good"]) == ("running", None, 0)
    assert rows_kept() == (0, 0, 0)


def test_worker_told_to_stop(researcher: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that must stop puts the import back, and a later one does it whole."""
    row = start(researcher, lines([pair(n) for n in range(10)]))
    with transaction() as session:
        assert work.claim(session, Import)
    shutdown.ask()
    try:
        imports.run(row["id"])
        assert finished(researcher, row["id"])["state"] == "queued"
    finally:
        shutdown.reset()
    imports.work()

    assert finished(researcher, row["id"])["rows_good"] == 10


def test_name_is_taken_once(imported: Importer, researcher: Client) -> None:
    """Two datasets or imports cannot have one name; the problem names the field."""
    imported(lines([pair(1)]), name="Mine")
    upload_id = upload(researcher, lines([pair(2)]))
    taken = researcher.post(URL, json={"upload_id": upload_id, "name": "Mine"})
    assert (taken.status_code, taken.json()["field"]) == (409, "name")

    start(researcher, lines([pair(3)]), name="Yours")
    waiting = researcher.post(URL, json={"upload_id": upload_id, "name": "Yours"})
    assert (waiting.status_code, waiting.json()["field"]) == (409, "name")


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "line\nbreak", "nul\x00"])
def test_hostile_names(researcher: Client, name: str) -> None:
    """A name is one line of 1 to 120 characters."""
    upload_id = upload(researcher, lines([pair(1)]))

    assert researcher.post(URL, json={"upload_id": upload_id, "name": name}).status_code == 422


def test_unknown_format_and_keys(researcher: Client) -> None:
    """No format is guessed for rows that none fits, and no key of a request is ignored."""
    upload_id = upload(researcher, b'{"said": "q", "reply": "a"}\n')
    unknown = researcher.post(URL, json={"upload_id": upload_id, "name": "x"})
    assert (unknown.status_code, unknown.json()["field"]) == (422, "format")

    for extra in ({"format": "trll"}, {"abort": True}):
        assert researcher.post(URL, json={"upload_id": upload_id, "name": "x"} | extra).status_code == 422


def test_same_request_twice(researcher: Client) -> None:
    """An Idempotency-Key starts one import however often it is sent."""
    body = {"upload_id": upload(researcher, lines([pair(1)])), "name": "Once"}
    first, second = (researcher.post(URL, json=body, headers={"Idempotency-Key": "k1"}) for _ in range(2))

    assert first.json()["id"] == second.json()["id"]


def test_file_gone(researcher: Client, settings: Settings) -> None:
    """A file that was removed from the disk fails the import with a remedy."""
    row = start(researcher, lines([pair(1)]))
    (settings.uploads / row["upload_id"]).unlink()
    imports.work()

    ended = finished(researcher, row["id"])
    assert ended["state"] == "failed"
    assert "no longer" in ended["reason"]
    assert ended["remedy"]


def test_real_data(imported: Importer, shared_data: Path) -> None:
    """The public HH files come in whole: messages prompt with text answers, and raw transcripts."""
    helpful = imported((shared_data / "pairwise_hh_helpful.jsonl").read_bytes())
    assert (helpful["format"], helpful["rows_good"], helpful["rows_bad"]) == ("trl", 2286, 0)

    raw = imported((shared_data / "pairwise_hh_raw_format.jsonl").read_bytes())
    assert (raw["format"], raw["rows_good"] + raw["rows_doubled"], raw["rows_bad"]) == ("hh", 86, 2)
