"""POST /runs/convert: configurations of other trainers at the new-run form; and the same on the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from plumbline.cli import app
from tests.conftest import Client

CONFIG = "model_name_or_path: someone/base\ndataset_name: me/pairs\nbeta: 0.2\nper_device_train_batch_size: 4\nfoo: 1\n"


def test_signed_out_and_annotators_are_refused(anonymous: Client, annotator: Client) -> None:
    """Runs are for researchers."""
    assert anonymous.post("/api/v1/runs/convert", json={"text": CONFIG}).status_code == 401
    assert annotator.post("/api/v1/runs/convert", json={"text": CONFIG}).status_code == 403


def test_a_config_becomes_the_parts_of_a_run(researcher: Client) -> None:
    """The recipe, and each value's fate; what is not in the project must be chosen."""
    found = researcher.post("/api/v1/runs/convert", json={"text": CONFIG, "devices": 2}).json()
    assert found["tool"] == "TRL"
    assert found["spec"]["objective"] == {"name": "dpo", "beta": 0.2}
    assert found["spec"]["batch"] == {"examples_per_step": 8}
    assert (found["checkpoint"], found["checkpoint_id"]) == ("someone/base", None)
    assert [one["key"] for one in found["ignored"]] == ["foo"]


@pytest.mark.parametrize("text", ["loss_type: exotic", "learning_rate: 5", "seed: -1", "", "beta: -1"])
def test_what_cannot_be_done_is_422_with_its_name(researcher: Client, text: str) -> None:
    """An unknown loss, or a value out of bounds, is told with what to do."""
    answer = researcher.post("/api/v1/runs/convert", json={"text": text})
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert answer.json()["field"] == "text"


def test_the_command_line_prints_the_spec(tmp_path: Path) -> None:
    """The spec goes to the output, what was made of each value beside it; a refusal exits with 1."""
    (tmp_path / "dpo.yaml").write_text(CONFIG)
    ran = CliRunner().invoke(app, ["convert-config", str(tmp_path / "dpo.yaml"), "--devices", "2"])
    assert ran.exit_code == 0
    assert "examples_per_step: 8" in ran.stdout
    (tmp_path / "dpo.yaml").write_text("loss_type: exotic")
    assert CliRunner().invoke(app, ["convert-config", str(tmp_path / "dpo.yaml")]).exit_code == 1
