"""The models and data that people start with: what the file states is what the architectures are and can do."""

import random
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from alignment.formats import FORMATS, Mapped
from alignment.objectives import CATALOGUE
from alignment.presets import Model, Presets, TuningKind, load
from alignment.training import train
from alignment.training.folder import inspect
from tests.alignment.training.conftest import MakeSpec, sentence
from tests.checkpoints import make_tokenizer

FILE = Path(__file__).resolve().parents[3] / "plumbline" / "presets" / "models.toml"
PRESETS = load(FILE)
TOLERANCE = 0.1
WANTED = {"SmolLM2 135M", "SmolLM2 360M", "Qwen3 0.6B", "Qwen3 1.7B", "Qwen3 4B", "Qwen3 8B", "Llama 3.2 1B",
          "Llama 3.2 3B", "Gemma 3 1B"}  # fmt: skip
TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "intermediate_size": 64,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "pad_token_id": 0,
}
ROWS: dict[str, dict[str, Any]] = {
    "HuggingFaceH4/ultrafeedback_binarized": {
        "prompt": "Q",
        "prompt_id": "a",
        "chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "good"}],
        "rejected": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "bad"}],
        "messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "good"}],
        "score_chosen": 8.5,
        "score_rejected": 6.0,
    },
    "Anthropic/hh-rlhf": {"chosen": "\n\nHuman: Q\n\nAssistant: good", "rejected": "\n\nHuman: Q\n\nAssistant: bad"},
    "nvidia/HelpSteer3": {
        "domain": "general",
        "language": "english",
        "context": [{"role": "user", "content": "Q"}],
        "response1": "a",
        "response2": "b",
        "overall_preference": 2,
        "individual_preference": [{"score": 2, "reasoning": "clear", "feedback1": "x", "feedback2": "y"}],
    },
    "argilla/distilabel-intel-orca-dpo-pairs": {"system": "S", "input": "Q", "chosen": "good", "rejected": "bad"},
    "berkeley-nest/Nectar": {
        "prompt": "\n\nHuman: Q\n\nAssistant: ",
        "answers": [{"answer": "good", "model": "m", "rank": 1.0}, {"answer": "bad", "model": "n", "rank": 2.0}],
        "turns": 1,
        "num_responses": 2,
        "source": ["s"],
        "good_natured": True,
    },
}
"""A made-up row in the columns that each recommended dataset has on the hub."""


def named(one: Any) -> str:
    return str(one.name)


def build(model: Model, **smaller: Any) -> PreTrainedModel:
    config = AutoConfig.for_model(model.architecture.model_type, **model.architecture.config() | smaller)
    built: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    return built


def test_the_models_that_people_start_with_are_there() -> None:
    """None of the promised models has gone, and none is there twice."""
    names = [model.name for model in PRESETS.models]

    assert set(names) == WANTED
    assert len(names) == len(WANTED)


@pytest.mark.parametrize("model", PRESETS.models, ids=named)
def test_the_architecture_has_the_stated_parameters(model: Model) -> None:
    """Built without weights from the numbers of the file, a model has the stated count, class and linear layers."""
    with torch.device("meta"):
        built = build(model)
    linear = {
        (name.removesuffix(".weight"), *weight.shape)
        for name, weight in built.named_parameters()
        if weight.dim() == 2 and "embed_tokens" not in name and "lm_head" not in name
    }

    assert sum(weight.numel() for weight in built.parameters()) == model.parameters
    assert type(built).__name__ == model.class_name
    assert linear == set(model.architecture.linear_shapes())
    assert all(any(name.endswith(f".{target}") for name, *_ in linear) for target in model.lora_targets)


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("model", PRESETS.models, ids=named)
def test_the_memory_estimate_is_the_stated_one(model: Model, kind: TuningKind) -> None:
    """The estimate lies within 10 % of the stated figure, and never below what weights and optimizer alone take."""
    found = model.estimate(kind, "cuda")
    floor = model.parameters * (16 if kind == "full" else 2)

    assert found.memory_total / 2**30 == pytest.approx(getattr(model.memory_gib, kind), rel=TOLERANCE)
    assert found.memory_total > floor


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("model", PRESETS.models, ids=named)
def test_the_settings_are_sane(model: Model, kind: TuningKind) -> None:
    """Every objective of this version has a rate and parameters; adapters learn faster than whole weights."""
    settings = PRESETS.settings(model, kind)

    assert set(settings) == {"dpo", "cdpo", "ipo_avg", "simpo"} <= set(CATALOGUE)
    for objective, rate in settings.values():
        low, high = (1e-7, 2e-6) if kind == "full" else (2e-6, 5e-5)
        assert low <= rate <= high
        values = objective.model_dump()
        assert 0.01 <= values.get("beta", values.get("tau", 0)) <= 5


