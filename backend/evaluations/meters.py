"""What the contestants' answers are like, computed when it is read: meters of each, and against the baseline's."""

import uuid
from collections import defaultdict
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select, union_all
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from alignment.meters import METERS, Value, difference, metered, values
from backend.evaluations.meter_schemas import ContestantMetersOut, MeterOut, MetersOut
from backend.evaluations.models import Evaluation, Match
from backend.evaluations.said import plain

MOST_ANSWERS = 10_000
"""Answers of all contestants together that are read; prompts beyond are left out, the same ones for everybody."""
MOST_LETTERS = 6_000_000
NAMES = ("tokens", *METERS)


class Answer(NamedTuple):
    """An answer to one prompt; `tokens` where the contestant told how many there are."""

    text: str
    tokens: int | None


Answers = dict[str, Answer]
"""A contestant's answers by the hash of their prompt."""


def read(session: Session, evaluation: Evaluation, level: float) -> MetersOut:
    """Every meter of every contestant, and its difference to the baseline on the prompts that both answered."""
    prompts = _prompts(session, evaluation)
    answers = _answers(session, evaluation, prompts[: max(1, MOST_ANSWERS // len(evaluation.contestants))])
    base, *_ = contestants = [uuid.UUID(one) for one in evaluation.contestants]
    return MetersOut(
        contestants=[
            ContestantMetersOut(
                contestant=one,
                meters=_out(_values(answers[one]), level),
                against={} if one == base else _against(answers[one], answers[base], level),
            )
            for one in contestants
        ],
        prompts=len({prompt for own in answers.values() for prompt in own}),
        of=len(prompts),
        level=level,
    )


def _values(answers: Answers) -> dict[str, Value]:
    some = answers.values()
    return values(list(answers), [one.text for one in some], [one.tokens for one in some])


def _against(own: Answers, base: Answers, level: float) -> dict[str, MeterOut]:
    both = [prompt for prompt in own if prompt in base]
    first, second = (_values({prompt: some[prompt] for prompt in both}) for some in (own, base))
    return _out({name: difference(first[name], second[name]) for name in NAMES}, level)


def _out(found: dict[str, Value], level: float) -> dict[str, MeterOut]:
    return {
        name: MeterOut(**{field: plain(value) for field, value in metered(one, level=level)._asdict().items()})
        for name, one in found.items()
    }


def _prompts(session: Session, evaluation: Evaluation) -> list[str]:
    """Hashes of the evaluation's prompts, in their own order, which is one by lot."""
    query = select(Match.prompt_hash).where(Match.evaluation_id == evaluation.id).distinct()
    return list(session.scalars(query.order_by(Match.prompt_hash)))


def _answers(session: Session, evaluation: Evaluation, prompts: list[str]) -> dict[uuid.UUID, Answers]:
    """Each contestant's answer to the prompts, as many whole prompts as there is room for."""
    found: dict[uuid.UUID, Answers] = defaultdict(dict)
    letters, last = 0, None
    for checkpoint, prompt, text, tokens in session.execute(_query(evaluation, prompts)):
        if letters > MOST_LETTERS and prompt != last:
            break
        letters, last = letters + len(text), prompt
        found[checkpoint][prompt] = Answer(text, tokens)
    return found


def _query(evaluation: Evaluation, prompts: list[str]) -> Any:
    """Contestant, prompt, text and tokens of every answer that is there, once, prompt by prompt."""
    here: tuple[ColumnElement[bool], ...] = (Match.evaluation_id == evaluation.id, Match.prompt_hash.in_(prompts))
    sides = union_all(
        *(
            select(
                checkpoint.label("checkpoint"),
                Match.prompt_hash.label("prompt"),
                response["content"].astext.label("text"),
                response["tokens"].as_integer().label("tokens"),
                Match.position.label("position"),
            ).where(*here, response.has_key("content"))
            for checkpoint, response in (
                (Match.checkpoint_a, Match.response_a),
                (Match.checkpoint_b, Match.response_b),
            )
        )
    ).subquery()
    columns = sides.c
    return (
        select(columns.checkpoint, columns.prompt, columns.text, columns.tokens)
        .where(columns.text.is_not(None))
        .ext(distinct_on(columns.prompt, columns.checkpoint))
        .order_by(columns.prompt, columns.checkpoint, columns.position)
    )
