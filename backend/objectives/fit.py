"""Which objectives, and losses of other kinds of run, some data can feed, and why not the others."""

import uuid
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.orm import Session

from alignment.formats.preference import Policy
from alignment.formats.snapshot import Example
from alignment.objectives import Objective, Role, feeding, rewards
from alignment.objectives.composite import Composite
from alignment.objectives.facts import COLUMNS, find
from alignment.parts import said
from alignment.training.kinds import LOSSES
from backend.datasets import service as datasets
from backend.datasets import snapshots
from backend.datasets.models import Kind
from backend.errors import Invalid
from backend.projects.models import Project
from backend.runs import suited


class UnfitOut(BaseModel):
    """Why data cannot feed an objective, and what to do about it."""

    detail: str
    remedy: str
    scorer: bool = Field(False, description="Whether a checkpoint that scores responses would tell what they lack.")


LOOKED_AT: Final = 1_000
"""Examples of each part of the data whose facts are looked at; a launch looks at all."""

COLUMNS_READ: Final = (*COLUMNS, *feeding.TOLD.values())


def read_policy(text: str) -> Policy:
    """Which labels count, from a JSON object.  Raises Invalid."""
    try:
        return Policy.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(["policy", *map(str, first["loc"])])
        raise Invalid(f"{place}: {said(first)}.", field="policy", remedy='Send {"unit": "label"}.') from error


class _Part(NamedTuple):
    """One part of the data: its kind, and the facts of its first examples."""

    kind: Kind
    examples: list[Example]


def unfit(
    session: Session,
    project: Project,
    dataset_ids: Sequence[uuid.UUID],
    snapshot_ids: Sequence[uuid.UUID],
    apart: bool,
    policy: Policy,
) -> dict[str, UnfitOut]:
    """By name, the objectives that a run on these data together cannot have; none without data.

    Raises NotFound, UnfitExample.
    """
    found = [datasets.find(session, project, one) for one in dataset_ids]
    parts = [_Part(one.kind, [*suited.decided(session, one, policy, LOOKED_AT)]) for one in found]
    for one in [snapshots.find(session, project, id) for id in snapshot_ids]:
        with suited.frozen(one, "snapshot_id", COLUMNS_READ) as examples:
            parts.append(_Part(one.kind, [*islice(examples, LOOKED_AT)]))
    if not parts:
        return {}
    found_unfit = {}
    for name, loss in LOSSES.items():
        kinds, facts = _of_kinds(loss, parts, apart), _of_facts(loss, parts)
        why = kinds or facts
        if why is not None:
            scorer = kinds is None and _of_facts(loss, parts, rewards.every(loss().needs)) is None
            found_unfit[name] = UnfitOut(detail=why.detail, remedy=why.remedy, scorer=scorer)
    return found_unfit


def _of_kinds(loss: type[Objective], parts: Sequence[_Part], apart: bool) -> feeding.Refusal | None:
    if issubclass(loss, Composite):
        return None  # its parts decide, and nobody has chosen them yet: the pre-flight of a run tells
    unfed = sorted(loss.needs.roles & feeding.UNFED.keys())
    if unfed:
        words = " and ".join(feeding.UNFED[role] for role in unfed)
        return feeding.Refusal(f"{loss.title} needs {words}, which no data hold yet.", "Choose another objective.")
    found: set[Role] = set()
    for kind in sorted({part.kind for part in parts}):
        refusal = feeding.refused(loss.title, loss.needs.roles, kind, apart=apart and kind == "paired")
        if refusal is not None:
            return refusal
        found |= feeding.fed(loss.needs.roles, kind, apart=apart)
    return feeding.lacking(loss.title, loss.needs.roles, found)


def _of_facts(
    loss: type[Objective], parts: Sequence[_Part], told: frozenset[str] = frozenset()
) -> feeding.Refusal | None:
    objective = loss()  # one that is made of others asks what its usual parts do
    unknown = sorted(name for name in objective.needs.facts if find(name) is None)
    if unknown:
        words = ", ".join(unknown)
        return feeding.Refusal(f"{loss.title} needs {words}, which no data hold yet.", "Choose another objective.")
    if not suited.asks(objective):
        return None
    for part in parts:
        found = suited.first_unfit(part.examples, part.kind, objective, told)
        if found is not None:
            return feeding.Refusal(f"An example of these data {found[1].detail}.", found[1].remedy)
    return None
