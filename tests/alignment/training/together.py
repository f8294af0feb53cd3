"""What `test_scale.py` starts with torchrun: the same steps in each way, and what came of them.

`python -m tests.alignment.training.together SPEC OUT`; alone or as one of several processes.
"""

import json
import random
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor

from alignment.generation import Generator
from alignment.objectives import Batch, Needs, Objective, Role, State
from alignment.objectives.objective import PAIR
from alignment.sampling import Sampling
from alignment.training import Spec
from alignment.training.checkpoint import Checkpoints
from alignment.training.data import Example
from alignment.training.encode import Encoded, mismatched
from alignment.training.events import Events
from alignment.training.launch import seat
from alignment.training.model import load_tokenizer
from alignment.training.prepare import build, prepare
from alignment.training.ranks import Ranks, alone, join, part
from alignment.training.step import evaluate, sequence_logps
from alignment.training.stop import Stop
from alignment.training.tensors import gathered

STEPS = (7, 7, 6, 1, 7)  # examples of each; of one example, one of two processes has nothing
PROMPTS = [[{"role": "user", "content": words}] for words in ("the cat", "dogs ran fast over a mat", "warm sun")]


class Softmin(Objective):
    """A loss that couples the whole batch: -log mean exp(-DPO loss), for tests only."""

    needs: ClassVar[Needs] = Needs(PAIR, reference="sequence", coupled=True)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        losses = -torch.nn.functional.logsigmoid(0.1 * batch.pairs().margin)
        return -(torch.logsumexp(-losses, 0) - torch.log(torch.tensor(float(len(losses)))))

    def rewards(self, batch: Batch) -> Tensor:
        return 0.1 * batch.singles().ratios


LORA = {"kind": "lora", "rank": 4, "alpha": 8}
CASES: dict[str, dict[str, Any]] = {
    "uncoupled": {},
    "coupled": {},
    "lora": {"tuning": LORA},
    "lora in bf16": {"tuning": LORA, "precision": "bf16"},
    "masks": {"objective": {"name": "sparsepo", "mask_rate": 0.01, "l1_u": 1e-3}, "tuning": LORA},
    "sft": {"kind": "sft", "objective": {"name": "sft"}},
    "scores": {"kind": "reward_model", "objective": {"name": "bradley_terry", "heads": 2}},
    "circle in lora": {
        "kind": "reward_model",
        "objective": {"name": "gpm_rm", "gate": True, "tau": 1.0},
        "tuning": LORA,
    },
    "experts": {},
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "kto": {"name": "kto", "lam_u": 1.5},
    "bco, pooled": {"name": "bco"},
    "bco, midpoint": {"name": "bco", "shift": "midpoint"},
    "bco_pair": {"name": "bco_pair", "shift": "pooled"},
    "beta_dpo": {"name": "beta_dpo", "filter": 0.3, "a": 0.1},
    "lcpo": {"name": "lcpo", "ema": 0.5},
    "lcpo over simpo": {"name": "lcpo", "ema": 0.5, "base": {"name": "simpo"}},
    "dr_dpo": {"name": "dr_dpo"},
    "aot_paired": {"name": "aot_paired"},
    "aot_unpaired": {"name": "aot_unpaired", "eps": 0.1},
    "cpo over a batch": {"name": "cpo", "nll": "batch"},
    "a moving anchor": {"name": "adpo_pair_soft", "beta": 0.02, "anchor_decay": 0.5},
    "steps of lists": {"name": "tpo_code", "beta": 5.0},
}
"""What sees the whole batch, keeps something between steps or reads more of a pack than sums, by what the tests call
it.  Those that follow margins closely by themselves (`a`; `tau` above) do less: the last bit of a log-probability of a
hundred nats would move their gradients by more than is promised."""
SHARDED = ("kto", "bco, pooled", "beta_dpo", "lcpo", "aot_paired", "steps of lists")
"""Those of them that FSDP trains, too: losses that are coupled, that keep a state, that do both, and one of tokens."""


