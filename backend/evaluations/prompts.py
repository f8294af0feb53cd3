"""Which prompts an evaluation asks: a dataset's distinct ones, drawn by the seed, texts, or prompt checks."""

import uuid
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH, distinct_on
from sqlalchemy.orm import Session

from alignment.formats.canonical import hash_of
from backend.checkpoints.models import Checkpoint
from backend.datasets import service as datasets
from backend.datasets.models import Item, Kind
from backend.errors import Invalid, NotFound
from backend.evaluations.models import Output
from backend.evaluations.schemas import PromptsIn
from backend.projects.models import Project
from backend.prompt_checks import service as prompt_checks


class NoPrompts(Invalid):
    title = "No prompts"


class Prompt(NamedTuple):
    """Chat messages ending with the user, their hash, and what they are about and what a good answer keeps, where that
    is known."""

    messages: Sequence[dict[str, Any]]
    hash: str
    category: str | None = None
    expects: dict[str, Any] | None = None


class Drawn(NamedTuple):
    """The prompts to ask, how many there were to draw from, and the record of where they came from."""

    prompts: list[Prompt]
    available: int
    source: dict[str, Any]
    trained_on: bool = False  # whether a run may have seen them: only pairs outside the test split are trained on


def draw(session: Session, project: Project, wanted: PromptsIn, seed: int, *, empty: bool = False) -> Drawn:
    """The prompts of an evaluation, each once, the same for the same seed.

    Raises NotFound, and NoPrompts unless texts or prompt checks may be `empty`.
    """
    if wanted.texts is not None:
        if not wanted.texts and not empty:
            raise NoPrompts("There is no prompt.", field="prompts.texts", remedy="Give one at least.")
        asked = {(prompt := of_text(text)).hash: prompt for text in wanted.texts}
        return Drawn(list(asked.values()), len(asked), {"texts": len(asked)})
    if wanted.checks is not None:
        return _of_checks(session, project, wanted.checks, empty=empty)
    if wanted.outputs_of is not None:
        return _of_outputs(session, project, wanted.outputs_of, wanted, seed)
    assert wanted.dataset_id is not None  # noqa: S101  (the schema wants one of them)
    return _of_dataset(session, project, wanted.dataset_id, wanted, seed)


MEDIA: Final = '$[*].parts[*] ? (@.type != "text")'
"""What a prompt has that a checkpoint here cannot be shown."""


def of_text(text: str) -> Prompt:
    """One user message."""
    return of_messages([{"role": "user", "content": text}])


def of_messages(messages: Sequence[dict[str, Any]]) -> Prompt:
    return Prompt(messages, hash_of(messages))


def _of_checks(session: Session, project: Project, wanted: list[str], *, empty: bool) -> Drawn:
    """Prompt checks of the project in their order: none of them may be missed by lot."""
    found = prompt_checks.drawn(session, project, wanted)
    if not found and not empty:
        where = f" in {', '.join(f'“{one}”' for one in wanted)}" if wanted else ""
        raise NoPrompts(
            f"There is no prompt check{where}.", field="prompts.checks", remedy="Add some under Prompt checks first."
        )
    prompts = [Prompt(one.prompt, one.prompt_hash, one.category, one.expects) for one in found]
    return Drawn(prompts, len(prompts), {"checks": wanted})


def _of_outputs(session: Session, project: Project, checkpoint_id: uuid.UUID, wanted: PromptsIn, seed: int) -> Drawn:
    """The prompts that a contestant known by imported outputs has answered."""
    one = session.get(Checkpoint, checkpoint_id)
    if one is None or one.project_id != project.id:
        raise NotFound("There is no such contestant.", field="prompts.outputs_of", remedy="Choose one from the list.")
    available = session.scalar(select(func.count()).where(Output.checkpoint_id == one.id)) or 0
    if not available:
        raise NoPrompts(
            f"No outputs of “{one.name}” were imported with their texts.",
            field="prompts.outputs_of",
            remedy="Choose another contestant, or a dataset.",
        )
    lot = func.md5(func.concat(Output.prompt_hash, str(seed)))
    query = select(Output.prompt, Output.prompt_hash).where(Output.checkpoint_id == one.id)
    found = session.execute(query.order_by(lot).limit(wanted.limit))
    source = {"outputs_of": str(one.id), "outputs": one.name, "limit": wanted.limit}
    return Drawn([Prompt(*row) for row in found], available, source)


def _of_dataset(session: Session, project: Project, dataset_id: uuid.UUID, wanted: PromptsIn, seed: int) -> Drawn:
    dataset = datasets.find(session, project, dataset_id)
    where = [Item.dataset_id == dataset.id, ~func.jsonb_path_exists(Item.prompt, cast(MEDIA, JSONPATH))]
    if wanted.split is not None:
        where.append(Item.split == wanted.split)
    available = session.scalar(select(func.count(Item.prompt_hash.distinct())).where(*where)) or 0
    if not available:
        which = f"the {wanted.split} split of " if wanted.split else ""
        raise NoPrompts(
            f"There is no prompt in {which}“{dataset.name}”.",
            field="prompts.split" if wanted.split else "prompts.dataset_id",
            remedy="Choose another split or dataset, or type prompts.",
        )
    lot = func.md5(func.concat(Item.prompt_hash, str(seed)))
    columns = Item.prompt, Item.prompt_hash, Item.facts["category"].astext
    query = select(*columns).where(*where).ext(distinct_on(lot)).order_by(lot, Item.position).limit(wanted.limit)
    trained_on = dataset.kind is not Kind.prompts and wanted.split in {None, "train"}
    source = {"dataset_id": str(dataset.id), "dataset": dataset.name, "split": wanted.split, "limit": wanted.limit}
    source["trained_on"] = trained_on
    prompts = [Prompt(*row) for row in session.execute(query)]
    return Drawn(prompts, available, source, trained_on)
