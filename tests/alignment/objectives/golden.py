"""The independently computed values of every objective: how one of their cases becomes a batch, by its scope."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from alignment.objectives import (
    CATALOGUE,
    REFERENCE,
    Batch,
    OtherValue,
    Role,
    State,
    StepValue,
    Tokens,
    TokenValue,
    beside,
    own,
    step,
)
from alignment.training.vocabulary import values_of
from tests.alignment.objectives import told
from tests.alignment.objectives.cases import NAMES, pair_batch

FILE = Path(__file__).parents[3].parent / "shared" / "golden" / "objectives.json"


class Reading(NamedTuple):
    """One case: what the objective sees, what the gradient is taken of, and the gradient it should be, flat."""

    batch: Batch
    leaves: list[torch.Tensor]
    slopes: list[float]
    state: State = State()


@cache
def _loaded() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text())
    return loaded


def contents() -> dict[str, Any]:
    """The golden file, or a skipped test on a machine that lacks it."""
    if not FILE.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{FILE} is missing")
        pytest.skip("the golden file is not on this machine")
    return _loaded()


def golden_id(name: str) -> str | None:
    """The id under which the golden file has an objective, by itself or as the alias of another."""
    by_token = f"{name}_tok"  # the same objective from logits, instead of from what was made of them
    if by_token in contents()["objectives"] and CATALOGUE[name].needs.asked:
        return by_token
    ids: str | None = contents()["aliases"].get(name, name)
    return ids if ids in contents()["objectives"] else None


RENAMED: dict[str, dict[str, str]] = {"rso_sigmoid_norm": {"beta": "gamma"}}
"""Hyperparameters of aliases that have another name than those of what they are equal to."""


def parameters(name: str, case: dict[str, Any]) -> dict[str, Any]:
    """A case's hyperparameters, as the objective of that name calls them."""
    renamed = RENAMED.get(name, {})
    return {renamed.get(field, field): value for field, value in case["params"].items()}


def pair(case: dict[str, Any], dtype: Any) -> Reading:
    """A chosen and a rejected response by their sums, lengths and reference."""
    given = case["inputs"]
    batch = pair_batch(
        given["logp_w"],
        given["logp_l"],
        reference=(given["ref_w"], given["ref_l"]),
        lengths=(given["len_w"], given["len_l"]),
        dtype=dtype,
    )
    return Reading(batch, [batch.logps], [case["grad"]["logp_w"], case["grad"]["logp_l"]], _state(given))


def _state(given: dict[str, Any]) -> State:
    """What has moved between steps, where a case says so: BCO's threshold is the mean of the rewards seen."""
    if "delta" not in given:
        return State()
    seen = {"sum": given["delta"], "count": 1.0}
    return State(moved={name: torch.tensor(value, dtype=torch.float64) for name, value in seen.items()})


def single(case: dict[str, Any], dtype: Any) -> Reading:
    """One answer, to be forgotten unless it is a demonstration; beside it one that is to be retained."""
    given = case["inputs"]
    role = Role.DESIRABLE if "divergence" in case["params"] else Role.UNDESIRABLE
    names = [name for name in ("logp", "logp_retain") if name in given]
    batch = Batch(
        logps=torch.tensor([given[name] for name in names], dtype=dtype, requires_grad=True),
        lengths=torch.tensor([given["len"], given.get("len_retain", 1)][: len(names)], dtype=dtype),
        example=torch.arange(len(names)),
        role=torch.tensor([int(role), int(Role.RETAIN)][: len(names)]),
        reference=torch.tensor([given["ref"]] + [0.0] * (len(names) - 1), dtype=dtype),
    )
    return Reading(batch, [batch.logps], [case["grad"][name] for name in names])


def ranked(case: dict[str, Any], dtype: Any) -> Reading:
    """K responses to one prompt with labels, of which more is better."""
    given = case["inputs"]
    if "step_logp" in given:
        return tree(case, dtype)
    logps = torch.tensor(given["logp"], dtype=dtype, requires_grad=True)
    labels = torch.tensor(given["label"], dtype=dtype)
    batch = Batch(
        logps=logps,
        lengths=torch.ones_like(labels),
        example=torch.zeros(len(labels), dtype=torch.long),
        role=torch.full((len(labels),), int(Role.CANDIDATE)),
        reference=torch.tensor(given["ref"], dtype=dtype),
        facts={"score": labels, "rank": (labels[None] > labels[:, None]).sum(dim=1).to(dtype) + 1},
    )
    return Reading(batch, [logps], case["grad"]["logp"])


