"""Configurations of LLaMA-Factory: stage dpo with its losses, stages sft and rm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.configs import convert as parts
from alignment.configs.convert import LEFT_OUT, Book, Converted, NotConverted
from alignment.configs.reading import Given

TOOL: Final = "LLaMA-Factory"
DEFAULTS: Final[Mapping[str, Any]] = {
    "pref_beta": 0.1,
    "learning_rate": 5e-5,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 3.0,
    "max_steps": -1,
    "lr_scheduler_type": "linear",
    "warmup_ratio": 0.0,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "cutoff_len": 2048,
    "pref_loss": "sigmoid",
    "dpo_label_smoothing": 0.0,
    "simpo_gamma": 0.5,
    "pref_ftx": 0.0,
    "seed": 42,
    "lora_rank": 8,
    "lora_dropout": 0.0,
    "finetuning_type": "lora",
}
STAGES: Final[Mapping[object, Mapping[str, Any]]] = {
    "dpo": {},
    "sft": {"kind": "sft", "objective": {"name": "sft"}},
    "rm": {"kind": "reward_model", "objective": {"name": "bradley_terry"}},
}
"""What each stage is here; the objective of `dpo` is told by its own settings."""
_MARKS: Final = ("stage", "finetuning_type", "pref_beta", "pref_loss", "cutoff_len", "template")


def claims(values: Mapping[str, Any]) -> bool:
    """Whether these are values of LLaMA-Factory."""
    return any(name in values for name in _MARKS)


def convert(given: Given, devices: int) -> Converted:
    """The recipe of a configuration whose stage is one of `STAGES`.  Raises NotConverted."""
    book = Book(TOOL, given.values, DEFAULTS)
    stage = book.take("stage", "kind")
    if stage not in STAGES:
        raise NotConverted(f"stage {str(stage)[:30]!r} is not trained here.", "Its stages dpo, sft and rm are.")
    found = book.found
    loss = STAGES[stage]
    recipe: dict[str, Any] = {"objective": loss["objective"] if loss else _objective(book), "tuning": _tuning(book)}
    recipe |= loss
    if stage == "sft":
        book.note(
            "kind", "sft", "Of a dialogue the last answer alone is learned here; there, all that are its model's."
        )
    recipe["duration"] = parts.duration(book)
    recipe["optimizer"] = parts.optimizer(book)
    recipe["optimizer"]["warmup_ratio"] = parts.warmup(book, recipe["duration"].get("steps"))
    recipe["batch"] = parts.batch(book, devices)
    whole = book.whole("cutoff_len", None)
    half = max(1, whole // 2)
    book.note(
        "length.max_prompt_tokens", half, f"cutoff_len ({whole}) bounds both together; each gets half of it here."
    )
    recipe["length"] = {"max_prompt_tokens": half, "max_response_tokens": whole - half or 1}
    recipe["precision"] = parts.precision(book)
    recipe |= parts.evaluate_and_keep(book)
    recipe["seed"] = book.whole("seed", "seed")
    checkpoint = book.take("model_name_or_path", "checkpoint")
    found.checkpoint = None if checkpoint is None else str(checkpoint)
    found.reference = parts.reference(book, recipe["objective"], "ref_model")
    found.data = _data(book)
    book.drop("val_size", "Plumbline divides the prompts itself: 90, 5 and 5 in a hundred.")
    found.recipe = recipe
    return book.close(LEFT_OUT)


def _objective(book: Book) -> dict[str, Any]:
    if book.number("pref_ftx", None):
        raise NotConverted("pref_ftx adds a supervised loss, which is not done here.", "Set pref_ftx: 0.0.")
    loss = str(book.take("pref_loss", "objective.name"))
    smoothing = book.number("dpo_label_smoothing", None)
    gamma = book.number("simpo_gamma", "objective.gamma" if loss == "simpo" else None)
    return parts.objective(loss, book.number("pref_beta", "objective.beta"), smoothing, gamma, key="pref_loss")


def _tuning(book: Book) -> dict[str, Any]:
    kind = book.take("finetuning_type", "tuning.kind")
    if kind == "full":
        return {"kind": "full"}
    if kind != "lora":
        raise NotConverted(f"finetuning_type {str(kind)[:30]!r} is not done here.", "Use lora or full.")
    rank = book.whole("lora_rank", "tuning.rank")
    alpha = book.take("lora_alpha", "tuning.alpha") or 2 * rank
    target = book.take("lora_target", "tuning.targets") or "all"
    named = target if isinstance(target, list) else [one.strip() for one in str(target).split(",") if one.strip()]
    return {
        "kind": "lora",
        "rank": rank,
        "alpha": alpha,
        "dropout": book.number("lora_dropout", "tuning.dropout"),
        "targets": "all-linear" if named == ["all"] else [str(one) for one in named],
    }


def _data(book: Book) -> list[dict[str, Any]]:
    """The data sets by their names in dataset_info.json, with the weights of a mixture."""
    given = book.take("dataset", "data") or []
    names = given if isinstance(given, list) else [one.strip() for one in str(given).split(",") if one.strip()]
    weights = book.take("interleave_probs", "data weights")
    shares = weights if isinstance(weights, list) else [one for one in str(weights or "").split(",") if one.strip()]
    if book.take("mix_strategy", "data weights") in (None, "concat"):
        shares = []
    try:
        found = [float(share) for share in shares]
    except (TypeError, ValueError):
        raise NotConverted("interleave_probs holds something that is no number.", "Write it as 0.3,0.7.") from None
    if found and len(found) != len(names):
        raise NotConverted("interleave_probs and dataset name different numbers of data sets.", "Correct it.")
    return [
        {"name": str(name), "config": None, "split": "train", "weight": found[place] if found else None}
        for place, name in enumerate(names)
    ]
