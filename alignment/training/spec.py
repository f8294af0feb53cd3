"""What a run is told: one strict model that is the YAML of the command line, the stored record and the launch form.

Only what this version does is accepted; an unknown key is refused with the nearest known one named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from alignment.objectives import REFERENCE, Objective
from alignment.parts import Part
from alignment.training.kinds import (
    Best,
    RunKind,
    RunObjective,
    best_of,
    known,
    of_kind,
    refuse_reference,
    refuse_strange,
)
from alignment.training.thirds import RewardBeta, refuse_idle_beta, refuse_other_thirds

Weight = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


def refuse_some_weights(weights: Sequence[float | None]) -> None:
    """Raise when only some of several sources have a weight."""
    if len({weight is None for weight in weights}) > 1:
        raise PydanticCustomError("some_weights", "give every source a weight, or none of them")


class Source(Part):
    """Where examples come from: a snapshot folder, or a file in a preference format."""

    path: Path = Field(description="Snapshot folder, or a data file when a format is given.")
    format: str | None = Field(None, description="Name of the file's format; leave empty for a snapshot folder.")
    weight: Weight | None = Field(None, description="Share of the draws, relative to the others; for all or for none.")


class FullTuning(Part):
    """Every weight is trained."""

    kind: Literal["full"] = "full"


class LoraTuning(Part):
    """Low-rank adapters are trained beside frozen weights."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(16, ge=1, le=1024, description="Rank of the adapters.")
    alpha: int = Field(32, ge=1, le=4096, description="Scale of the adapters; they are multiplied by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before each adapter.")
    targets: Literal["all-linear"] | list[Annotated[str, Field(min_length=1)]] = Field(
        "all-linear", description="Every linear layer but the output, or the names of the layers.", min_length=1
    )


Tuning = Annotated[FullTuning | LoraTuning, Field(discriminator="kind")]


class Optimizer(Part):
    """AdamW and its learning-rate schedule."""

    name: Literal["adamw"] = "adamw"
    learning_rate: float = Field(5e-7, gt=0, le=1, description="Highest learning rate.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="Course after the warm-up.")
    warmup_ratio: float = Field(0.1, ge=0, lt=1, description="Share of the steps over which the rate rises.")
    weight_decay: float = Field(0.0, ge=0, le=1, description="Decoupled weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, le=1000, description="Gradients are scaled down to this norm.")


class BatchSize(Part):
    """Examples per step, and tokens computed at once; the gradient depends on the first only."""

    examples_per_step: int = Field(32, ge=1, le=65_536, description="Examples in one optimizer step.")
    tokens_per_pack: Literal["auto"] | Annotated[int, Field(ge=16, le=16_777_216)] = Field(
        "auto", description="Most tokens, padding included, in one forward pass; one pair may exceed it."
    )


class Length(Part):
    """Where long texts are cut."""

    max_prompt_tokens: int = Field(1024, ge=1, le=1_048_576, description="Longest prompt; longer ones are cut.")
    max_response_tokens: int = Field(
        1024, ge=1, le=1_048_576, description="Longest response; longer ones are cut on the right, without an end."
    )
    cut_prompt: Literal["left", "right"] = Field("left", description="Side on which a long prompt is cut.")


class Duration(Part):
    """How long: passes over the data, or optimizer steps; exactly one."""

    epochs: float | None = Field(None, gt=0, le=10_000, description="Passes over the training examples.")
    steps: int | None = Field(None, ge=1, le=100_000_000, description="Optimizer steps.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise PydanticCustomError("one_duration", "give either epochs or steps, and not both")
        return self


SAMPLE_TOKENS = 256  # of an answer at an evaluation, at most


class Evaluate(Part):
    """How often the validation split is measured and samples are written; the end of the run always is."""

    every_steps: int = Field(100, ge=1, le=100_000_000, description="Steps between evaluations.")
    samples: int = Field(8, ge=0, le=256, description="Prompts answered at each evaluation.")


class Keep(Part):
    """Which checkpoints stay: one is written at each evaluation and at the end."""

    last: int = Field(2, ge=1, le=1000, description="How many of the latest checkpoints stay.")
    best: Best | None = Field(
        "auto",
        description="Keep also the checkpoint that is best by this metric; auto takes the usual one of the run's kind.",
    )
    state: Literal["checkpoint", "never"] | Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        "checkpoint",
        description="When what it takes to continue the run is saved (12 bytes for each trained weight): with "
        "each checkpoint, every so many steps too, or never.",
    )


Precision = Annotated[
    Literal["fp32", "bf16", "pure_bf16"],
    Field(
        description="Arithmetic; bf16 suits GPUs, and is slow on most CPUs. Trained weights stay fp32 under bf16;"
        " pure_bf16 keeps them in bf16, with fp32 masters split off, which takes less memory."
    ),
]
Checkpointing = Annotated[
    Literal["auto", "on", "off"],
    Field(
        description="Compute each layer again in the backward pass instead of keeping what it needs: less memory, about"
        " a third more time, the same gradients. Auto does so when the memory estimate does not fit."
    ),
]


def _refuse_sharing_alone(value: str, info: ValidationInfo) -> str:
    """Raise when one device is told how to share with others; it stands after the field `devices`."""
    if value != "auto" and info.data.get("devices") == 1:
        raise PydanticCustomError("one_device", "one device shares with nobody: leave it auto, or ask for more devices")
    return value


Devices = Annotated[
    int,
    Field(ge=1, le=64, description="GPUs of one machine that train together, a process for each; no result changes."),
]
Parallel = Annotated[
    Literal["auto", "ddp", "fsdp"],
    AfterValidator(_refuse_sharing_alone),
    Field(
        description="With several devices: each holds the whole model (ddp), or a share of its weights, gradients and"
        " optimizer (fsdp: slower, for models that do not fit otherwise); auto takes ddp where it fits."
    ),
]
Pairs = Annotated[
    Literal["together", "apart"],
    Field(
        description="Apart, each side of a pair is an example of its own for what learns from single answers: the"
        " chosen one wanted, the rejected one unwanted. SFT learns the chosen ones."
    ),
]
TrackerName = Literal["tensorboard", "trackio", "wandb", "mlflow"]


def _each_once(names: list[TrackerName]) -> list[TrackerName]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("named_twice", "name each tracker once")
    return names


Trackers = Annotated[
    list[TrackerName],
    AfterValidator(_each_once),
    Field(
        description="Who else is told of every step, on the machine that trains: tensorboard, trackio, wandb, mlflow.",
    ),
]


def _of_its_kind(value: Objective, info: ValidationInfo) -> Objective:
    """Raise when the loss is none of the run's kind, which stands before it."""
    if kind := info.data.get("kind"):
        refuse_strange(kind, value)
    return value


def _measured(value: Keep, info: ValidationInfo) -> Keep:
    """Raise when the run's kind does not measure what tells the best checkpoint."""
    try:
        if kind := info.data.get("kind"):
            best_of(kind, value.best)
    except PydanticCustomError as error:
        raise ValidationError.from_exception_data(
            "Keep", [InitErrorDetails(type=error, loc=("best",), input=value.best)]
        ) from None
    return value


Loss = Annotated[RunObjective, AfterValidator(_of_its_kind)]
Kept = Annotated[Keep, AfterValidator(_measured)]
Kind = Annotated[
    RunKind,
    BeforeValidator(known),
    Field(
        description="What is trained: a model by preferences, a model by demonstrations (sft), or a score that ranks"
        " responses (reward_model)."
    ),
]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1, description="Decides the order of examples, dropout and samples.")]