def tree(case: dict[str, Any], dtype: Any) -> Reading:
    """K responses of the same steps, each of one to three tokens about the mean log-probability that the case gives."""
    given, labels = case["inputs"], torch.tensor(case["inputs"]["label"], dtype=dtype)
    leaf = torch.tensor(given["step_logp"], dtype=dtype, requires_grad=True)
    count, steps = leaf.shape
    sizes = torch.arange(count * steps) % 3 + 1
    place = torch.arange(steps).repeat(count).repeat_interleave(sizes)
    sequence = torch.arange(count).repeat_interleave(steps).repeat_interleave(sizes)
    within = torch.cat([torch.arange(size) - (size - 1) / 2 for size in sizes.tolist()]).to(dtype)  # 0 on average

    def spread(values: torch.Tensor) -> torch.Tensor:
        return values.flatten().repeat_interleave(sizes)

    values: dict[str, torch.Tensor] = {
        TokenValue.LOGPS: spread(leaf) + 0.1 * within,
        beside(REFERENCE, OtherValue.LOGPS): spread(torch.tensor(given["step_ref"], dtype=dtype)),
        step("lines", StepValue.PLACE): place.to(dtype),
        step("lines", StepValue.LIKENESS): spread(torch.tensor(given["step_w"], dtype=dtype)) - 1,
    }
    tokens = Tokens(sequence, values)
    found = Batch(
        logps=tokens.sums(TokenValue.LOGPS, count),
        lengths=sequence.bincount().to(dtype),
        example=torch.zeros(count, dtype=torch.long),
        role=torch.full((count,), int(Role.CANDIDATE)),
        reference=tokens.sums(beside(REFERENCE, OtherValue.LOGPS), count),
        facts={"rank": (labels[None] > labels[:, None]).sum(dim=1).to(dtype) + 1},
        tokens=tokens,
    )
    return Reading(found, [leaf], [slope for row in case["grad"]["step_logp"] for slope in row])


def batch(case: dict[str, Any], dtype: Any) -> Reading:
    """Several pairs as one optimizer batch; where the case leaves some out by a mask, those that are left."""
    given = case["inputs"]
    kept = torch.tensor(given.get("mask", [1.0] * len(given["logp_w"]))) > 0

    def both(name: str, values: Mapping[str, Sequence[float]]) -> torch.Tensor:
        sides = [torch.tensor(values[f"{name}_{side}"], dtype=dtype)[kept] for side in "wl"]
        return torch.stack(sides, dim=1).flatten()

    count = int(kept.sum())
    found = Batch(
        logps=both("logp", given).requires_grad_(),
        lengths=both("len", given),
        example=torch.arange(count).repeat_interleave(2),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)]).repeat(count),
        reference=both("ref", given),
    )
    moved = {"m0": torch.tensor(given["m0"], dtype=torch.float64)} if "m0" in given else {}
    return Reading(found, [found.logps], both("logp", case["grad"]).tolist(), State(moved=moved))


def token(case: dict[str, Any], dtype: Any) -> Reading:
    """A chosen and a rejected response by the logits at each of their tokens, of the policy and of the reference.

    The reference stands for the teacher where one is asked for; a guide's log-probabilities, an advantage and masks are
    given.
    """
    given = case["inputs"]
    leaves = [torch.tensor(given[f"logits_{side}"], dtype=dtype, requires_grad=True) for side in "wl"]
    others = torch.tensor([*given["ref_logits_w"], *given["ref_logits_l"]], dtype=dtype)
    lengths = [len(given["ids_w"]), len(given["ids_l"])]
    sequence = torch.tensor([0, 1]).repeat_interleave(torch.tensor(lengths))
    models = {REFERENCE: others, "teacher": others}
    asked = frozenset({TokenValue.LOGPS, TokenValue.LOG_COLLISION}) | {
        beside(model, value) for model in models for value in OtherValue
    }
    slopes = [value for side in "wl" for row in case["grad"][f"logits_{side}"] for value in row]
    logits = torch.cat(leaves)
    values = values_of(logits, torch.tensor([*given["ids_w"], *given["ids_l"]]), asked, models)
    if "guide_w" in given:
        guide = torch.tensor([*given["guide_w"], *given["guide_l"]], dtype=dtype)
        values[beside("guide", OtherValue.LOGPS)] = guide
    if "adv_l" in given:
        advantage = torch.cat([torch.zeros_like(leaves[0]), torch.tensor(given["adv_l"], dtype=dtype)])
        expected = (logits.softmax(dim=1) * advantage).sum(dim=1)
        values[beside("teacher", OtherValue.EXPECTED)] = expected
        values[beside("teacher_reference", OtherValue.EXPECTED)] = torch.zeros_like(expected)
    for short, name in (("u", "reward_mask"), ("d", "kl_mask")) if "mask_u_w" in given else ():
        masks = [torch.tensor(given[f"mask_{short}_{side}"], dtype=dtype, requires_grad=True) for side in "wl"]
        values[own(name)] = torch.cat(masks)
        leaves += masks
        slopes += [value for side in "wl" for value in case["grad"][f"mask_{short}_{side}"]]
    tokens = Tokens(sequence, values)
    batch = Batch(
        logps=tokens.sums(TokenValue.LOGPS, 2),
        lengths=torch.tensor(lengths, dtype=dtype),
        example=torch.tensor([0, 0]),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)]),
        reference=tokens.sums(beside(REFERENCE, OtherValue.LOGPS), 2),
        tokens=tokens,
    )
    return Reading(batch, leaves, slopes, State())


READERS: dict[str, Callable[[dict[str, Any], Any], Reading]] = {
    "pair": pair,
    "batch": batch,
    "unpaired": single,
    "list": ranked,
    "token": token,
}
"""By the scope of the golden file; one more entry lets the objectives of one more scope be compared."""

ALONE = [name for name in NAMES if not told.tells(CATALOGUE[name].needs)]
"""Objectives that read nothing of a pair but log-probabilities; the others are compared in test_golden_told.py."""
