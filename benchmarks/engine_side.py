"""One side of the engine's benchmark in a process of its own: the same pairs, in the same order, by us or by TRL.

python -m benchmarks.engine_side FOLDER '{"side": "plumbline", …}' prints one line of JSON.  FOLDER holds `model` (a
checkpoint with its tokenizer) and `rows.json`: [prompt ids, ids of each response, the best first] each.

Of more than two responses every one is compared with every worse one: one row with all of them here, one pair after
another there, and the same loss.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import psutil

from benchmarks.engine_work import Ids

if TYPE_CHECKING:
    from alignment.training.encode import Encoded
    from alignment.training.step import Learner, Updated

LEARNING_RATE = 1e-6  # TRL's default for DPO
BETA = 0.1
SIMPO_BETA, SIMPO_GAMMA = 2.0, 1.0
MIB = 2**20


Name = Literal["plumbline", "plain", "trl"]


class Side(TypedDict):
    """What to measure."""

    side: Name
    size: int  # pairs in one forward pass of TRL; ours packs by tokens
    lean: bool  # TRL without the metrics that no option turns off
    cached: bool  # log-probabilities of the reference are given, and not part of the time
    precision: Literal["fp32", "bf16"]
    loss: Literal["dpo", "ipo", "simpo"]
    examples: int  # in an optimizer step
    steps: int  # the first of them warms up, and is not timed


class Measured(TypedDict):
    """What came of it: seconds of the timed steps together, values of every step, MiB above the loaded model."""

    seconds: float
    losses: list[float]
    grad_norms: list[float]
    mib: float


def rows_of(folder: Path, side: Side) -> list[Ids]:
    """As many examples as the steps take."""
    found: list[Ids] = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    return found[: side["examples"] * side["steps"]]


def peak_mib() -> float:
    """The most memory that this process has held."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(folder: Path, side: Side) -> Measured:
    """Our loop as a run drives it: rows, reference, steps; the checks before a run are not timed."""

    from alignment.training.step import sequence_logps

    learner, loaded = _learner(folder, side)
    examples = _encoded(rows_of(folder, side))
    size = side["examples"]
    step_of = learner.update if len(examples[0].responses) == 2 else _listwise(learner)

    warm = sequence_logps(learner.scoring, examples[:size], _nothing)
    began = time.perf_counter()
    known = [*warm, *sequence_logps(learner.scoring, examples[size:], _nothing)]
    seconds = 0.0 if side["cached"] else time.perf_counter() - began
    losses, norms = [], []
    state = learner.scoring.begun(0)
    for step in range(side["steps"]):
        chosen = slice(step * size, step * size + size)
        began = time.perf_counter()
        values, state = step_of(examples[chosen], known[chosen], state, _nothing)
        seconds += time.perf_counter() - began if step else 0.0
        losses.append(values["loss"])
        norms.append(values["grad_norm"])
    return Measured(seconds=seconds, losses=losses, grad_norms=norms, mib=peak_mib() - loaded)


def _learner(folder: Path, side: Side) -> "tuple[Learner, float]":
    """Our learner, and the MiB that the process held once the model was loaded."""
    import torch

    from alignment.objectives.dpo import DPO
    from alignment.objectives.ipo_avg import IPO
    from alignment.objectives.simpo import SimPO
    from alignment.training import structure
    from alignment.training.batches import auto_tokens
    from alignment.training.model import load_model
    from alignment.training.ranks import Ranks
    from alignment.training.rows import arrange
    from alignment.training.scorer import Scorer
    from alignment.training.scoring import Scoring
    from alignment.training.step import Learner

    model = load_model(folder / "model")
    loaded = psutil.Process().memory_info().rss / MIB
    device = torch.device("cpu")
    rows = arrange(model, device)
    rows = structure.plain("measured so") if side["side"] == "plain" else rows
    scorer = Scorer(model, side["precision"])
    objectives = {"dpo": DPO(beta=BETA), "ipo": IPO(tau=BETA), "simpo": SimPO(beta=SIMPO_BETA, gamma=SIMPO_GAMMA)}
    scoring = Scoring(scorer, scorer, objectives[side["loss"]], rows, 0, auto_tokens("cpu"), Ranks(device))
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    return Learner(scoring, optimizer, schedule, parameters, 1.0), loaded


