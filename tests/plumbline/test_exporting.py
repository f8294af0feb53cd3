"""`plumbline export`: a run's folder becomes files for others, with a card made of what the folders tell."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from alignment.training.spec import Spec
from plumbline.exporting import run
from tests import exporting, loop


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter that a run without a server left in its folder; the base's card names a licence."""
    root = tmp_path_factory.mktemp("offline")
    base = loop.tiny_checkpoint(root / "tiny base")
    (base / "README.md").write_text("---\nlicense: mit\ntags: [toy]\n---\n# Tiny\n")
    folder = root / "my run"
    made = exporting.adapter_folder(base, folder / "checkpoints")
    snapshot = root / ("a" * 64)
    snapshot.mkdir()
    counts = {"train": 40, "validation": 3}
    told = {"hash": snapshot.name, "counts": counts, "dataset": {"name": "Harbor | pairs"}}
    (snapshot / "manifest.json").write_text(json.dumps(told))
    spec = {
        "checkpoint": str(base),
        "snapshots": [{"path": str(snapshot)}, {"path": str(root / "more.jsonl"), "format": "trl"}],
        "objective": {"name": "simpo", "beta": 2.5},
        "tuning": {"kind": "lora", "rank": 4},
    }
    (folder / "spec.json").write_text(Spec.model_validate(spec).model_dump_json())
    return made


def test_merged(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lineage, data, objective and settings come from the run's folder, the licence from the base's card."""
    assert run(checkpoint, tmp_path / "out", "merged", "bf16", None) == 0

    card = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert (front["license"], front["tags"][-2:]) == ("mit", ["simpo", "toy"])
    for words in (
        "| tiny base | base |",
        "run “my run”, step 4",
        r"Harbor \| pairs",
        "40 train, 3 validation",
        "2.5",
        "more.jsonl",
    ):
        assert words in card, words
    assert "a" * 64 in card
    assert "vllm serve ./out" in capsys.readouterr().out


def test_adapter_with_a_named_base(checkpoint: Path, tmp_path: Path) -> None:
    """The base's name on a hub is given by hand, and stands in the settings and the card; no folder of here does."""
    assert run(checkpoint, tmp_path / "out", "adapter", "as_trained", "someone/tiny") == 0

    told = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == "someone/tiny"
    card = (tmp_path / "out" / "README.md").read_text()
    assert yaml.safe_load(card.split("---\n")[1])["base_model"] == "someone/tiny"
    assert str(checkpoint.parents[2]) not in card


def test_refusals(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be exported ends with its own exit status and a sentence, and writes nothing."""
    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    (broken / "adapter_config.json").write_text('{"base_model_name_or_path": "/nowhere"}')

    assert run(broken, tmp_path / "out", "merged", "as_trained", None) == 64
    assert run(tmp_path, tmp_path / "out", "merged", "as_trained", None) == 64
    assert run(checkpoint, checkpoint, "merged", "as_trained", None) == 64
    assert "not a folder on this machine" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
