"""`plumbline train`: the training of the browser from a YAML file, with no server."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from plumbline.cli import app
from tests.checkpoints import make_llama

WORDS = ("kind", "short", "plain", "clear", "calm", "fair", "warm", "true")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec for a tiny checkpoint and sixteen pairs."""
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Say {word} {n}."}],
            "chosen": [{"role": "assistant", "content": f"Gladly: {word}."}],
            "rejected": [{"role": "assistant", "content": "No."}],
        }
        for n in range(4)
        for word in WORDS
    ]
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = make_llama(tmp_path / "base", [json.dumps(row) for row in rows])
    path = tmp_path / "spec.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "checkpoint": str(base),
                "snapshots": [{"path": str(data), "format": "trl"}],
                "objective": {"name": "dpo", "beta": 0.1},
                "duration": {"steps": 2},
                "batch": {"examples_per_step": 4},
                "evaluate": {"every_steps": 2, "samples": 0},
                "precision": "fp32",
            }
        )
    )
    return path


@pytest.mark.slow
def test_a_spec_becomes_a_checkpoint(spec: Path, tmp_path: Path) -> None:
    """The folder then holds spec, events and weights, and the terminal says where they are; a second run is refused."""
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["train", str(spec), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert (out / "checkpoints" / "2" / "model.safetensors").exists()
    assert "rewards/accuracies" in done.output
    again = CliRunner().invoke(app, ["train", str(spec), "--out", str(out)])
    assert again.exit_code == 64
    assert "a run that has come to its end" in " ".join(again.output.split())


def test_a_wrong_spec_is_told_with_its_exit_code(tmp_path: Path) -> None:
    """A misspelt key is named with the nearest known one, and nothing is written."""
    path = tmp_path / "spec.yaml"
    path.write_text("checkpointt: ./base\n")
    done = CliRunner().invoke(app, ["train", str(path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 64
    assert "checkpoint" in done.output
    assert not (tmp_path / "out").exists()


def test_a_missing_spec_is_told(tmp_path: Path) -> None:
    """A path that is not there is a usage error, before anything is loaded."""
    done = CliRunner().invoke(app, ["train", str(tmp_path / "none.yaml"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2


def test_a_model_without_a_chat_template_asks_for_one(spec: Path, tmp_path: Path) -> None:
    """The terminal names the file to add, and nothing is trained."""
    (tmp_path / "base" / "chat_template.jinja").unlink()

    done = CliRunner().invoke(app, ["train", str(spec), "--out", str(tmp_path / "out")])

    assert done.exit_code == 64
    assert "has no chat template" in " ".join(done.output.split())
    assert "chat_template.jinja" in done.output


def test_a_chat_template_that_refuses_a_question_is_named(spec: Path, tmp_path: Path) -> None:
    """Its own reason reaches the terminal."""
    (tmp_path / "base" / "chat_template.jinja").write_text("{{ raise_exception('Only on Mondays') }}")

    done = CliRunner().invoke(app, ["train", str(spec), "--out", str(tmp_path / "out")])

    assert done.exit_code == 64
    assert "Only on Mondays" in " ".join(done.output.split())
