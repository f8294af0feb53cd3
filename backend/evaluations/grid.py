"""The grid of an evaluation: prompts by contestants, a stretch of rows at a time, so that ten thousand cost no more."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alignment.judges.llm import UNREADABLE
from backend import paging
from backend.evaluations.comparison_schemas import CellOut, GridOut, GridRowOut, Mark
from backend.evaluations.filters import EVEN, within
from backend.evaluations.models import Evaluation, Match, SeenPrompt, Source
from backend.evaluations.said import PEOPLE, Said, everybody, query, scores
from backend.evaluations.schemas import MatchFilter
from backend.render import clear

EXCERPT = 180  # characters of a prompt or an answer that a cell holds
MOST_ROWS = 100


class GridRows(MatchFilter):
    """Rows of the prompts on which some match meets the filter, after a position."""

    cursor: str | None = Field(None, max_length=64, description="Rows after this position.")
    limit: int = Field(50, ge=1, le=MOST_ROWS)


class Met(NamedTuple):
    """A match without the texts of its answers, only how they begin."""

    id: uuid.UUID
    position: int
    prompt: str
    prompt_hash: str
    turns: int
    category: str | None
    sides: tuple[uuid.UUID, uuid.UUID]
    answers: tuple["Begun", "Begun"]


class Begun(NamedTuple):
    """How an answer begins, how long it is, or why there is none."""

    excerpt: str | None
    characters: int | None
    error: str | None


def outline(session: Session, evaluation: Evaluation, wanted: MatchFilter) -> GridOut:
    """How many matches meet the filter and on which prompts."""
    grouped = select(Match.position, func.count()).where(*within(evaluation.id, wanted))
    found = session.execute(grouped.group_by(Match.position).order_by(Match.position)).all()
    named = select(Match.category).where(Match.evaluation_id == evaluation.id, Match.category.is_not(None)).distinct()
    return GridOut(
        matches=sum(count for _, count in found),
        prompts=len(found),
        positions=_stretches(position for position, _ in found),
        categories=sorted(category for category in session.scalars(named) if category),
    )


def _stretches(positions: Iterable[int]) -> list[list[int]]:
    """First and last of each run of consecutive positions."""
    runs = [list(run) for _, run in groupby(enumerate(positions), lambda pair: pair[1] - pair[0])]
    return [[run[0][1], run[-1][1]] for run in runs]


def rows(session: Session, evaluation: Evaluation, wanted: GridRows) -> tuple[list[GridRowOut], str | None]:
    """The next rows, and the cursor of those after them."""
    chosen = select(Match.position).where(*within(evaluation.id, wanted)).distinct().order_by(Match.position)
    if wanted.cursor is not None:
        chosen = chosen.where(Match.position > paging.position(wanted.cursor))
    positions = session.scalars(chosen.limit(wanted.limit + 1)).all()
    shown = positions[: wanted.limit]
    following = str(shown[-1]) if len(positions) > wanted.limit else None
    met = _met(session, evaluation, shown)
    said: dict[uuid.UUID, list[Said]] = defaultdict(list)
    for row in session.execute(query().where(Match.evaluation_id == evaluation.id, Match.position.in_(shown))):
        said[row[0]].append(Said(*row))
    order = [uuid.UUID(one) for one in evaluation.contestants]
    trained = _trained(session, evaluation, {own[0].prompt_hash for own in met.values()})
    return [_row(order, met[position], said, trained, wanted.judge) for position in shown], following


def _trained(session: Session, evaluation: Evaluation, prompts: set[str]) -> dict[str, list[uuid.UUID]]:
    """Which contestants were trained on each of the prompts."""
    found: dict[str, list[uuid.UUID]] = defaultdict(list)
    query = select(SeenPrompt.prompt_hash, SeenPrompt.checkpoint_id)
    seen = query.where(SeenPrompt.evaluation_id == evaluation.id, SeenPrompt.prompt_hash.in_(prompts))
    for prompt, checkpoint_id in session.execute(seen.order_by(SeenPrompt.checkpoint_id)):
        found[prompt].append(checkpoint_id)
    return found


def _met(session: Session, evaluation: Evaluation, positions: Sequence[int]) -> dict[int, list[Met]]:
    """The matches on these prompts, by position."""
    last = Match.prompt[-1]["content"].astext
    columns: list[Any] = [Match.id, Match.position, func.left(last, EXCERPT), Match.prompt_hash]
    columns += [func.jsonb_array_length(Match.prompt), Match.category, Match.checkpoint_a, Match.checkpoint_b]
    for response in (Match.response_a, Match.response_b):
        text = response["content"].astext
        columns += [func.left(text, EXCERPT), func.char_length(text)]
        columns.append(func.coalesce(response["detail"].astext, response["error"].astext))
    here = select(*columns).where(Match.evaluation_id == evaluation.id, Match.position.in_(positions))
    found: dict[int, list[Met]] = defaultdict(list)
    for row in session.execute(here.order_by(Match.id)):
        met = Met(row[0], row[1], row[2], row[3], row[4], row[5], row[6:8], (Begun(*row[8:11]), Begun(*row[11:14])))
        found[met.position].append(met)
    return found


def _row(
    order: list[uuid.UUID],
    met: list[Met],
    said: dict[uuid.UUID, list[Said]],
    trained: dict[str, list[uuid.UUID]],
    judge: str | None,
) -> GridRowOut:
    first = met[0]
    return GridRowOut(
        position=first.position,
        prompt=clear(first.prompt),
        turns=first.turns,
        category=first.category,
        trained_on=trained.get(first.prompt_hash, []),
        cells=[_cell(one, order[0], met, said, judge) for one in order],
    )


def _cell(
    one: uuid.UUID, baseline: uuid.UUID, met: list[Met], said: dict[uuid.UUID, list[Said]], judge: str | None
) -> CellOut:
    own = [match for match in met if one in match.sides]
    if not own:
        return CellOut(match_id=None, excerpt=None, characters=None, error=None, score=None, marks=[])
    against = next((match for match in own if one != baseline and baseline in match.sides), None)
    match = against or own[0]
    side = match.sides.index(one)
    excerpt, characters, error = match.answers[side]
    cell = CellOut(
        match_id=match.id,
        excerpt=None if excerpt is None else clear(excerpt),
        characters=characters,
        error=error,
        score=None,
        marks=[],
    )
    if against is None:
        return cell
    voices = [one for one in said[match.id] if judge is None or (one.judge or PEOPLE) == judge]
    score = everybody(voices)
    turned = 1 - score if score is not None and side == 1 else score
    return cell.model_copy(update={"score": turned, "marks": _marks(said[match.id], voices)})


def _marks(said: Sequence[Said], voices: Sequence[Said]) -> list[Mark]:
    """What is doubtful about the verdicts of those judges who count, as the filter finds it."""
    people = next(iter(scores(one for one in said if one.source is Source.person).values()), None)
    by_judge: dict[str, list[Said]] = defaultdict(list)
    for one in voices:
        if one.source is Source.judge and one.judge is not None:
            by_judge[one.judge].append(one)
    found: list[Mark] = []
    if any(len({one.outcome for one in own if one.outcome is not None}) > 1 for own in by_judge.values()):
        found.append("contradicted")
    if any(one.reason in UNREADABLE for own in by_judge.values() for one in own):
        found.append("unreadable")
    decided = [score for own in by_judge.values() for score in scores(own).values()]
    if people is not None and any(_sign(score) != _sign(people) for score in decided):
        found.append("differs")
    return found


def _sign(score: float) -> int:
    return (score > EVEN) - (score < EVEN)
