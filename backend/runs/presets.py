"""Starting points for the launch form: parts of a spec that go well together."""

from typing import Any

from pydantic import BaseModel, Field

from alignment.training.kinds import KINDS


class Suits(BaseModel):
    """The checkpoints that a preset is for, by what is known of every checkpoint."""

    architecture: str
    parameters: list[int]


class Preset(BaseModel):
    """A named start; `values` are parts of a RunIn."""

    name: str
    title: str
    text: str
    values: dict[str, Any]
    suits: Suits | None = Field(None, description="Null: any checkpoint.")
    objectives: dict[str, dict[str, Any]] = Field({}, description="Parts that another objective changes, by its name.")


def _others(sft: float, scores: float) -> dict[str, dict[str, Any]]:
    """Learning rates of runs that are no preference runs: they move weights further."""
    rates = dict.fromkeys(KINDS["sft"].losses, sft) | dict.fromkeys(KINDS["reward_model"].losses, scores)
    return {name: {"objective": {"name": name}, "optimizer": {"learning_rate": rate}} for name, rate in rates.items()}


PRESETS = (
    Preset(
        name="toy",
        title="Toy world",
        text="For the toy checkpoint: all its weights, about a minute on two cores.",
        values={
            "objective": {"name": "dpo", "beta": 0.3},
            "tuning": {"kind": "full"},
            "optimizer": {
                "learning_rate": 3e-4, "schedule": "cosine", "warmup_ratio": 0.1,
                "weight_decay": 0.0, "max_grad_norm": 1.0,
            },
            "batch": {"examples_per_step": 32, "tokens_per_pack": "auto"},
            "length": {"max_prompt_tokens": 96, "max_response_tokens": 160, "cut_prompt": "left"},
            "duration": {"epochs": 1},
            "precision": "fp32",
            "evaluate": {"every_steps": 30, "samples": 2},
            "keep": {"last": 1, "best": None},
            "seed": 0,
        },
        objectives=_others(3e-4, 3e-4),
    ),
    Preset(
        name="try",
        title="Quick try",
        text="A few steps on little memory, to see that everything fits together.",
        values={
            "tuning": {"kind": "lora", "rank": 8, "alpha": 16},
            "optimizer": {"learning_rate": 1e-5},
            "batch": {"examples_per_step": 8},
            "length": {"max_prompt_tokens": 256, "max_response_tokens": 256},
            "duration": {"steps": 20},
            "evaluate": {"every_steps": 10, "samples": 4},
        },
        objectives=_others(2e-4, 1e-4),
    ),
    Preset(
        name="lora",
        title="LoRA",
        text="Adapters beside frozen weights: little memory, small checkpoints, a higher learning rate.",
        values={
            "tuning": {"kind": "lora", "rank": 16, "alpha": 32},
            "optimizer": {"learning_rate": 5e-6},
            "batch": {"examples_per_step": 32},
            "duration": {"epochs": 1},
        },
        objectives=_others(2e-4, 1e-4),
    ),
    Preset(
        name="full",
        title="All weights",
        text="Every weight is trained: four times the memory of the weights, and a low learning rate.",
        values={
            "tuning": {"kind": "full"},
            "optimizer": {"learning_rate": 5e-7},
            "batch": {"examples_per_step": 32},
            "duration": {"epochs": 1},
        },
        objectives=_others(2e-5, 1e-5),
    ),
)  # fmt: skip