def _thirds_of_the_objective(value: dict[str, Path], info: ValidationInfo) -> dict[str, Path]:
    refuse_other_thirds(value, info.data.get("objective"))
    return value


class Spec(Part):
    """A whole training run."""

    kind: Kind = "preference"
    checkpoint: Path = Field(description="Folder of the checkpoint to start from.")
    reference: Path | None = Field(None, description="Folder of the reference; empty for the starting checkpoint.")
    snapshots: list[Source] = Field(min_length=1, description="What to train on.")
    objective: Loss
    third: Annotated[dict[str, Path], AfterValidator(_thirds_of_the_objective)] = Field(
        {},
        validate_default=True,
        description="Folders of other checkpoints, by name: those that the objective asks for (a guide, a teacher), and"
        " those that tell facts in the place of the data (reward, reward_reference).",
    )
    reward_beta: RewardBeta = None
    tuning: Tuning = FullTuning()
    optimizer: Optimizer = Optimizer()
    batch: BatchSize = BatchSize()
    length: Length = Length()
    duration: Duration = Duration(epochs=1)
    precision: Precision = "fp32"
    gradient_checkpointing: Checkpointing = "auto"
    evaluate: Evaluate = Evaluate()
    keep: Kept = Keep()
    devices: Devices = 1
    parallel: Parallel = "auto"
    seed: Seed = 0
    pairs: Pairs = "together"
    trackers: Trackers = []

    _usual_loss = model_validator(mode="before")(of_kind)

    @model_validator(mode="after")
    def _a_reference_only_where_one_is_compared_with(self) -> Self:
        refuse_reference(self.objective, self.reference, "reference")
        return self

    @model_validator(mode="after")
    def _a_scale_only_of_implicit_rewards(self) -> Self:
        refuse_idle_beta(self.reward_beta, self.third, "reward_beta")
        return self

    @property
    def best(self) -> str | None:
        """The metric by which the best checkpoint is known; None where none is kept for being best."""
        return best_of(self.kind, self.keep.best)

    @field_validator("snapshots", mode="after")
    @classmethod
    def _all_weights_or_none(cls, value: list[Source]) -> list[Source]:
        refuse_some_weights([source.weight for source in value])
        return value

    def others(self) -> dict[str, Path]:
        """Folders of the models that the objective asks at every step, by name.

        A run that trains adapters has its starting checkpoint as the reference without loading it again; an anchor that
        follows the policy is no other model.
        """
        live = self.objective.needs.live - ({REFERENCE} if self.objective.needs.anchor else frozenset())
        found = {name: folder for name, folder in self.third.items() if name in live}
        if REFERENCE in live and not (self.reference is None and isinstance(self.tuning, LoraTuning)):
            found[REFERENCE] = self.reference or self.checkpoint
        return found

    def located(self, folder: Path) -> Self:
        """The same spec with paths that were relative to `folder` made absolute."""
        sources = [source.model_copy(update={"path": (folder / source.path).resolve()}) for source in self.snapshots]
        reference = None if self.reference is None else (folder / self.reference).resolve()
        third = {name: (folder / path).resolve() for name, path in self.third.items()}
        where = {"checkpoint": (folder / self.checkpoint).resolve(), "reference": reference, "snapshots": sources}
        return self.model_copy(update=where | {"third": third})
