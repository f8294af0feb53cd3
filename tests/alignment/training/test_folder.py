"""What a checkpoint folder must hold, told from its files alone; and estimates made from them."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from alignment.training import Spec
from alignment.training.errors import CheckpointRefused
from alignment.training.estimate import adapter_parameters, estimate
from alignment.training.folder import inspect
from alignment.training.model import add_adapters, load_model
from alignment.training.spec import LoraTuning
from tests.alignment.training.conftest import MakeSpec


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "copy"))


def test_the_facts_of_a_folder_are_those_of_the_loaded_model(base: Path) -> None:
    """Parameters and context are read from headers, and agree with the model."""
    facts, model = inspect(base), load_model(base)

    assert facts.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert facts.max_tokens == 256
    assert facts.architecture == "LlamaForCausalLM"
    assert not facts.adapter


def test_pickled_weights_are_refused(copy: Path) -> None:
    """A pickle can run code when it is opened; it is never opened."""
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04.")

    with pytest.raises(CheckpointRefused, match=r"pytorch_model\.bin"):
        inspect(copy)


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (["model.safetensors"], "no safetensors"),
        (["tokenizer.json"], "no tokenizer"),
        (["chat_template.jinja"], "no chat template"),
        (["config.json"], "no config.json"),
    ],
)
def test_a_folder_that_lacks_something_is_refused_by_its_name(copy: Path, gone: list[str], words: str) -> None:
    """The message names what is missing."""
    for name in gone:
        (copy / name).unlink()

    with pytest.raises(CheckpointRefused, match=words) as refused:
        inspect(copy)
    assert refused.value.remedy


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 64, b"\x08\x00\x00\x00\x00\x00\x00\x00[1, 2,]", b"\x02" + b"\0" * 7 + b"[]"]
)
def test_damaged_weights_are_refused(copy: Path, content: bytes) -> None:
    """A truncated or invented header gives a sentence."""
    (copy / "model.safetensors").write_bytes(content)

    with pytest.raises(CheckpointRefused, match="damaged"):
        inspect(copy)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"architectures": 3}'])
def test_a_damaged_config_is_refused(copy: Path, content: str) -> None:
    """A config that is no JSON object, or names no known model, gives a sentence."""
    (copy / "config.json").write_text(content)

    with pytest.raises(CheckpointRefused):
        inspect(copy)


def test_code_in_a_folder_is_not_run(copy: Path, tmp_path: Path) -> None:
    """A folder that brings its own code is refused, and the code stays asleep."""
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoModelForCausalLM": "mine.Mine", "AutoConfig": "mine.Config"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")

    with pytest.raises(CheckpointRefused):
        load_model(copy)
    assert not (tmp_path / "ran").exists()


def test_an_adapter_whose_base_is_gone_is_refused(copy: Path) -> None:
    """The message names the base that is missing."""
    (copy / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/nowhere/base"}))

    with pytest.raises(CheckpointRefused, match="/nowhere/base"):
        inspect(copy)


def test_an_adapter_of_itself_is_refused(copy: Path) -> None:
    """A circle of bases ends with a sentence, not for ever."""
    (copy / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(copy)}))

    with pytest.raises(CheckpointRefused, match="itself"):
        inspect(copy)


def test_the_estimate_counts_adapters_as_peft_makes_them(base: Path) -> None:
    """Trainable parameters are told exactly, without loading the model."""
    for targets in ("all-linear", ["q_proj", "v_proj"]):
        tuning = LoraTuning.model_validate({"rank": 4, "targets": targets})
        model = add_adapters(load_model(base), tuning, base)
        made = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

        assert adapter_parameters(inspect(base), tuning) == made


def test_the_estimate_of_a_run_adds_up(make_spec: MakeSpec) -> None:
    """Steps follow from epochs and examples; memory is the sum of its parts; LoRA takes less for what is trained."""
    full = estimate(Spec.model_validate(make_spec(duration={"epochs": 2})), examples=10)
    lora = estimate(Spec.model_validate(make_spec(tuning={"kind": "lora", "rank": 2})), examples=10)

    assert full.steps == 5
    parts = full.memory
    kept = parts.weights + parts.gradients + parts.optimizer + parts.activations + parts.reference
    assert full.memory_total == kept + parts.libraries + parts.kernels
    assert parts.libraries > 0 == parts.kernels
    assert full.memory.optimizer == 2 * full.memory.gradients == 8 * full.parameters
    assert lora.trainable < full.trainable == full.parameters
    assert lora.memory.gradients + lora.memory.optimizer < full.memory.gradients + full.memory.optimizer


def test_adapters_on_layers_that_do_not_exist_are_refused(base: Path) -> None:
    """A misspelt layer name is told at its field."""
    with pytest.raises(CheckpointRefused) as refused:
        add_adapters(load_model(base), LoraTuning(targets=["kw_proj"]), base)

    assert refused.value.field == "tuning.targets"


def test_bf16_adapters_are_trained_in_fp32(base: Path) -> None:
    """Frozen weights may be small; what is trained keeps its precision."""
    model = add_adapters(load_model(base, torch.bfloat16), LoraTuning(rank=2), base)

    assert {parameter.dtype for parameter in model.parameters() if parameter.requires_grad} == {torch.float32}


@pytest.mark.parametrize("content", [b"[" * 100_000, b" " * (51 << 20), b"\xff"])
def test_a_hostile_configuration_is_refused(copy: Path, content: bytes) -> None:
    """Neither endless nesting nor an endless file is followed."""
    (copy / "config.json").write_bytes(content)

    with pytest.raises(CheckpointRefused, match=r"config\.json"):
        inspect(copy)


def test_damaged_weights_are_refused_by_name(copy: Path) -> None:
    """A file that was not copied to its end is the folder's fault, and said so."""
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])

    with pytest.raises(CheckpointRefused, match="damaged"):
        load_model(copy)