@pytest.mark.parametrize("dataset", PRESETS.datasets, ids=named)
def test_a_recommended_dataset_is_read_by_the_format_it_names(dataset: Any) -> None:
    """A row in the hub's columns is claimed and parsed by that format, and is of the stated kind."""
    row = ROWS[dataset.hub_id]
    form = Mapped(dataset.columns) if dataset.columns else FORMATS[dataset.format]

    assert dataset.columns or form.claims(row)
    assert form.parse(row).kind == dataset.kind


@pytest.mark.parametrize("name", ["SmolLM2 135M", "Qwen3 0.6B", "Gemma 3 1B"])
def test_a_tiny_model_of_each_family_trains(name: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    """A shrunken model of the same architecture trains by the preset's adapters, and its folder tells the class."""
    model = next(one for one in PRESETS.models if one.name == name)
    rng = random.Random(1)
    tokenizer = make_tokenizer([sentence(rng) for _ in range(100)])
    tiny = TINY | {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    if model.architecture.global_every:
        tiny["layer_types"] = model.architecture.config()["layer_types"][:6]
        tiny["sliding_window"] = 16
    built = build(model, **tiny)
    built.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    spec = make_spec(
        checkpoint=str(tmp_path / "base"),
        tuning=model.tuning("lora").model_dump(),
        duration={"steps": 2},
        evaluate={"every_steps": 100, "samples": 0},
    )
    events: list[dict[str, Any]] = []
    summary = train(spec, tmp_path / "out", events.append)
    losses = [event["values"]["loss"] for event in events if event["type"] == "step" and event["examples"]]

    assert inspect(tmp_path / "base").architecture == model.class_name
    assert len(losses) == 2
    assert losses[0] == pytest.approx(0.693147, abs=1e-4)
    assert summary.checkpoint is not None
    assert inspect(summary.checkpoint).adapter


def test_files_may_hold_a_shared_embedding_twice() -> None:
    """A checkpoint is recognized whether or not its files repeat the embedding as the last layer."""
    counts = {model.name: model.stored_parameters for model in PRESETS.models}

    assert counts["Qwen3 0.6B"] == (596_049_920, 751_632_384)
    assert counts["Qwen3 8B"] == (8_190_735_360,)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("recipes", "small", "full", "dpoo"), {"learning_rate": 1e-6, "settings": {}}, "did you mean 'dpo'"),
        (("recipes", "small", "full", "dpo", "settings", "bta"), 0.1, "did you mean 'beta'"),
        (("recipes", "small", "full", "dpo", "settings", "beta"), -1, "greater than 0"),
        (("recipes", "small", "full", "dpo", "learning_rate"), float("nan"), "finite"),
        (("models", 0, "recipe"), "smal", "did you mean 'small'"),
        (("models", 0, "hub_id"), "../etc", "match pattern"),
        (("models", 0, "hub_id"), "a/b?x=1", "match pattern"),
        (("models", 0, "architecture", "hidden_size"), 0, "greater than or equal"),
        (("models", 0, "architecture", "model_type"), "gpt2", "llama"),
        (("models", 0, "colour"), "red", "unknown key"),
        (("datasets", 0, "format"), "ultrafeedbak", "did you mean 'ultrafeedback'"),
        (("datasets", 0, "kind"), "ranked", "no ranked data"),
        (("datasets", 0, "columns"), {"prompt": "p"}, "columns belong"),
    ],
)
def test_a_file_that_is_wrong_is_refused(path: tuple[Any, ...], value: Any, words: str) -> None:
    """An unknown objective, parameter, recipe, format or key, and numbers out of bounds, are named."""
    raw = tomllib.loads(FILE.read_text())
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    with pytest.raises(ValidationError, match=words):
        Presets.model_validate(raw)


def test_presets_are_read_without_torch() -> None:
    """The web server reads the file without loading the training libraries."""
    program = (
        "import sys, pathlib, alignment.presets as presets;"
        "presets.load(pathlib.Path(sys.argv[1])); assert 'torch' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", program, str(FILE)], check=True)
