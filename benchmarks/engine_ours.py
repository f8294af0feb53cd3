"""Our side of the engine's benchmarks: the loop that a run drives, without what checks and tells around it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from benchmarks.engine_work import Ids

if TYPE_CHECKING:
    from alignment.training.encode import Encoded
    from alignment.training.step import Learner, Updated


def ours(folder: Path, side: Side) -> Measured:
    """Our loop as a run drives it: rows, reference, steps; the checks before a run are not timed."""

    from alignment.training.machine import share

    share()
    from alignment.training.step import sequence_logps

    learner, loaded = _learner(folder, side)
    examples = encoded(rows_of(folder, side))
    size = side["examples"]
    step_of = learner.update if len(examples[0].responses) == 2 else _listwise(learner)

    device = side["device"]

    warm = sequence_logps(learner.scoring, examples[:size], _nothing)
    began = clock(device)
    known = [*warm, *sequence_logps(learner.scoring, examples[size:], _nothing)]
    seconds = 0.0 if side["cached"] else clock(device) - began
    losses, norms = [], []
    state = learner.scoring.begun(0)
    for step in range(side["steps"]):
        chosen = slice(step * size, step * size + size)
        began = clock(device)
        values, state = step_of(examples[chosen], known[chosen], state, _nothing)
        seconds += clock(device) - began if step else 0.0
        losses.append(values["loss"])
        norms.append(values["grad_norm"])
    timed = [examples[start : start + size] for start in range(size, side["steps"] * size, size)]
    return Measured(
        seconds=seconds,
        losses=losses,
        grad_norms=norms,
        mib=peak_mib(device) - loaded,
        loaded_mib=loaded,
        attention=learner.scoring.structure.way if learner.scoring.structure.shared else "plain",
        tokens=sum(len(one.prompt) + len(answer) for step in timed for one in step for answer in one.responses),
        computed=sum(map(learner.scoring.computed, timed)),
    )


def _learner(folder: Path, side: Side) -> "tuple[Learner, float]":
    """Our learner, and the MiB that the process held once the model was loaded."""
    import torch

    from alignment.objectives.dpo import DPO
    from alignment.objectives.ipo_avg import IPO
    from alignment.objectives.simpo import SimPO
    from alignment.training import recompute, structure
    from alignment.training.adamw import MasteredAdamW
    from alignment.training.batches import LANES, auto_tokens
    from alignment.training.model import add_adapters, load_model
    from alignment.training.ranks import Ranks
    from alignment.training.rows import arrange
    from alignment.training.scorer import Scorer
    from alignment.training.scoring import Scoring
    from alignment.training.spec import LoraTuning
    from alignment.training.step import Learner

    device = torch.device(side["device"])
    model = load_model(folder / "model", torch.bfloat16 if narrow(side) else torch.float32)
    model.to(device)  # type: ignore[arg-type]
    if side["lora"]:
        adapters = torch.bfloat16 if side["precision"] == "pure_bf16" else torch.float32
        model = add_adapters(model, LoraTuning(), folder / "model", adapters)
    loaded = held_mib(side["device"])
    rows = arrange(model, device, exact=side["precision"] == "fp32")
    rows = structure.plain("measured so", steady=rows.steady) if side["side"] == "plain" else rows
    scorer = Scorer(model, side["precision"])
    objectives = {"dpo": DPO(beta=BETA), "ipo": IPO(tau=BETA), "simpo": SimPO(beta=SIMPO_BETA, gamma=SIMPO_GAMMA)}
    if side["again"]:
        recompute.switch_on(scorer)
    tokens = side["size"] or auto_tokens(side["device"])
    scoring = Scoring(scorer, scorer, objectives[side["loss"]], rows, 0, tokens, Ranks(device))
    if device.type == "cpu" and not side["again"]:
        count = min(LANES, torch.get_num_threads())
        scoring = replace(scoring, lanes=count, at_once=count)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer: torch.optim.Optimizer = (
        MasteredAdamW(parameters, LEARNING_RATE, 0.0)
        if side["precision"] == "pure_bf16"
        else torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    )
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    return Learner(scoring, optimizer, schedule, parameters, 1.0), loaded


def encoded(rows: Sequence[Ids]) -> "list[Encoded]":
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

        def learn(pack: list[int]) -> float:
            some = [examples[index] for index in pack]
            batch = learner.scoring.batch(learner.scoring.scores(some), some, [reference[index] for index in pack])
            ratios = batch.singles().ratios.view(len(some), -1)
            better, worse = torch.triu_indices(ratios.shape[1], ratios.shape[1], offset=1)
            losses = -logsigmoid(BETA * (ratios[:, better] - ratios[:, worse])).mean(dim=1)
            torch.autograd.backward(losses.sum() / len(examples))
            return losses.detach().sum().item() / len(examples)

        total = sum(learner.scoring.each(learner.scoring.packs(examples), learn, _nothing))
        norm = torch.nn.utils.clip_grad_norm_(learner.parameters, learner.max_grad_norm)
        learner.optimizer.step()
        return Updated({"loss": total, "grad_norm": norm.item()}, state)

    return step


def _nothing() -> None:
    pass
