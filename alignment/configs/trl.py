"""Configurations of TRL's preference trainers: DPOConfig, CPOConfig and what shares their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.configs import convert as parts
from alignment.configs.convert import LEFT_OUT, Book, Converted, NotConverted
from alignment.configs.reading import Given

TOOL: Final = "TRL"
DEFAULTS: Final[Mapping[str, Any]] = {
    "beta": 0.1,
    "learning_rate": 1e-6,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_train_epochs": 3,
    "max_steps": -1,
    "lr_scheduler_type": "linear",
    "warmup_ratio": 0.0,
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "max_length": 1024,
    "max_prompt_length": 512,
    "label_smoothing": 0.0,
    "simpo_gamma": 0.5,
    "discopop_tau": 0.05,
    "cpo_alpha": 1.0,
    "seed": 42,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
}
_OTHERS: Final = (
    "kto",
    "orpo",
    "reward",
    "sft",
    "ppo",
    "grpo",
    "rloo",
    "nash_md",
    "xpo",
    "online_dpo",
    "bco",
    "gkd",
    "prm",
)
_MARKS: Final = {"desirable_weight": "kto", "undesirable_weight": "kto", "num_generations": "grpo", "kl_coef": "ppo"}


_SORTED: Final = "TRL sorts within what one device computes at once; here the whole step is sorted."
_DIFFERING: Final = {
    "sigmoid": "TRL takes no notice of label_smoothing with this loss: what it trained is dpo.",
    "sppo_hard": "TRL leaves out its factor 1/2: the same step has twice the gradient.",
    "aot": _SORTED,
    "aot_unpaired": _SORTED,
}
"""Losses that compute something else there than here; of sigmoid it is the one with label smoothing."""


def convert(given: Given, devices: int) -> Converted:
    """The recipe of a DPOConfig or CPOConfig.  Raises NotConverted."""
    _refuse_others(given)
    book = Book(TOOL, given.values, DEFAULTS)
    found = book.found
    recipe: dict[str, Any] = {"objective": _objective(book, cpo=_is_cpo(given)), "tuning": _tuning(book)}
    recipe["duration"] = parts.duration(book)
    recipe["optimizer"] = parts.optimizer(book)
    recipe["optimizer"]["warmup_ratio"] = parts.warmup(book, recipe["duration"].get("steps"))
    recipe["batch"] = parts.batch(book, devices)
    recipe["length"] = _length(book)
    recipe["precision"] = parts.precision(book)
    recipe |= parts.evaluate_and_keep(book)
    recipe["seed"] = book.whole("seed", "seed")
    found.checkpoint = _name(book.take("model_name_or_path", "checkpoint"))
    found.reference = parts.reference(book, recipe["objective"], "ref_model_name_or_path", "ref_model")
    if (name := _name(book.take("dataset_name", "data"))) is not None:
        config = book.take("dataset_config", "data") or book.take("dataset_config_name", "data")
        split = book.take("dataset_train_split", "data") or "train"
        found.data.append({"name": name, "config": _name(config), "split": str(split), "weight": None})
    book.drop("dataset_test_split", "Plumbline divides the prompts itself: 90, 5 and 5 in a hundred.")
    found.recipe = recipe
    return book.close(LEFT_OUT)


def _refuse_others(given: Given) -> None:
    """Raise NotConverted for the trainers that have no objective of pairs."""
    named = next((word for word in _words(given) if word in _OTHERS), None)
    marked = next((trainer for key, trainer in _MARKS.items() if key in given.values), None)
    if named or marked:
        raise NotConverted(
            f"This is a configuration of {(named or marked or '').upper()}, which is not trained here.",
            "What is converted is a configuration of DPO or CPO, with most of their losses.",
        )


def _words(given: Given) -> list[str]:
    return given.program.replace("/", " ").replace(".py", " ").replace("_trainer", " ").split()


def _is_cpo(given: Given) -> bool:
    """Whether it is a configuration of the trainer without a reference."""
    return "cpo" in _words(given) or bool({"cpo_alpha", "simpo_gamma"} & set(given.values))


def _objective(book: Book, *, cpo: bool) -> dict[str, Any]:
    loss = book.take("loss_type", "objective.name") or "sigmoid"
    if isinstance(loss, list):
        if len(loss) != 1:
            raise NotConverted(f"Several losses at once ({str(loss)[:60]}) are not done here.", "Choose one of them.")
        loss = loss[0]
    if book.drop("rpo_alpha", "") is not None:
        raise NotConverted("rpo_alpha adds a second loss, which is not done here.", "Leave it out.")
    beta = book.number("beta", "objective.beta")
    smoothing = book.number("label_smoothing", None)
    gamma = book.number("simpo_gamma", "objective.gamma" if loss == "simpo" else None)
    if cpo or loss == "simpo":
        return _of_cpo(book, str(loss), beta, smoothing, gamma)
    if why := _DIFFERING.get(str(loss)) if smoothing or loss != "sigmoid" else None:
        book.note("objective.name", {"sigmoid": "cdpo", "aot": "aot_paired"}.get(loss, loss), why)
    tau = book.number("discopop_tau", "objective.tau" if loss == "discopop" else None)
    return parts.objective(str(loss), beta, smoothing, gamma, key="loss_type", tau=tau)


def _of_cpo(book: Book, loss: str, beta: float, smoothing: float, gamma: float) -> dict[str, Any]:
    """The objective of a CPOConfig.  Raises NotConverted."""
    if loss not in ("sigmoid", "simpo") or smoothing:
        what = f"loss_type {loss[:40]!r}" + (" with label smoothing" if smoothing else "")
        raise NotConverted(f"{what} of CPOConfig is not an objective here.", "Use sigmoid or simpo, without smoothing.")
    alpha = book.number("cpo_alpha", "objective.alpha")
    if loss == "sigmoid":
        return {"name": "cpo", "beta": beta, "alpha": alpha, "nll": "batch"}
    if not alpha:
        return {"name": "simpo", "beta": beta, "gamma": gamma}
    why = "The likelihood is each chosen response's mean per token; TRL takes the mean over the tokens of a pass."
    book.note("objective.name", "cpo_simpo", why)
    return {"name": "cpo_simpo", "beta": beta, "gamma": gamma, "alpha": alpha}


def _tuning(book: Book) -> dict[str, Any]:
    if book.take("use_peft", "tuning.kind") is not True:
        for key in ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules"):
            book.drop(key, "use_peft is not set, so every weight is trained.")
        return {"kind": "full"}
    targets = book.take("lora_target_modules", "tuning.targets") or "all-linear"
    named = targets if isinstance(targets, list) else [str(targets)]
    return {
        "kind": "lora",
        "rank": book.whole("lora_r", "tuning.rank"),
        "alpha": book.whole("lora_alpha", "tuning.alpha"),
        "dropout": book.number("lora_dropout", "tuning.dropout"),
        "targets": "all-linear" if named == ["all-linear"] else [str(one) for one in named],
    }


def _length(book: Book) -> dict[str, Any]:
    """TRL bounds the prompt and the whole; here the prompt and the response."""
    whole = book.whole("max_length", None)
    prompt = min(book.whole("max_prompt_length", "length.max_prompt_tokens"), whole - 1)
    answer = book.take("max_completion_length", "length.max_response_tokens")
    response = answer if isinstance(answer, int) else max(1, whole - prompt)
    book.note("length.max_response_tokens", response, f"The rest of max_length ({whole}) after the prompt ({prompt}).")
    side = {"keep_end": "left", "keep_start": "right"}.get(
        str(book.take("truncation_mode", "length.cut_prompt")), "left"
    )
    return {"max_prompt_tokens": prompt, "max_response_tokens": response, "cut_prompt": side}


def _name(value: Any) -> str | None:
    return None if value is None or value is True else str(value)
