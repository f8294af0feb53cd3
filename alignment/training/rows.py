"""How the rows of a run are laid out: what its architecture allows, once real examples have shown it to be exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from alignment.training import attention, blocks, lean, structure
from alignment.training.scoring import Scoring
from alignment.training.step import sequence_logps
from alignment.training.structure import Structure

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from alignment.training.encode import Encoded

FEW = 2  # of the longest examples, and as many of the shortest
EXACT, RELATIVE = 1e-3, 2e-5
EXACT_BF16, RELATIVE_BF16 = 0.1, 5e-3
"""Differences in nats that rounding explains: for one response, and for each nat of its log-probability.

In bf16 a token's log-probability is rounded to about a hundredth, and the errors of a response add up like its square
root of tokens; what a leak between examples changes is larger on the longest rows.
"""


class Log(Protocol):
    """Where it is told how rows are laid out: the events of a run, or nowhere."""

    def log(self, message: str, level: str = "info", **facts: object) -> None:
        """Take one line with its numbers."""


def arrange(model: PreTrainedModel, device: torch.device, *, exact: bool = True) -> Structure:
    """How the model's rows may be laid out, and attend there: part by part on a CPU, where masks hide no work; by
    blocks on an accelerator that shows that it can; under masks otherwise.

    `exact` is arithmetic in the type of the weights, otherwise it is bf16.  The model's norms and feed-forward networks
    keep less for the backward pass from then on, wherever they are known.
    """
    lean.use(model)
    rows = structure.of(model.config, model.config._attn_implementation)
    if not rows.shared:
        return rows
    attention.use(model)
    if device.type == "cpu":
        return replace(rows, way="parts")
    if why := blocks.unusable(model, device, exact=exact):
        return replace(rows, why=f"{rows.why}, under masks, as attention by blocks does not work here ({why})")
    return replace(rows, way="blocks", why=f"{rows.why}, by blocks")


def checked(
    scoring: Scoring, examples: Sequence[Encoded], events: Log, check: Callable[[], None], of: str | None = None
) -> Scoring:
    """The scoring with rows that are known to be exact, and an event that says which and why.

    `of` names the model where it is another than the one that is trained.
    """
    rows = scoring.structure
    named = f"the {of}: " if of else ""
    largest = None
    while rows.shared and examples:
        largest, rounding = _difference(replace(scoring, structure=rows), _hard(examples), check)
        if not scoring.ranks.any(not rounding):
            break
        why = f"sharing changed a log-probability by {largest:.3g} on the longest examples"
        if rows.way == "blocks":
            events.log(f"{named}examples do not attend by blocks, although they should be able to: {why}", "warning")
            rows = replace(rows, way="masks")
        else:
            events.log(f"{named}examples do not share rows, although they should be able to: {why}", "warning")
            rows = structure.plain(why, steady=rows.steady)
    said = "prompts are computed once and examples share rows"
    if not rows.shared:
        largest, said = None, "each response has a row of its own"
    if largest is not None:
        said += f", which changes log-probabilities by at most {largest:.2g} nats on the longest examples"
    events.log(
        f"{named}{said}: {rows.why}",
        of=of,
        path="shared" if rows.shared else "plain",
        why=rows.why,
        attention=rows.way if rows.shared else None,
        largest_difference=largest if largest is None else round(largest, 8),
    )
    return replace(scoring, structure=rows)


def others_checked(scoring: Scoring, examples: Sequence[Encoded], events: Log, check: Callable[[], None]) -> Scoring:
    """The same for the other models that are asked at every step."""
    found = {}
    for name, other in scoring.others.items():
        judge = replace(scoring, scorer=other.scorer, wrapped=other.scorer, structure=other.structure)
        rows = checked(judge, examples, events, check, of=name).structure
        found[name] = replace(other, structure=rows)
    return replace(scoring, others=found)


def _hard(examples: Sequence[Encoded]) -> list[Encoded]:
    """The shortest examples, which attend together, between the longest: a leak reaches furthest where lengths differ
    most."""
    longest = nlargest(FEW, examples, key=lambda example: example.longest)
    shortest = nsmallest(FEW, examples, key=lambda example: example.longest)
    return [*longest[:1], *shortest, *longest[1:]]


@torch.no_grad()
def _difference(scoring: Scoring, some: list[Encoded], check: Callable[[], None]) -> tuple[float, bool]:
    """The largest difference between shared and plain log-probabilities, and whether rounding explains them all."""
    check()
    together: Tensor = scoring.scores(some).logps.cpu()
    apart = sequence_logps(replace(scoring, structure=structure.plain("")), some, check)
    alone = torch.cat(apart)
    differences = (together - alone).abs().flatten()
    if not bool(differences.isfinite().all()):
        return math.nan, False
    limits = torch.cat([allowed(scoring, logps, one).flatten() for logps, one in zip(apart, some, strict=True)])
    return float(differences.max()), bool((differences <= limits).all())


def allowed(scoring: Scoring, logps: Tensor, example: Encoded) -> Tensor:
    """By how much rounding may change the log-probabilities (K,) of an example's responses, or what else is said of
    them, (K, labels)."""
    if scoring.scorer.exact:
        return EXACT + RELATIVE * logps.abs()
    lengths = torch.tensor([float(len(answer)) for answer in example.responses]).reshape(-1, *[1] * (logps.dim() - 1))
    return EXACT_BF16 * lengths.sqrt() + RELATIVE_BF16 * logps.abs()
