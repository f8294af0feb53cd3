"""Data that are not uploaded (files of the server, datasets of a hub), and data that are imported twice."""

import gzip
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from backend.accounts.models import Role
from backend.datasets.leftovers import forget
from backend.datasets.models import Import, Upload
from backend.db import transaction
from backend.settings import Settings, get_settings
from backend.work import now
from tests.backend.datasets.conftest import Importer, finished, lines, pair, start, upload
from tests.conftest import Client
from tests.hub_datasets import COMMIT, HUB_ID, Shelf, serving
from workers.tasks import imports

ROUTES = [
    ("GET", "/api/v1/data-files", None),
    ("POST", "/api/v1/uploads/server", {"path": "/x"}),
    ("GET", f"/api/v1/hub/datasets?hub_id={HUB_ID}", None),
    ("POST", "/api/v1/uploads/hub", {"hub_id": HUB_ID, "commit": COMMIT, "config": "default", "split": "train"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_signed_out_is_401_and_annotators_are_refused(
    anonymous: Client, annotator: Client, method: str, path: str, body: Any
) -> None:
    """Files of the server and hubs are for researchers."""
    assert anonymous.request(method, path, json=body).status_code == 401
    assert annotator.request(method, path, json=body).status_code == 403


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An allowed folder beside one that is not."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (tmp_path / "shared-not").mkdir()
    (tmp_path / "shared-not" / "secret.jsonl").write_bytes(lines([pair()]))
    monkeypatch.setattr(get_settings(), "data_roots", (folder,))
    return folder


def take(client: Client, path: Path | str) -> dict[str, Any]:
    """Files of the server as an upload."""
    answer = client.post("/api/v1/uploads/server", json={"path": str(path)})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def import_of(client: Client, upload_id: str, **body: Any) -> dict[str, Any]:
    """The import of an upload when it has ended."""
    answer = client.post("/api/v1/imports", json={"upload_id": upload_id, "name": "taken"} | body)
    assert answer.status_code == 202, answer.text
    imports.work()
    return finished(client, answer.json()["id"])


def test_a_folder_of_files_is_imported_where_it_lies(researcher: Client, root: Path) -> None:
    """Plain and packed files are one dataset; they stay, nothing is copied, and a bad row names its file."""
    (root / "day").mkdir()
    (root / "day" / "a.jsonl").write_bytes(lines([pair(1), pair(2)]))
    (root / "day" / "b.jsonl.gz").write_bytes(gzip.compress(lines([pair(3), {"prompt": "x", "chosen": "y"}])))
    (root / "day" / "notes.docx").write_bytes(b"not data")

    listed = researcher.get("/api/v1/data-files", params={"path": str(root / "day")}).json()
    assert [Path(one["path"]).name for one in listed["files"]] == ["a.jsonl", "b.jsonl.gz"]
    taken = take(researcher, root / "day")
    shown = researcher.post(f"/api/v1/uploads/{taken['id']}/preview", json={}).json()
    assert (shown["format"], len(shown["rows"])) == ("trl", 2)
    row = import_of(researcher, taken["id"])

    assert (row["state"], row["rows_good"], row["rows_bad"]) == ("succeeded", 3, 1)
    assert sorted(path.name for path in (root / "day").iterdir()) == ["a.jsonl", "b.jsonl.gz", "notes.docx"]
    assert not list(get_settings().uploads.glob("*.part"))


@pytest.mark.parametrize(
    "asked",
    ["../shared-not/secret.jsonl", "{root}/../shared-not/secret.jsonl", "{root}-not/secret.jsonl", "/etc/passwd",
     "link.jsonl", "linked/secret.jsonl", "a\0b", "~/x", "", "." ],
)  # fmt: skip
def test_paths_out_of_the_allowed_folders_are_refused(researcher: Client, root: Path, asked: str) -> None:
    """Dots, links, siblings, absolute paths: each is refused, alike whether it exists or not."""
    (root / "link.jsonl").symlink_to(root.parent / "shared-not" / "secret.jsonl")
    (root / "linked").symlink_to(root.parent / "shared-not")
    answer = researcher.post("/api/v1/uploads/server", json={"path": asked.format(root=root)})
    assert answer.status_code in (403, 422), answer.text
    assert "secret" not in answer.text or "secret" in asked


def test_a_link_put_in_place_later_is_refused_by_the_import(researcher: Client, root: Path) -> None:
    """What may be read is decided when it is read, not when it was chosen; pipes are no files."""
    (root / "a.jsonl").write_bytes(lines([pair(1)]))
    taken = take(researcher, root / "a.jsonl")
    answer = researcher.post("/api/v1/imports", json={"upload_id": taken["id"], "name": "taken"})
    (root / "a.jsonl").unlink()
    (root / "a.jsonl").symlink_to(root.parent / "shared-not" / "secret.jsonl")
    imports.work()
    row = finished(researcher, answer.json()["id"])
    assert (row["state"], row["dataset_id"]) == ("failed", None)
    os.mkfifo(root / "pipe.jsonl")
    assert researcher.post("/api/v1/uploads/server", json={"path": str(root / "pipe.jsonl")}).status_code == 404


def test_an_argilla_folder_of_another_version_is_refused(researcher: Client, root: Path) -> None:
    """The version that an export states is named."""
    (root / ".argilla").mkdir()
    folder = root / "export"
    (folder / ".argilla").mkdir(parents=True)
    (folder / ".argilla" / "version.json").write_text('{"argilla": "4.0.0"}')
    (folder / "records.json").write_bytes(lines([pair(1)]))
    taken = take(researcher, folder)
    answer = researcher.post(f"/api/v1/uploads/{taken['id']}/preview", json={})
    assert answer.status_code == 422
    assert "4.0.0" in answer.json()["detail"]


def test_the_same_data_are_not_imported_twice_unasked(researcher: Client, imported: Importer) -> None:
    """The second upload of a file names the first import; “again” brings it in once more; failures don't count."""
    content = lines([pair(1), pair(2)])
    failed = imported(lines([{"prompt": 1}]), format="trl", name="broken")
    assert failed["state"] == "failed"
    assert imported(lines([{"prompt": 1}]), format="trl", name="broken")["state"] == "failed"
    first = imported(content, name="first")

    upload_id = upload(researcher, content)
    before = researcher.get(f"/api/v1/uploads/{upload_id}").json()["imported"]
    assert [one["name"] for one in before] == ["first"]
    answer = researcher.post("/api/v1/imports", json={"upload_id": upload_id, "name": "second"})
    assert answer.status_code == 409
    assert answer.json()["imported"][0]["dataset_id"] == first["dataset_id"]
    assert import_of(researcher, upload_id, again=True, name="second")["state"] == "succeeded"


def test_of_two_imports_at_once_one_is_told_of_the_other(researcher: Client) -> None:
    """Two people send the same file at the same moment: one import begins."""
    ids = [upload(researcher, lines([pair(7)])) for _ in range(2)]

    def ask(number: int) -> int:
        body = {"upload_id": ids[number], "name": f"set {number}"}
        return researcher.post("/api/v1/imports", json=body).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(ask, range(2))) == [202, 409]


def test_an_imported_file_goes_and_a_failed_one_stays(
    researcher: Client, imported: Importer, settings: Settings
) -> None:
    """A success removes the file, told as 410; after a failure another try needs no upload, for a week."""
    there = set(settings.uploads.glob("*"))
    good = imported(lines([pair(1)]))
    assert set(settings.uploads.glob("*")) == there
    assert researcher.post(f"/api/v1/uploads/{good['upload_id']}/preview", json={}).status_code == 410

    bad = imported(lines([{"prompt": 1}]), format="trl")
    assert len(set(settings.uploads.glob("*")) - there) == 1
    assert researcher.post(f"/api/v1/uploads/{bad['upload_id']}/preview", json={"format": "trl"}).status_code == 200
    with transaction() as session:
        session.execute(update(Upload).values(created_at=now() - timedelta(days=8)))
        assert forget(session) == 0
        session.execute(update(Import).values(finished_at=now() - timedelta(days=8)))
        assert forget(session) == 1
    assert set(settings.uploads.glob("*")) == there
    assert finished(researcher, bad["id"])["filename"] == "pairs.jsonl"


def test_a_second_import_of_one_upload_still_finds_its_file(researcher: Client, settings: Settings) -> None:
    """The file stays while another import has to read it, and goes with the last."""
    there = set(settings.uploads.glob("*"))
    row = start(researcher, lines([pair(1)]))
    body = {"upload_id": row["upload_id"], "name": "other", "again": True}
    other = researcher.post("/api/v1/imports", json=body).json()
    imports.work()
    assert {finished(researcher, one["id"])["state"] for one in (row, other)} == {"succeeded"}
    assert set(settings.uploads.glob("*")) == there


# ---- a hub ----------------------------------------------------------------------------------------------------------


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


README = b"""---
license: cc-by-4.0
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
  - split: test
    path: data/test-*.parquet
---
"""


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A hub with one dataset of Parquet files, named by HF_ENDPOINT."""
    files = {"README.md": README,
             "data/train-00000.parquet": parquet([pair(n) for n in range(150)]),
             "data/test-00000.parquet": parquet([pair(1000)])}  # fmt: skip
    found = Shelf(files)
    with serving(found) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield found


def of_hub(client: Client, **body: str) -> dict[str, Any]:
    asked = {"hub_id": HUB_ID, "commit": COMMIT, "config": "default", "split": "train"} | body
    answer = client.post("/api/v1/uploads/hub", json=asked)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_dataset_of_a_hub_is_looked_at_previewed_and_imported(researcher: Client, shelf: Shelf) -> None:
    """License, size and splits come first; the rows of the chosen split at that commit become a dataset."""
    seen = researcher.get("/api/v1/hub/datasets", params={"hub_id": HUB_ID}).json()
    assert (seen["commit"], seen["license"]) == (COMMIT, "cc-by-4.0")
    assert seen["size"] == sum(map(len, shelf.files.values()))
    assert seen["configs"] == {"default": ["train", "test"]}

    taken = of_hub(researcher)
    shown = researcher.post(f"/api/v1/uploads/{taken['id']}/preview", json={}).json()
    assert shown["format"] == "trl"
    row = import_of(researcher, taken["id"])
    assert (row["state"], row["rows_good"], row["reason"]) == ("succeeded", 150, None)
    assert not [path for path in shelf.asked if "/resolve/main/" in path]
    assert of_hub(researcher)["imported"][0]["name"] == "taken"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda shelf: shelf.files.update({"data/train-00000.parquet": b"PAR1 no"}), "cannot read"),
        (lambda shelf: setattr(shelf, "token", "hf_other"), "hub"),
    ],
)
def test_a_hub_that_fails_between_preview_and_import_leaves_nothing(
    researcher: Client, shelf: Shelf, change: Callable[[Shelf], Any], word: str
) -> None:
    """A broken file or a token that no longer opens: the import says so, and no part of it is kept."""
    taken = of_hub(researcher)
    change(shelf)
    row = import_of(researcher, taken["id"])
    assert (row["state"], row["dataset_id"]) == ("failed", None)
    assert word in row["reason"]
    assert not list(get_settings().uploads.glob("*.part"))


def test_a_gated_dataset_needs_the_projects_token(make_client: Callable[..., Client], shelf: Shelf) -> None:
    """Without the token the hub's refusal is told; with the project's secret its rows are read."""
    researcher = make_client(Role.owner)
    shelf.token = "hf_right"
    assert researcher.get("/api/v1/hub/datasets", params={"hub_id": HUB_ID}).status_code in (403, 422)
    put = researcher.put("/api/v1/secrets/hub", json={"kind": "hub", "value": "hf_right"})
    assert put.status_code in (200, 201), put.text
    assert researcher.get("/api/v1/hub/datasets", params={"hub_id": HUB_ID}).status_code == 200
    row = import_of(researcher, of_hub(researcher, secret="hub")["id"])
    assert row["state"] == "succeeded"
    assert "hf_right" not in json.dumps(row)


def test_a_dataset_made_by_a_program_is_refused(researcher: Client, shelf: Shelf) -> None:
    """Code of a repository never runs: a loading script is a reason to refuse, said in words."""
    shelf.files["colors.py"] = b"open('/tmp/ran', 'w')"
    body = {"hub_id": HUB_ID, "commit": COMMIT, "config": "default", "split": "train"}
    answer = researcher.post("/api/v1/uploads/hub", json=body)
    assert answer.status_code == 422
    assert "program" in answer.json()["detail"]


def test_a_split_that_is_not_there_is_refused(researcher: Client, shelf: Shelf) -> None:
    """A wrong split or dataset is told at once."""
    del shelf
    body = {"hub_id": HUB_ID, "commit": COMMIT, "config": "default", "split": "nowhere"}
    assert researcher.post("/api/v1/uploads/hub", json=body).status_code == 422
    assert researcher.get("/api/v1/hub/datasets", params={"hub_id": "someone/else"}).status_code == 422
