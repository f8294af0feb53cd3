"""Starting points of the launch form that are for one known model each."""

from typing import Any

from alignment.presets import TUNINGS, Model, TuningKind
from backend.presets.catalogue import presets
from backend.runs.estimate import NVIDIA
from backend.runs.presets import PRESETS, Preset, Suits


def for_models() -> list[Preset]:
    """The starts that are for one known model each: adapters, then all weights."""
    return [_for_model(model, kind) for model in presets().models for kind in TUNINGS]


def _for_model(model: Model, kind: TuningKind) -> Preset:
    by_objective = {
        name: {"objective": {"name": name, **objective.model_dump()}, "optimizer": {"learning_rate": rate}}
        for name, (objective, rate) in presets().settings(model, kind).items()
    }
    way = "LoRA" if kind == "lora" else "All weights"
    return Preset(
        name=f"{model.hub_id.split('/')[1].lower()}-{kind}",
        title=f"{way}, {model.name}",
        text=f"A start for {model.name}: the rate and strength follow the objective.",
        values={
            **by_objective.get("dpo", next(iter(by_objective.values()))),
            "tuning": model.tuning(kind).model_dump(),
            "batch": {"examples_per_step": 32},
            "duration": {"epochs": 1},
            "precision": "bf16" if NVIDIA.exists() else "fp32",
        },
        suits=Suits(architecture=model.class_name, parameters=list(model.stored_parameters)),
        objectives=_plain(kind) | by_objective,
    )


def _plain(kind: TuningKind) -> dict[str, dict[str, Any]]:
    """What runs of other kinds begin with on any model: recipes tell of preference runs alone."""
    return next(one.objectives for one in PRESETS if one.name == kind)