def encoded(count: int) -> list[Encoded]:
    rng = random.Random(3)
    message = {"role": "assistant", "content": ""}

    def ids(low: int, high: int) -> list[int]:
        return [rng.randint(10, 250) for _ in range(rng.randint(low, high))]

    return [
        Encoded(
            Example(str(index), "train", [], (message, message), values={"soft_label": (0.9, 0.9)}),
            ids(1, 12),
            (ids(1, 30), ids(1, 30)),
        )
        for index in range(count)
    ]


def singles(pairs: list[Encoded], roles: frozenset[Role]) -> list[Encoded]:
    """One side of each pair, wanted and unwanted in turn; with answers to other prompts where the roles have them."""
    found = []
    for place, one in enumerate(pairs):
        role = (Role.DESIRABLE, Role.UNDESIRABLE)[place % 2]
        found.append(replace(one, responses=one.responses[:1], roles=(role,)))
    return list(mismatched(found, None, Counter())) if Role.MISMATCHED in roles else found


def rankings(pairs: list[Encoded], end: int) -> list[Encoded]:
    """Rankings of each pair's responses and a third one; the token `end`, which ends a line, parts each into steps."""
    found = []
    for one in pairs:
        first, second = ([*answer[: len(answer) // 2], end, *answer[len(answer) // 2 :]] for answer in one.responses)
        example = replace(one.example, values={"rank": (2.0, 1.0, 3.0)})
        answers = (first, second, [*first[:3], end, *second[:3]])
        found.append(replace(one, example=example, responses=answers, roles=(Role.CANDIDATE,) * 3))
    return found


def learn(spec: Spec, ranks: Ranks, out: Path) -> dict[str, Any]:
    """A few uneven steps of an objective of the whole batch; afterwards the weights are the file `out`."""
    tokenizer = load_tokenizer(spec.checkpoint)
    learner, _ = build(spec, tokenizer, len(STEPS), ranks)
    scoring = replace(learner.scoring, tokens=70)
    learner = replace(learner, scoring=scoring)
    examples, roles = encoded(sum(STEPS)), spec.objective.needs.roles
    if Role.CANDIDATE in roles:
        examples = rankings(examples, tokenizer("\n")["input_ids"][0])
    elif not roles >= PAIR:
        examples = singles(examples, roles)
    draws = torch.Generator().manual_seed(5)
    reference = [
        logps + 3 * torch.randn(logps.shape, generator=draws) for logps in sequence_logps(scoring, examples, nothing)
    ]
    steps, start = [], 0
    state = scoring.begun(spec.seed)
    for size in STEPS:
        some = slice(start, start + size)
        told, state = learner.update(examples[some], reference[some], state, nothing)
        steps.append(told | {f"state/{key}": value.tolist() for key, value in state.values.items()})
        start += size
    weights = {key: gathered(value.detach()).clone() for key, value in scoring.scorer.named_parameters()}
    if scoring.scorer.anchor is not None:
        weights |= {f"anchor/{key}": value for key, value in scoring.scorer.anchor.values.items()}
    if ranks.first:
        save_file(weights, out)
    return {"steps": steps}


def tell(spec: Spec, ranks: Ranks, folder: Path) -> dict[str, Any]:
    """A run whose scores a further checkpoint tells: what each response was given, and steps on that."""
    folder.mkdir(exist_ok=True)
    with Events(folder / f"{ranks.rank}.jsonl") as events:
        prepared = prepare(spec, events, Stop(), ranks)
    examples, learner = prepared.examples.train, prepared.learner
    reference = None if prepared.reference is None else prepared.reference.of(range(len(examples)))
    steps, state = [], learner.scoring.begun(spec.seed)
    for _ in range(2):
        told, state = learner.update(examples, reference, state, nothing)
        steps.append(told)
    return {"scores": {one.example.id: one.example.values["score"] for one in examples}, "steps": steps}


def nothing() -> None:
    pass


def train(case: str, spec: Spec, ranks: Ranks, out: Path) -> dict[str, Any]:
    """A few steps of uneven packs; afterwards the weights lie in `out`."""
    tokenizer = load_tokenizer(spec.checkpoint)
    learner, model = build(spec, tokenizer, len(STEPS), ranks)
    scoring = replace(learner.scoring, tokens=70)
    if case == "coupled":
        scoring = replace(scoring, objective=Softmin())
    learner = replace(learner, scoring=scoring)
    examples = encoded(sum(STEPS) + 5)
    if case == "sft":
        examples = [replace(one, responses=one.responses[:1], roles=(Role.DESIRABLE,)) for one in examples]
    before = sequence_logps(scoring, examples, nothing)
    steps, packs, start = [], [], 0
    state = scoring.begun(spec.seed)
    for size in STEPS:
        some = slice(start, start + size)
        told, state = learner.update(examples[some], before[some], state, nothing)
        steps.append(told)
        packs.append([len(pack) for pack in scoring.packs(examples[some])])
        start += size
    measured = evaluate(scoring, examples[start:], before[start:], state, nothing)
    said = []
    with scoring.ranks.gathered(scoring.scorer):
        sampling = Sampling(temperature=0, max_new_tokens=6)
        if spec.kind != "reward_model":  # which writes nothing
            said = [response.text for response in Generator.of(model, tokenizer).generate(PROMPTS, sampling)]
    weights, own = scoring.ranks.weights(scoring.scorer), scoring.ranks.own_weights(scoring.scorer)
    if ranks.first:
        kept = Checkpoints(out, "lora" if "tuning" in CASES[case] else "full", spec.keep)
        kept.save(model, tokenizer, len(STEPS), {}, weights, own)
    parameters = list(scoring.scorer.parameters())
    return {
        "steps": steps,
        "evaluated": measured,
        "said": said,
        "packs": packs,
        "sharded": sum(isinstance(parameter, DTensor) for parameter in parameters),
        "parameters": len(parameters),
        "held": sum(_local(parameter).numel() for parameter in parameters),
    }


def _local(parameter: Tensor) -> Tensor:
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter


def main(spec: dict[str, Any], out: Path) -> None:
    """Every case in every way that these processes can train; one file of results for each rank.

    `other` in the spec is a checkpoint with other weights, the reference where masks are learned: while policy and
    reference agree, masks have no gradient but rounding, and Adam takes steps by its direction. `head` is
    a reward model, `experts` a mixture of experts with a router loss.
    """
    other, head, experts = spec.pop("other"), spec.pop("head"), spec.pop("experts")
    models = {"masks": {"reference": other}, "experts": {"checkpoint": experts}}
    place = seat()
    ranks = alone() if place is None else join(place, place.size)
    found: dict[str, Any] = {}
    for way in ("auto",) if place is None else ("ddp", "fsdp"):
        for case, changes in CASES.items():
            given = {**spec, **changes, **models.get(case, {})}
            chosen = Spec.model_validate({**given, "devices": ranks.size, "parallel": way})
            found[f"{case}, {way}"] = train(case, chosen, ranks, out / f"{case}, {way}")
        for name in SHARDED if way == "fsdp" else OBJECTIVES:
            given = {**spec, "objective": OBJECTIVES[name]}
            chosen = Spec.model_validate({**given, "devices": ranks.size, "parallel": way})
            found[f"{name}, {way}"] = learn(chosen, ranks, out / f"{name}, {way}.safetensors")
    implicit = {"reward": other, "reward_reference": spec["checkpoint"]}
    for case, third in {"implicit": implicit, "head": {"reward": head}}.items():
        chosen = Spec.model_validate({**spec, "objective": {"name": "madpo"}, "third": third, "devices": ranks.size})
        found[f"rewards, {case}"] = tell(chosen, ranks, out / f"rewards, {case}, {ranks.size}")
    (out / f"{ranks.size}-{ranks.rank}.json").write_text(json.dumps(found))
    part()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
