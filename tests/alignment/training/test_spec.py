"""A spec accepts what training does, and refuses the rest with the field and the nearest name."""

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from alignment.training import Spec
from alignment.training.errors import BadSpec, problems_of
from alignment.training.run import read_spec

PLAIN: dict[str, Any] = {
    "checkpoint": "./models/base",
    "snapshots": [{"path": "./snapshots/ab12"}],
    "objective": {"name": "dpo", "beta": 0.1},
}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"objetive": 1}, "objetive", "did you mean 'objective'"),
        ({"objective": {"name": "dppo"}}, "objective.name", "did you mean 'dpo'"),
        ({"objective": {"name": "dpo", "betta": 1}}, "objective.betta", "did you mean 'beta'"),
        ({"optimizer": {"learning_rat": 1}}, "optimizer.learning_rat", "did you mean 'learning_rate'"),
        ({"optimizer": {"name": "muon"}}, "optimizer.name", "Must be adamw"),
        ({"optimizer": {"learning_rate": 0}}, "optimizer.learning_rate", "above 0"),
        ({"optimizer": {"learning_rate": float("nan")}}, "optimizer.learning_rate", "finite"),
        ({"optimizer": {"warmup_ratio": 1}}, "optimizer.warmup_ratio", "below 1"),
        ({"batch": {"examples_per_step": 0}}, "batch.examples_per_step", "at least 1"),
        ({"length": {"cut_prompt": "middle"}}, "length.cut_prompt", "left or right"),
        ({"duration": {"epochs": 1, "steps": 2}}, "duration", "and not both"),
        ({"duration": {}}, "duration", "either epochs or steps"),
        ({"precision": "fp16"}, "precision", "bf16 or pure_bf16"),
        ({"kind": "preferense"}, "kind", "did you mean 'preference'"),
        ({"kind": ["sft"]}, "kind", "unknown kind"),
        ({"kind": "sft"}, "objective", "DPO trains runs of kind preference"),
        ({"kind": "reward_model", "objective": {"name": "sft"}}, "objective", "takes bradley_terry"),
        ({"objective": {"name": "sft"}}, "objective", "takes one of the objectives"),
        ({"kind": "sft", "objective": None, "reference": "./other"}, "reference", "compares with no reference"),
        ({"objective": {"name": "simpo"}, "reference": "./other"}, "reference", "SimPO compares with no reference"),
        (
            {"objective": {"name": "weighted", "base": {"name": "orpo"}}, "reference": "./other"},
            "reference",
            "compares with no reference",
        ),
        (
            {"kind": "sft", "objective": None, "keep": {"best": "eval/rewards/accuracies"}},
            "keep.best",
            "does not measure",
        ),
        ({"devices": 0}, "devices", "at least 1"),
        ({"devices": 65}, "devices", "at most 64"),
        ({"parallel": "fsdp"}, "parallel", "ask for more devices"),
        ({"devices": 2, "parallel": "fdsp"}, "parallel", "ddp or fsdp"),
        ({"third": {"guide": "x"}}, "third", "asks for no checkpoint"),
        ({"diagnostics": "all"}, "diagnostics", "unknown key"),
        ({"snapshots": []}, "snapshots", "not be empty"),
        ({"snapshots": [{"path": "x", "weight": 0}]}, "snapshots.0.weight", "above 0"),
        ({"snapshots": [{"path": "x", "weight": math.inf}]}, "snapshots.0.weight", "finite"),
        ({"snapshots": [{"path": "x", "weight": 2}, {"path": "y"}]}, "snapshots", "every source a weight"),
        ({"snapshots": [{"path": "x", "wait": 2}]}, "snapshots.0.wait", "unknown key"),
        ({"seed": -1}, "seed", "at least 0"),
        ({"tuning": {"kind": "lora", "rank": 0}}, "tuning.lora.rank", "at least 1"),
        ({"tuning": {"kind": "full", "rank": 8}}, "tuning.full.rank", "unknown key"),
        ({"keep": {"best": "eval/nothing"}}, "keep.best", "eval/loss"),
    ],
)
def test_what_training_does_not_do_is_refused_at_its_field(changes: dict[str, Any], field: str, words: str) -> None:
    """No key, kind or value is accepted and then ignored."""
    with pytest.raises(ValidationError) as refused:
        Spec.model_validate({**PLAIN, **changes})

    (problem,) = problems_of(refused.value)
    assert problem.field == field
    assert words in problem.message


def test_every_problem_is_told_at_once() -> None:
    """A person corrects a spec in one go: all fields that are wrong are listed."""
    with pytest.raises(ValidationError) as refused:
        Spec.model_validate({**PLAIN, "seed": -1, "sede": 1, "batch": {"examples_per_step": 0, "tokens": 1}})

    assert {problem.field for problem in problems_of(refused.value)} == {
        "seed",
        "sede",
        "batch.examples_per_step",
        "batch.tokens",
    }


def test_a_spec_survives_its_record() -> None:
    """What is stored as JSON is the same spec when read back."""
    spec = Spec.model_validate({**PLAIN, "tuning": {"kind": "lora", "targets": ["q_proj"]}})

    assert Spec.model_validate_json(spec.model_dump_json()) == spec


def test_paths_of_a_spec_file_are_relative_to_it(tmp_path: Path) -> None:
    """A spec means the same from whatever folder it is run."""
    (tmp_path / "run.yaml").write_text(
        "checkpoint: base\nsnapshots: [{path: ../data}]\nobjective: {name: simpo}\nduration: {steps: 5}\n"
    )

    spec = read_spec(tmp_path / "run.yaml")

    assert spec.checkpoint == tmp_path / "base"
    assert spec.snapshots[0].path == tmp_path.parent / "data"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"checkpoint: [\n", "line"),
        (b"- a\n- b\n", "no fields"),
        (b"", "no fields"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"a: \x00", "YAML"),
        (b"checkpoint: x\n", "snapshots"),
    ],
)
def test_a_damaged_spec_file_is_refused_with_the_place(tmp_path: Path, content: bytes, words: str) -> None:
    """A file that is no spec gives a sentence, never a traceback."""
    (tmp_path / "run.yaml").write_bytes(content)

    with pytest.raises(BadSpec) as refused:
        read_spec(tmp_path / "run.yaml")

    assert words in refused.value.detail
    assert refused.value.exit_code == 64


def test_a_missing_spec_file_is_named(tmp_path: Path) -> None:
    """The message names the file that is not there."""
    with pytest.raises(BadSpec, match=r"absent\.yaml does not exist"):
        read_spec(tmp_path / "absent.yaml")
