"""Models and data that people start with, read from a TOML file: architectures, licenses, settings that suit them.

Importing this module does not import torch.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from alignment.formats import FORMATS, Columns, Kind, Mapped
from alignment.objectives import CATALOGUE, Objective
from alignment.parts import Part, unknown
from alignment.training.estimate import Estimate, Settings, estimate_parts
from alignment.training.folder import CheckpointFacts
from alignment.training.spec import BatchSize, Duration, FullTuning, LoraTuning

CLASSES = {"llama": "LlamaForCausalLM", "qwen3": "Qwen3ForCausalLM", "gemma3_text": "Gemma3ForCausalLM"}
TUNINGS: tuple[TuningKind, ...] = ("lora", "full")
RANK, ALPHA = 16, 32

TuningKind = Literal["full", "lora"]
HubId = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*/\w[\w.-]*$", max_length=200)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=1, le=10**12)]


class Architecture(Part):
    """The numbers of a model's config.json, under its own names."""

    model_type: Literal["llama", "qwen3", "gemma3_text"]
    hidden_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    num_key_value_heads: Count
    head_dim: Count
    intermediate_size: Count
    vocab_size: Count
    tie_word_embeddings: bool
    max_position_embeddings: Count
    rope_parameters: dict[str, Any]
    sliding_window: Count | None = None
    global_every: Count | None = Field(None, description="Each how manieth layer sees everything; null: all do.")

    def config(self) -> dict[str, Any]:
        """The keyword arguments of the model type's configuration in transformers."""
        given = self.model_dump(exclude={"model_type", "global_every"}, exclude_none=True)
        if self.global_every is not None:
            kinds = {True: "full_attention", False: "sliding_attention"}
            layers = range(1, self.num_hidden_layers + 1)
            given["layer_types"] = [kinds[layer % self.global_every == 0] for layer in layers]
        return given

    def linear_shapes(self) -> tuple[tuple[str, int, int], ...]:
        """Name, outputs and inputs of every linear layer but the last."""
        hidden, inner = self.hidden_size, self.intermediate_size
        queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        layer = (
            ("self_attn.q_proj", queries, hidden),
            ("self_attn.k_proj", keys, hidden),
            ("self_attn.v_proj", keys, hidden),
            ("self_attn.o_proj", hidden, queries),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        )
        return tuple(
            (f"model.layers.{index}.{name}", rows, columns)
            for index in range(self.num_hidden_layers)
            for name, rows, columns in layer
        )


class Setting(Part):
    """A learning rate, and the parameters of the objective it belongs to."""

    learning_rate: float = Field(gt=0, le=1)
    settings: dict[str, float]


class Recipe(Part):
    """Settings by objective, for training all weights and for adapters."""

    full: dict[str, Setting] = Field(min_length=1)
    lora: dict[str, Setting] = Field(min_length=1)

    @model_validator(mode="after")
    def _objectives_exist(self) -> Self:
        for by_name in (self.full, self.lora):
            for name, setting in by_name.items():
                if name not in CATALOGUE:
                    raise unknown("objective", name, CATALOGUE)
                CATALOGUE[name].model_validate(setting.settings)
        return self


class Gibibytes(Part):
    full: float = Field(gt=0)
    lora: float = Field(gt=0)


class Model(Part):
    """A model of a hub, and how training it is begun."""

    name: Words
    family: Words
    hub_id: HubId = Field(description="The one that answers in chat: what preferences usually start from.")
    base_hub_id: HubId
    license: Words
    gated: bool
    parameters: Count
    recipe: Words
    lora_targets: list[Words] = Field(min_length=1)
    memory_gib: Gibibytes
    architecture: Architecture

    @property
    def class_name(self) -> str:
        """What `architectures` in its config.json says."""
        return CLASSES[self.architecture.model_type]

    @property
    def stored_parameters(self) -> tuple[int, ...]:
        """Numbers of parameters that its files may hold: some repeat a shared embedding as the last layer."""
        architecture = self.architecture
        repeated = architecture.vocab_size * architecture.hidden_size if architecture.tie_word_embeddings else 0
        return (self.parameters, self.parameters + repeated) if repeated else (self.parameters,)

    def tuning(self, kind: TuningKind) -> FullTuning | LoraTuning:
        """The tuning part of a run."""
        return FullTuning() if kind == "full" else LoraTuning(rank=RANK, alpha=ALPHA, targets=self.lora_targets)

    def facts(self) -> CheckpointFacts:
        """What a folder of it would tell, so that it can be estimated before it is downloaded."""
        numbers = self.architecture
        return CheckpointFacts(
            folder=Path(self.hub_id),
            adapter=False,
            base=None,
            architecture=self.class_name,
            parameters=self.parameters,
            weight_bytes=2 * self.parameters,
            max_tokens=numbers.max_position_embeddings,
            layers=numbers.num_hidden_layers,
            hidden=numbers.hidden_size,
            vocabulary=numbers.vocab_size,
            linear_shapes=numbers.linear_shapes(),
            model_type=numbers.model_type,
        )

    def estimate(self, kind: TuningKind, device: str) -> Estimate:
        """What a run of it takes: in bf16 on a GPU, in fp32 on a CPU."""
        settings = Settings(
            tuning=self.tuning(kind),
            batch=BatchSize(),
            duration=Duration(epochs=1),
            precision="fp32" if device == "cpu" else "bf16",
            gradient_checkpointing="off",
            kept_reference=True,
        )
        return estimate_parts(self.facts(), settings, examples=10_000, device=device)


class Dataset(Part):
    """A split of a hub's dataset, and how its rows are read."""

    name: Words
    hub_id: HubId
    config: Words
    split: Words
    format: Words
    columns: Columns | None = None
    kind: Kind
    license: Words
    rows: Count
    text: Words

    @model_validator(mode="after")
    def _format_reads_it(self) -> Self:
        kinds = {name: form.KINDS for name, form in FORMATS.items()}
        if (self.format == Mapped.NAME) is not (self.columns is not None):
            raise ValueError("columns belong to the format mapped, and it needs them")
        if self.columns is None and self.format not in kinds:
            raise unknown("format", self.format, kinds)
        if self.columns is None and self.kind not in kinds[self.format]:
            raise ValueError(f"{self.format} holds no {self.kind} data")
        return self


class Presets(Part):
    """The whole file."""

    recipes: dict[str, Recipe]
    models: list[Model] = Field(min_length=1)
    datasets: list[Dataset]

    @model_validator(mode="after")
    def _recipes_exist(self) -> Self:
        for model in self.models:
            if model.recipe not in self.recipes:
                raise unknown("recipe", model.recipe, self.recipes)
        return self

    def settings(self, model: Model, kind: TuningKind) -> dict[str, tuple[Objective, float]]:
        """By the name of each objective: the objective with its parameters, and the learning rate."""
        by_name = getattr(self.recipes[model.recipe], kind)
        return {
            name: (CATALOGUE[name].model_validate(setting.settings), setting.learning_rate)
            for name, setting in by_name.items()
        }


def load(path: Path) -> Presets:
    """The presets in a file.  Raises ValidationError naming the field, TOMLDecodeError naming the line."""
    return Presets.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
