"""Kinds of run: what each one trains and by which of its losses; one engine trains all of them.

Importing this package does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple, cast

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from alignment.objectives import CATALOGUE, Objective
from alignment.parts import Choice, unknown
from alignment.training.kinds.bradley_terry import BradleyTerry
from alignment.training.kinds.bradley_terry_margin import BradleyTerryMargin
from alignment.training.kinds.gpm_rm import GPM
from alignment.training.kinds.ranklist_rm import RankListRM
from alignment.training.kinds.sft import SFT

RunKind = Literal["preference", "sft", "reward_model"]
Best = Literal["auto", "eval/rewards/accuracies", "eval/rewards/margins", "eval/loss", "eval/accuracy"]


class Kind(NamedTuple):
    """One kind of run; `usual` is its loss where a spec names none, the first of `best` tells its best checkpoint."""

    title: str
    summary: str
    losses: Mapping[str, type[Objective]]
    usual: str | None
    best: tuple[Best, ...]


KINDS: Final[Mapping[RunKind, Kind]] = {
    "preference": Kind(
        "Preference run",
        "Trains a model to prefer what people preferred. Needs data with preferences.",
        CATALOGUE,
        None,
        ("eval/rewards/accuracies", "eval/rewards/margins", "eval/loss"),
    ),
    "sft": Kind(
        "Supervised fine-tuning",
        "Trains a model to answer as the demonstrations do. Needs demonstrations, or the chosen sides of pairs.",
        {SFT.name: SFT},
        SFT.name,
        ("eval/loss",),
    ),
    "reward_model": Kind(
        "Reward model",
        "Trains a score on top of a model that ranks responses as people did; it writes no text. Needs pairs, or "
        "rankings.",
        {loss.name: loss for loss in (BradleyTerry, BradleyTerryMargin, RankListRM, GPM)},
        BradleyTerry.name,
        ("eval/accuracy", "eval/loss"),
    ),
}
LOSSES: Final = {name: loss for kind in KINDS.values() for name, loss in kind.losses.items()}
RunObjective = Annotated[Objective, Choice(Objective, LOSSES, "an objective is written {name: dpo, …}")]


def of_kind(value: Any) -> Any:
    """A raw spec with the usual loss of its kind where it names none."""
    if not isinstance(value, dict):
        return value
    kind = value.get("kind", "preference")
    usual = next((one.usual for name, one in KINDS.items() if name == kind), None)
    if usual and value.get("objective") is None:
        return {**value, "objective": {"name": usual}}
    return value


def known(value: Any) -> RunKind:
    """A kind that there is.  Raises naming the nearest one."""
    if not isinstance(value, str) or value not in KINDS:
        raise unknown("kind", value, list(KINDS))
    return cast("RunKind", value)


def refuse_strange(kind: RunKind, objective: Objective) -> None:
    """Raise when the objective is none of the losses of the kind."""
    told = KINDS[kind]
    if objective.name in told.losses:
        return
    mine = next(name for name, other in KINDS.items() if objective.name in other.losses)
    names = "one of the objectives" if kind == "preference" else " or ".join(told.losses)
    raise PydanticCustomError(
        "strange_objective",
        "{title} trains runs of kind {mine}; a run of kind {kind} takes {names}",
        {"title": objective.title, "mine": mine, "kind": kind, "names": names},
    )


def refuse_reference(objective: Objective, reference: object, field: str) -> None:
    """Raise at the field when a reference is given to an objective that compares with none."""
    if reference is None:
        return
    message = "{title} compares with no reference: leave it out" if objective.needs.reference == "none" else None
    if objective.needs.anchor:
        message = "the anchor of {title} begins as the checkpoint and follows it: leave the reference out"
    if message is not None:
        error = PydanticCustomError("no_reference", message, {"title": objective.title})
        details = InitErrorDetails(type=error, loc=(field,), input=reference)
        raise ValidationError.from_exception_data("Reference", [details])


def best_of(kind: str, asked: Best | None) -> Best | None:
    """The metric that tells the best checkpoint, None for none.  Raises when runs of the kind do not measure it."""
    known_names = KINDS[known(kind)].best
    if asked == "auto":
        return known_names[0]
    if asked is not None and asked not in known_names:
        raise PydanticCustomError(
            "unmeasured",
            "a run of kind {kind} does not measure {asked}: take auto, or one of {names}",
            {"kind": kind, "asked": asked, "names": ", ".join(known_names)},
        )
    return asked
