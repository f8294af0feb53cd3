"""Which of an evaluation's matches somebody means: one filter for the list, the grid, and what is made of matches."""

import json
import uuid
from typing import Any

from sqlalchemy import ColumnElement, Float, ScalarSelect, Select, String, and_, case, cast, func, null, or_, select

from alignment.judges.llm import UNREADABLE
from alignment.judges.panel import MEMBER
from backend.evaluations.models import Match, SeenPrompt, Source, Verdict
from backend.evaluations.said import ORDERS, PEOPLE
from backend.evaluations.schemas import MatchFilter, Result

EVEN = 0.5


def conditions(wanted: MatchFilter) -> list[ColumnElement[bool]]:
    """What a match must meet."""
    found: list[ColumnElement[bool]] = []
    for one in (wanted.contestant, wanted.against):
        if one is not None:
            found.append(or_(Match.checkpoint_a == one, Match.checkpoint_b == one))
    if wanted.category is not None:
        found.append(Match.category == wanted.category)
    if wanted.in_training is not None:
        seen = _seen(wanted.contestant)
        found.append(seen if wanted.in_training else ~seen)
    found += _lengths(wanted)
    if wanted.outcome is not None:
        found.append(_ended(wanted, wanted.outcome))
    elif wanted.judge is not None:
        found.append(_decided(wanted.judge).exists())
    if wanted.text is not None:
        found.append(_holds(wanted.text))
    return found


def _seen(contestant: uuid.UUID | None) -> ColumnElement[bool]:
    """Whether the prompt stands in what the contestant was trained on, or either of the two where none is named."""
    asked = (
        SeenPrompt.checkpoint_id.in_([Match.checkpoint_a, Match.checkpoint_b])
        if contestant is None
        else SeenPrompt.checkpoint_id == contestant
    )
    where = (SeenPrompt.evaluation_id == Match.evaluation_id, SeenPrompt.prompt_hash == Match.prompt_hash, asked)
    return select(1).where(*where).correlate(Match).exists()


def _lengths(wanted: MatchFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.min_ratio is not None:
        long, short = (by(*(func.char_length(text) for text in _texts())) for by in (func.greatest, func.least))
        found.append(cast(long, Float) >= wanted.min_ratio * func.greatest(short, 1))  # an empty answer counts as one
    if wanted.min_words is not None:
        found.append(Match.words_apart >= wanted.min_words)
    return found


def _texts() -> tuple[ColumnElement[str], ColumnElement[str]]:
    """Both answers' texts, null where there is none."""
    return Match.response_a["content"].astext, Match.response_b["content"].astext


def _holds(text: str) -> ColumnElement[bool]:
    """Whether prompt or answers contain the text, spelled in prompts the way JSON spells it."""
    spelled = json.dumps(text, ensure_ascii=False)[1:-1]
    return or_(
        cast(Match.prompt, String).icontains(spelled, autoescape=True),
        *(answer.icontains(text, autoescape=True) for answer in _texts()),
    )


def _ended(wanted: MatchFilter, outcome: Result) -> ColumnElement[bool]:
    if outcome == "failed":
        return or_(Match.response_a.has_key("error"), Match.response_b.has_key("error"))
    if outcome == "unreadable":
        return _unreadable(wanted.judge)
    if outcome == "contradicted":
        return contradicted(wanted.judge)
    if outcome == "differs":
        return differs(wanted.judge)
    score = _score(wanted.judge)
    if outcome == "undecided":
        return score.is_(None)
    if outcome == "tie":
        return score == EVEN
    a_won, a_lost = score > EVEN, score < EVEN
    if outcome == "lost":
        a_won, a_lost = a_lost, a_won
    if wanted.contestant is None:
        return a_won
    is_a = Match.checkpoint_a == wanted.contestant
    return or_(and_(is_a, a_won), and_(~is_a, a_lost))


def contradicted(judge: str | None) -> ColumnElement[bool]:
    """Whether an automatic judge said another thing once the sides were turned."""
    voices = _decided(judge).where(Verdict.source == Source.judge).group_by(Verdict.judge)
    return voices.having(func.min(_outcome()) != func.max(_outcome())).exists()


def differs(judge: str | None) -> ColumnElement[bool]:
    """Whether people together named another winner, or a tie, than an automatic judge."""
    people = _decided(PEOPLE).with_only_columns(func.sign(func.avg(_outcome()) - EVEN)).scalar_subquery()
    voices = _voices(judge, Verdict.source == Source.judge)
    return select(1).where(func.sign(voices.c.score - EVEN) != people).select_from(voices).exists()


def _unreadable(judge: str | None) -> ColumnElement[bool]:
    """Whether a judge's reply held no verdict."""
    of_judge = [] if judge is None else [Verdict.judge == judge]
    where = (Verdict.match_id == Match.id, Verdict.source == Source.judge, Verdict.reason.in_(sorted(UNREADABLE)))
    return select(1).where(*where, *of_judge).correlate(Match).exists()


def _outcome() -> ColumnElement[Any]:
    return case((Verdict.probability > EVEN, 1.0), (Verdict.probability == EVEN, EVEN), else_=0.0)


def _decided(judge: str | None) -> Select[Any]:
    """The match's decided verdicts, of one judge when it is named."""
    where: list[ColumnElement[bool]] = [Verdict.match_id == Match.id, Verdict.probability.is_not(None)]
    if judge == PEOPLE:
        where.append(Verdict.source == Source.person)
    elif judge is not None:
        where.append(Verdict.judge == judge)
    else:  # a panel speaks for its members
        where.append(or_(Verdict.judge.is_(None), ~Verdict.judge.startswith(MEMBER)))
    return select(1).select_from(Verdict).where(*where).correlate(Match)


def _voices(judge: str | None, *where: ColumnElement[bool]) -> Any:
    """What people together, and each automatic judge, said of `a`: a row each, null until both orders are there."""
    outcome = _outcome()
    one = case(
        (Verdict.source != Source.judge, func.avg(outcome)),
        (func.count() < ORDERS, null()),
        (func.min(outcome) == func.max(outcome), func.min(outcome)),
        else_=EVEN,
    )
    grouped = _decided(judge).where(*where).with_only_columns(one.label("score"))
    return grouped.group_by(Verdict.source, Verdict.judge).correlate(Match).subquery()


def _score(judge: str | None) -> ScalarSelect[Any]:
    """What `said.everybody` gives, asked of the database."""
    voices = _voices(judge)
    return select(func.avg(voices.c.score)).correlate(Match).scalar_subquery()


def within(evaluation_id: uuid.UUID, wanted: MatchFilter) -> list[ColumnElement[bool]]:
    """What a match of the evaluation must meet."""
    return [Match.evaluation_id == evaluation_id, *conditions(wanted)]