def _encoded(rows: Sequence[Ids]) -> "list[Encoded]":
    from alignment.objectives.batch import Role
    from alignment.training.data import Example
    from alignment.training.encode import Encoded

    pair = Example("", "train", [], ({}, {}))
    roles = (Role.CHOSEN, Role.REJECTED) if len(rows[0]) == 3 else (Role.CANDIDATE,) * (len(rows[0]) - 1)
    return [Encoded(pair, row[0], tuple(row[1:]), roles) for row in rows]


def _listwise(learner: "Learner") -> "Callable[..., Updated]":
    """A step on lists: the mean of DPO's loss over every two responses of each list."""
    import torch
    from torch.nn.functional import logsigmoid

    from alignment.training.step import Updated

    def step(examples: Any, reference: Any, state: Any, _: Any) -> Updated:
        learner.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for pack in learner.scoring.packs(examples):
            some = [examples[index] for index in pack]
            batch = learner.scoring.batch(learner.scoring.scores(some), some, [reference[index] for index in pack])
            ratios = batch.singles().ratios.view(len(some), -1)
            better, worse = torch.triu_indices(ratios.shape[1], ratios.shape[1], offset=1)
            losses = -logsigmoid(BETA * (ratios[:, better] - ratios[:, worse])).mean(dim=1)
            torch.autograd.backward(losses.sum() / len(examples))
            total += losses.detach().sum().item() / len(examples)
        norm = torch.nn.utils.clip_grad_norm_(learner.parameters, learner.max_grad_norm)
        learner.optimizer.step()
        return Updated({"loss": total, "grad_norm": norm.item()}, state)

    return step


def _nothing() -> None:
    pass


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
    watch = Watch(TrainerCallback)
    trainer = type("SameOrder", (getattr(trainers, f"{name}Trainer"),), same_order)(
        model=str(folder / "model"),
        args=getattr(configs, f"{name}Config")(**_options(side, folder, size)),
        train_dataset=datasets.Dataset.from_dict(columns),
        processing_class=AutoTokenizer.from_pretrained(folder / "model"),
        callbacks=[watch.callback()],
    )
    loaded = psutil.Process().memory_info().rss / MIB
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    return Measured(
        seconds=sum(watch.seconds[1:]),
        losses=[float(entry["loss"]) for entry in logged],
        grad_norms=[float(entry["grad_norm"]) for entry in logged],
        mib=peak_mib() - loaded,
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

    def __init__(self, kind: type) -> None:
        self.seconds: list[float] = []
        self._kind = kind
        self._began = 0.0

    def callback(self) -> Any:
        """What the trainer calls at the beginning and the end of each step."""

        def begin(_: Any, *__: Any, **___: Any) -> None:
            self._began = time.perf_counter()

        def end(_: Any, *__: Any, **___: Any) -> None:
            self.seconds.append(time.perf_counter() - self._began)

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
        "gradient_checkpointing": False,
        "bf16": side["precision"] == "bf16",
        "use_cpu": True,
        "dataloader_num_workers": 0,
        "dataloader_drop_last": True,
        "seed": 42,
        "optim": "adamw_torch_fused",
        "model_init_kwargs": {"dtype": "float32", "attn_implementation": "sdpa"},
    }


SIDES: dict[Name, Callable[[Path, Side], Measured]] = {"plumbline": ours, "plain": ours, "trl": theirs}


def main() -> None:
    """Measure what the command line says."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "CI": "1"}
    side: Side = json.loads(sys.argv[2])
    print(json.dumps(SIDES[side["side"]](Path(sys.argv[1]), side)))


if __name__ == "__main__":
    main()
