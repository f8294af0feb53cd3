"""TRL's side of the engine's benchmarks: its own trainer, fed the same token ids in the same order."""

import importlib
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.engine_side import (
    BETA,
    LEARNING_RATE,
    SIMPO_BETA,
    SIMPO_GAMMA,
    Measured,
    Side,
    clock,
    held_mib,
    narrow,
    peak_mib,
    rows_of,
)


def theirs(folder: Path, side: Side) -> Measured:
    """TRL's trainer on the same ids in the same order, with everything off that can be."""
    import datasets
    from torch.utils.data import SequentialSampler
    from transformers import AutoTokenizer, TrainerCallback

    simpo = side["loss"] == "simpo"
    home, name = ("trl.experimental.cpo.cpo", "CPO") if simpo else ("trl.trainer.dpo", "DPO")
    trainers: Any = importlib.import_module(f"{home}_trainer")  # an extra that need not be there
    configs: Any = importlib.import_module(f"{home}_config")
    if side["lean"]:
        trainers.add_fused_lm_head = _head_without_extras(trainers.add_fused_lm_head)
    some = [(row[0], one, other) for row in rows_of(folder, side) for one, other in combinations(row[1:], 2)]
    columns: dict[str, list[Any]] = {
        "prompt_ids": [pair[0] for pair in some],
        "chosen_ids": [pair[1] for pair in some],
        "rejected_ids": [pair[2] for pair in some],
    }
    size = len(some) // side["steps"]
    same_order = {
        "_prepare_dataset": lambda _, dataset, *__, **___: dataset,
        "_get_train_sampler": lambda trainer, *_, **__: SequentialSampler(trainer.train_dataset),
        "tokenize_row": staticmethod(_tokenized),
    }
    watch = Watch(TrainerCallback, side["device"])
    trainer = type("SameOrder", (getattr(trainers, f"{name}Trainer"),), same_order)(
        model=str(folder / "model"),
        args=getattr(configs, f"{name}Config")(**_options(side, folder, size)),
        train_dataset=datasets.Dataset.from_dict(columns),
        processing_class=AutoTokenizer.from_pretrained(folder / "model"),
        callbacks=[watch.callback()],
        **({"peft_config": _adapters()} if side["lora"] else {}),
    )
    loaded = held_mib(side["device"])
    trainer.train()
    lengths = [(len(prompt) + len(one), len(prompt) + len(other)) for prompt, one, other in some[size:]]
    forward = [lengths[start : start + side["size"]] for start in range(0, len(lengths), side["size"])]
    logged = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    return Measured(
        seconds=sum(watch.seconds[1:]),
        losses=[float(entry["loss"]) for entry in logged],
        grad_norms=[float(entry["grad_norm"]) for entry in logged],
        mib=peak_mib(side["device"]) - loaded,
        loaded_mib=loaded,
        attention="",
        tokens=sum(map(sum, lengths)),
        computed=sum(2 * len(some) * max(map(max, some)) for some in forward),
    )


def _adapters() -> Any:
    """The same adapters as ours."""
    from peft import LoraConfig

    from alignment.training.spec import LoraTuning

    own = LoraTuning()
    return LoraConfig(
        r=own.rank, lora_alpha=own.alpha, lora_dropout=0.0, target_modules=own.targets, task_type="CAUSAL_LM"
    )


def _head_without_extras(add: Callable[..., None]) -> Callable[..., None]:
    """TRL's head on a model, which then tells log-probabilities alone; zeros stand for what the metrics ask."""

    def added(model: Any, **_: Any) -> None:
        add(model)
        whole = model.forward

        def told(*args: Any, **named: Any) -> Any:
            found = whole(*args, **named)
            if named.get("fused_lm_head"):
                nothing = found.log_probs.detach().new_zeros(found.log_probs.shape)
                found.entropy, found.mean_logits, found.is_top1 = nothing, nothing, nothing.bool()
            return found

        model.forward = told

    return added


def _tokenized(row: dict[str, list[int]]) -> dict[str, list[int]]:
    """What TRL's CPO trainer makes of a pair's texts, from its ids."""
    found = {"prompt_input_ids": row["prompt_ids"], "prompt_attention_mask": [1] * len(row["prompt_ids"])}
    for side in ("chosen", "rejected"):
        prompt, answer = row["prompt_ids"], row[f"{side}_ids"]
        found[f"{side}_input_ids"] = prompt + answer
        found[f"{side}_attention_mask"] = [1] * len(prompt + answer)
        found[f"{side}_labels"] = [-100] * len(prompt) + answer
    return found


class Watch:
    """Times the steps of a trainer from outside."""

    def __init__(self, kind: type, device: str) -> None:
        self.seconds: list[float] = []
        self._kind = kind
        self._device = device
        self._began = 0.0

    def callback(self) -> Any:
        """What the trainer calls at the beginning and the end of each step."""

        def begin(_: Any, *__: Any, **___: Any) -> None:
            self._began = clock(self._device)

        def end(_: Any, *__: Any, **___: Any) -> None:
            self.seconds.append(clock(self._device) - self._began)

        return type("Timed", (self._kind,), {"on_step_begin": begin, "on_step_end": end})()


def _options(side: Side, folder: Path, size: int) -> dict[str, Any]:
    losses: dict[str, dict[str, Any]] = {
        "dpo": {"loss_type": ["sigmoid"], "beta": BETA, "precompute_ref_log_probs": side["cached"]},
        "ipo": {"loss_type": ["ipo"], "beta": BETA, "precompute_ref_log_probs": side["cached"]},
        "simpo": {"loss_type": "simpo", "beta": SIMPO_BETA, "simpo_gamma": SIMPO_GAMMA, "cpo_alpha": 0.0},
    }
    return losses[side["loss"]] | {
        "output_dir": str(folder / "trl"),
        "per_device_train_batch_size": side["size"],
        "gradient_accumulation_steps": size // side["size"],
        "max_steps": side["steps"],
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "max_length": 100_000,
        "report_to": "none",
        "logging_strategy": "steps",
        "logging_steps": 1,
        "save_strategy": "no",
        "eval_strategy": "no",
        "disable_tqdm": True,
        "gradient_checkpointing": side["again"],
        "bf16": side["precision"] != "fp32",
        "use_cpu": side["device"] == "cpu",
        "use_liger_kernel": side["liger"],
        "dataloader_num_workers": 0,
        "dataloader_drop_last": True,
        "seed": 42,
        "optim": "adamw_torch_fused",
        "model_init_kwargs": {"dtype": "bfloat16" if narrow(side) else "float32", "attn_implementation": "sdpa"},
    }
