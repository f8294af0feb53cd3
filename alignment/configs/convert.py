"""Turning one configuration into a recipe, and keeping book on each of its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from alignment.training.kinds import LOSSES


class NotConverted(ValueError):
    """The configuration asks for something that is not done here: `reason` names it, `remedy` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass
class Converted:
    """A recipe, and what became of each value.

    `recipe` has the parts of a spec but checkpoint and data, which are named beside it as the configuration names
    them.  `understood` is `{key, value, becomes}`, `ignored` `{key, value, why}`; `differs`,
    `{field, value, ours, why}`, is what was not said in so many words: above all that tool's defaults, which were
    taken, where they are not ours.
    """

    tool: str
    recipe: dict[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    reference: str | None = None
    data: list[dict[str, Any]] = field(default_factory=list)
    understood: list[dict[str, Any]] = field(default_factory=list)
    ignored: list[dict[str, Any]] = field(default_factory=list)
    differs: list[dict[str, Any]] = field(default_factory=list)


class Book:
    """The values of a configuration as they are taken out, each of which ends up in one of the lists."""

    def __init__(self, tool: str, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self.found = Converted(tool)
        self._left = {name: value for name, value in values.items() if value is not None}
        self._defaults = defaults

    def take(self, key: str, field: str | None) -> Any:
        """The value of a key, or that tool's default, which is noted where it goes into a field of the recipe."""
        if key in self._left:
            value = self._left.pop(key)
            self.found.understood.append({"key": key, "value": value, "becomes": field or "part of another value"})
            return value
        value = self._defaults.get(key)
        if field is not None and value is not None:
            ours = OURS.get(field)
            if ours != value:
                why = f"{key} is not given; the default of {self.found.tool} was taken."
                self.found.differs.append({"field": field, "value": value, "ours": ours, "why": why})
        return value

    def number(self, key: str, field: str | None) -> float:
        """The same as a number.  Raises NotConverted."""
        value = self.take(key, field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise NotConverted(f"{key} is {str(value)[:40]!r}, and a number is expected.", "Correct it.")
        return value

    def whole(self, key: str, field: str | None) -> int:
        """The same as a whole number.  Raises NotConverted."""
        value = self.number(key, field)
        if value != int(value):
            raise NotConverted(f"{key} is {value:g}, and a whole number is expected.", "Correct it.")
        return int(value)

    def drop(self, key: str, why: str) -> Any:
        """Leave a value out, saying why; None when it is not given."""
        value = self._left.pop(key, None)
        if value is not None:
            self.found.ignored.append({"key": key, "value": value, "why": why})
        return value

    def note(self, field: str, value: Any, why: str) -> None:
        """Something about the recipe that the configuration does not say in so many words."""
        self.found.differs.append({"field": field, "value": value, "ours": OURS.get(field), "why": why})

    def close(self, reasons: Mapping[str, str]) -> Converted:
        """What is left over is ignored: for a known reason, or because nobody here knows the key."""
        for key in list(self._left):
            self.drop(key, reasons.get(key, "It is not known here, and changes nothing."))
        return self.found


OURS: Final[Mapping[str, Any]] = {
    "optimizer.learning_rate": 5e-7,
    "optimizer.schedule": "cosine",
    "optimizer.warmup_ratio": 0.1,
    "optimizer.weight_decay": 0.0,
    "optimizer.max_grad_norm": 1.0,
    "duration.epochs": 1,
    "batch.examples_per_step": 32,
    "seed": 0,
    "tuning.rank": 16,
    "tuning.alpha": 32,
    "tuning.dropout": 0.0,
    "tuning.targets": "all-linear",
    "length.max_prompt_tokens": 1024,
    "length.max_response_tokens": 1024,
    "evaluate.every_steps": 100,
    "keep.last": 2,
    "precision": "fp32",
    "objective.beta": 0.1,
}
"""Our defaults of the fields that configurations speak of (a test compares them with the spec)."""

SCHEDULES: Final = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant",
    "constant_with_warmup": "constant",
}
LEFT_OUT: Final[Mapping[str, str]] = {
    "output_dir": "A run's folder is made here.",
    "logging_steps": "Every step is logged.",
    "gradient_checkpointing": "It is chosen when memory needs it; set gradient_checkpointing to decide.",
    "save_steps": "A checkpoint is saved at each evaluation.",
    "save_strategy": "A checkpoint is saved at each evaluation.",
    "eval_strategy": "Evaluations follow evaluate.every_steps.",
    "report_to": "Metrics are kept and drawn here.",
    "run_name": "Name the run in the form.",
    "push_to_hub": "A checkpoint is pushed from its page.",
    "hub_model_id": "A checkpoint is pushed from its page.",
    "attn_implementation": "The model's own choice is used.",
    "deepspeed": "Models that do not fit are shared by FSDP: set devices, and parallel to fsdp.",
    "fsdp": "How a model is shared is up to parallel: set devices, and parallel to fsdp.",
    "dataset_num_proc": "Data are prepared by one process.",
    "preprocessing_num_workers": "Data are prepared by one process.",
    "dataloader_num_workers": "Data are prepared by one process.",
    "ddp_timeout": "Processes wait for each other half an hour.",
    "use_vllm": "Nothing is generated while training.",
    "trust_remote_code": "Code of a repository never runs here.",
    "load_in_4bit": "Weights are not quantized here: more memory is needed.",
    "load_in_8bit": "Weights are not quantized here: more memory is needed.",
    "quantization_bit": "Weights are not quantized here: more memory is needed.",
    "do_train": "A run trains.",
    "do_eval": "The validation split is measured.",
    "remove_unused_columns": "Columns are known by their names.",
    "precompute_ref_log_probs": "The reference is always computed once, before the first step.",
    "plot_loss": "Metrics are kept and drawn here.",
    "overwrite_output_dir": "A run's folder is made here.",
    "overwrite_cache": "Nothing is cached.",
    "template": "The checkpoint's own chat template is used.",
}


def batch(book: Book, devices: int) -> dict[str, Any]:
    """Examples of an optimizer step: per device and pass, times passes, times devices."""
    each = book.whole("per_device_train_batch_size", None)
    passes = book.whole("gradient_accumulation_steps", None)
    product = each * passes * devices
    book.drop("per_device_eval_batch_size", "It changes the speed alone.")
    how = f"{each} per device times {passes} accumulated times {devices} device{'s' if devices > 1 else ''}"
    book.note("batch.examples_per_step", product, f"{how}; tell how many devices it was meant for.")
    return {"examples_per_step": product}


def optimizer(book: Book) -> dict[str, Any]:
    """AdamW with its schedule; other optimizers are told."""
    name = str(book.take("optim", None) or "adamw")
    if not name.startswith(("adamw", "paged_adamw")):
        raise NotConverted(f"The optimizer {name[:40]!r} is not one here.", "Use AdamW (optim: adamw_torch).")
    schedule = str(book.take("lr_scheduler_type", "optimizer.schedule"))
    if schedule not in SCHEDULES:
        raise NotConverted(
            f"The learning-rate schedule {schedule[:40]!r} is not one here.", f"Use {', '.join(sorted(SCHEDULES))}."
        )
    for key in ("adam_beta1", "adam_beta2", "adam_epsilon"):
        book.drop(key, "AdamW's usual values are used (0.9, 0.999, 1e-8).")
    return {
        "learning_rate": book.number("learning_rate", "optimizer.learning_rate"),
        "schedule": SCHEDULES[schedule],
        "weight_decay": book.number("weight_decay", "optimizer.weight_decay"),
        "max_grad_norm": book.number("max_grad_norm", "optimizer.max_grad_norm"),
    }


def reference(book: Book, objective: Mapping[str, Any], *keys: str) -> str | None:
    """The reference by the first of the keys that names one; left out where the objective compares with none."""
    if LOSSES[objective["name"]].usual_needs().reference == "none":
        for key in keys:
            book.drop(key, "The objective compares with no reference.")
        return None
    found = (book.take(key, "reference") for key in keys)
    return next((str(name) for name in found if name not in (None, True)), None)


def duration(book: Book) -> dict[str, Any]:
    """Steps where they are given, else epochs."""
    steps = book.whole("max_steps", None)
    if steps > 0:
        book.drop("num_train_epochs", "max_steps goes before it.")
        return {"steps": steps}
    return {"epochs": float(book.number("num_train_epochs", "duration.epochs"))}


def warmup(book: Book, steps: int | None) -> float:
    """The share of the steps over which the rate rises."""
    given = book.take("warmup_steps", None) or 0
    if isinstance(given, float) and 0 < given < 1:
        return given
    if given and steps:
        return min(float(given) / steps, 0.999)
    if given:
        book.note(
            "optimizer.warmup_ratio", 0.0, f"warmup_steps ({given}) needs max_steps to become a share; set it here."
        )
        book.take("warmup_ratio", None)
        return 0.0
    return float(book.number("warmup_ratio", "optimizer.warmup_ratio"))


def evaluate_and_keep(book: Book) -> dict[str, Any]:
    """Evaluations, and how many checkpoints stay."""
    parts: dict[str, Any] = {}
    steps = book.take("eval_steps", "evaluate.every_steps")
    if isinstance(steps, int) and steps >= 1:
        parts["evaluate"] = {"every_steps": steps}
    kept = book.take("save_total_limit", "keep.last")
    if isinstance(kept, int) and kept >= 1:
        parts["keep"] = {"last": kept}
    return parts


def precision(book: Book) -> str:
    """bf16, pure_bf16 or fp32."""
    if book.take("pure_bf16", "precision") is True:
        book.drop("bf16", "pure_bf16 goes before it.")
        return "pure_bf16"
    if book.drop("fp16", "Half precision (fp16) is not done here; bf16 is taken.") is True:
        return "bf16"
    return "bf16" if book.take("bf16", "precision") is True else "fp32"


SMOOTHED: Final = ("sigmoid", "robust", "exo_pair", "aot", "aot_unpaired")
"""Losses of other trainers that label smoothing belongs to."""


def objective(loss: str, beta: float, smoothing: float, gamma: float, *, key: str, tau: float = 0.05) -> dict[str, Any]:
    """The objective of a loss by its name in other trainers.  Raises NotConverted naming one that is not done here."""
    if smoothing and loss not in SMOOTHED:
        raise NotConverted(f"Label smoothing with the loss {loss!r} is not one objective here.", "Set it to 0.")
    eps = {"eps": smoothing} if smoothing else {}
    found: dict[str, dict[str, Any]] = {
        "sigmoid": {"name": "cdpo" if smoothing else "dpo", "beta": beta, **eps},
        "robust": {"name": "rdpo", "beta": beta, "eps": smoothing},
        "exo_pair": {"name": "exo_pair", "beta": beta, **eps},
        "aot": {"name": "aot_paired", "beta": beta, **eps},
        "aot_unpaired": {"name": "aot_unpaired", "beta": beta, **eps},
        "ipo": {"name": "ipo_avg", "tau": beta},
        "hinge": {"name": "rso_hinge_norm", "gamma": beta},
        "sigmoid_norm": {"name": "ln_dpo", "beta": beta},
        "bco_pair": {"name": "bco_pair", "beta": beta, "shift": "none"},
        "discopop": {"name": "discopop", "beta": beta, "tau": tau},
        "simpo": {"name": "simpo", "beta": beta, "gamma": gamma},
        "orpo": {"name": "orpo", "lam": beta},
        **{name: {"name": name, "beta": beta} for name in ("nca_pair", "apo_zero", "apo_down", "sppo_hard")},
    }
    if loss not in found:
        raise NotConverted(f"{key} {loss[:40]!r} is not an objective here.", f"Use one of {', '.join(found)}.")
    return found[loss]
