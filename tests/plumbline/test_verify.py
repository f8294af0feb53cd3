"""`plumbline verify`: a recorded run taken again from the command line; model and data of a hub, or of folders."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from alignment.training.trajectory import read
from plumbline.cli import app
from plumbline.verify import PUBLISHED
from tests import hub, hub_datasets
from tests.alignment.training.recorded import lines, plainly, record
from tests.checkpoints import make_llama

ROOT = Path(__file__).parents[2]
ROWS = lines()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model, its data, and all steps that the plainest loop recorded of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    make_llama(tmp_path / "base", [json.dumps(row) for row in ROWS])
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    given = record(plainly(tmp_path / "base", tmp_path / "pairs.jsonl"))
    (tmp_path / "record.json").write_text(json.dumps(given))
    return tmp_path


def changed(folder: Path, **change: Any) -> Path:
    """The record with other values."""
    path = folder / "changed.json"
    path.write_text(json.dumps(json.loads((folder / "record.json").read_text()) | change))
    return path


def verify(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    return done.exit_code, " ".join(done.output.split())


def test_the_same_run_is_the_same_and_another_is_not(folder: Path) -> None:
    """0 and every step's difference when it is reproduced; 2 and the number of steps when it is not."""
    code, said = verify(folder / "record.json")
    assert code == 0, said
    assert "6 of its 6 steps are on record." in said
    assert "The same, within the tolerance, at 6 of 6 steps on record." in said

    steps = json.loads((folder / "record.json").read_text())["steps"]
    steps[2]["loss"] += 0.01
    code, said = verify(changed(folder, steps=steps))
    assert code == 2
    assert "Not the same: beyond the tolerance at 1 of 6 steps on record." in said
    assert "-1.00e-02" in said


def test_what_is_not_on_record_is_said(folder: Path) -> None:
    """How many steps there are to compare with, and which repository the record names no commit of."""
    steps = json.loads((folder / "record.json").read_text())["steps"]
    places = {"model": {"hub_id": "someone/tiny", "revision": hub.COMMIT}, "data": {"hub_id": "someone/pairs"}}
    path = changed(folder, steps=[steps[0], steps[5]], **places)
    code, said = verify(path, "--model", folder / "base", "--data", folder / "pairs.jsonl")

    assert code == 0, said
    assert "2 of its 6 steps are on record." in said
    assert "6 steps taken, 2 compared." in said
    assert "The same, within the tolerance, at 2 of 2 steps on record." in said
    assert "The record names no commit of someone/pairs, which may have moved on since" in said
    assert "no commit of someone/tiny" not in said


def test_the_model_comes_from_a_hub_at_its_commit(folder: Path) -> None:
    """What has arrived is kept: the second time nothing but the listing is asked for."""
    manners = hub.Manners.of(folder / "base")
    path = changed(folder, model={"hub_id": "someone/tiny", "revision": hub.COMMIT})
    with hub.serving(manners) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", url)
        assert verify(path)[0] == 0
        before = len(manners.asked)
        code, said = verify(path)
        assert code == 0, said
        assert len(manners.asked) - before <= 1


@pytest.mark.slow
def test_the_data_come_from_a_hub(folder: Path) -> None:
    """All rows of the split in their order, at the commit that the revision is."""
    columns = {name: [row[name] for row in ROWS] for name in ("chosen", "rejected")}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    shelf = hub_datasets.Shelf({"data/train-00000.parquet": sink.getvalue().to_pybytes()})
    with hub_datasets.serving(shelf) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", url)
        code, said = verify(changed(folder, data={"hub_id": hub_datasets.HUB_ID}))
    assert code == 0, said
    assert hub_datasets.COMMIT in said


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PLUMBLINE_OFFLINE", "1")
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.setenv(name, "1")
    from backend.settings import get_settings

    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.usefixtures("offline")
def test_no_hub_is_asked_offline(folder: Path) -> None:
    """The sentence names the switch and the way around it; with local copies it works."""
    path = changed(folder, model={"hub_id": "someone/tiny"})
    code, said = verify(path)
    assert code == 1
    assert "PLUMBLINE_OFFLINE" in said
    assert "--model" in said
    code, said = verify(path, "--model", folder / "base")
    assert code == 0, said


def test_the_published_record_can_be_read() -> None:
    """The command's own record names one commit of the model, none of the data, 50 steps and the numbers of four of
    them; the guide says so."""
    found = read(PUBLISHED)

    assert found.model.hub_id == "Qwen/Qwen2.5-0.5B-Instruct"
    assert found.settings.steps == 50
    assert [one.step for one in found.steps] == [1, 2, 3, 50]
    assert found.steps[0].loss == pytest.approx(0.6931472, abs=1e-6)
    assert (found.model.moves, found.data.moves) == (False, True)
    assert "Of the 50 steps four are on record" in (ROOT / "docs" / "train.md").read_text()


def test_what_is_no_record_is_refused_in_a_sentence(folder: Path) -> None:
    """With the exit code of a bad specification."""
    (folder / "no.json").write_text("{")
    code, said = verify(folder / "no.json")
    assert code == 64
    assert "no.json is no readable JSON file." in said
