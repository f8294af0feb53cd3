"""Contestants' answers, each prompt's once: how long they are, how they came out, and what a judge measured on them."""

import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
from sqlalchemy import Text, cast, func, literal, select
from sqlalchemy.orm import Session

from alignment.statistics import mean
from backend.checkpoints.models import Checkpoint
from backend.evaluations import columns
from backend.evaluations.columns import FAILED, UNFINISHED, Floats, Places, Read
from backend.evaluations.models import Evaluation, Match, Verdict
from backend.evaluations.report_schemas import ContestantOut, MeanOut
from backend.evaluations.said import Rule, plain
from backend.evaluations.schemas import CheckpointBrief

Measured = Mapping[int, list[dict[str, Any]]]
"""What a judge measured on both answers of a match, by the match's place."""


class Given(NamedTuple):
    """What one contestant answered, by position: prompts' places (n,), characters (-1: it failed), how it came out.

    `errors` are counted by what went wrong; `scores` (n,) are what a judge measured on each answer, None where nothing;
    empty where no judge measured any.
    """

    prompt: Places
    length: Places
    state: Places
    errors: dict[str, int]
    scores: list[dict[str, Any] | None]


def given(session: Session, evaluation: Evaluation, read: Read) -> list[Given]:
    """The answers of every contestant, in their order; of one that stands in several matches, where it was measured."""
    seats = np.stack([read.matches.a, read.matches.b], axis=1).ravel()
    length, state = read.answers.length.ravel(), read.answers.state.ravel()
    known = _measured(session, evaluation, read) if read.measured else {}
    scored = np.zeros(len(read.ids), dtype=np.bool_)
    scored[list(known)] = True
    positions, place = np.unique(read.answers.position, return_inverse=True)
    key = seats * len(positions) + np.repeat(place, 2)
    there = np.flatnonzero((length >= 0) | (state == FAILED))
    best = np.full(len(read.matches.contestants) * len(positions), -1)
    best[key[there]] = there
    first = there[np.repeat(scored, 2)[there]][::-1]
    best[key[first]] = first
    errors = np.full(len(state), "", dtype=np.object_)
    errors[state == FAILED] = read.answers.errors
    found = []
    for own in best.reshape(len(read.matches.contestants), -1):
        own = own[own >= 0]
        measured = [known[one // 2][one % 2] if one // 2 in known else None for one in own.tolist()] if known else []
        failed = Counter(errors[own[state[own] == FAILED]].tolist())
        found.append(Given(read.matches.prompt[own // 2], length[own], state[own], dict(failed), measured))
    return found


def _measured(session: Session, evaluation: Evaluation, read: Read) -> Measured:
    """Read as one text, which is parsed at once."""
    texts = func.string_agg(cast(Verdict.scores, Text), literal(","))
    query = select(columns.packed(Verdict.match_id, "uuid_"), texts).join(Match)
    row = session.execute(query.where(Match.evaluation_id == evaluation.id, Verdict.scores.is_not(None))).one()
    if row[0] is None:
        return {}
    place = {one: at for at, one in enumerate(read.ids.tolist())}
    ids = np.frombuffer(row[0], columns.ID).tolist()
    return {place[one]: own for one, own in zip(ids, orjson.loads(f"[{row[1]}]"), strict=True) if one in place}


def lengths(found: list[Given], prompts: int) -> Floats:
    """Characters of each contestant's answer to each of so many prompts, nan where it has none."""
    told = np.full((len(found), prompts), np.nan)
    for row, own in zip(told, found, strict=True):
        there = own.length >= 0
        row[own.prompt[there]] = own.length[there]
    return told


def contestant(checkpoint: Checkpoint, runs: Mapping[uuid.UUID, str], own: Given, rule: Rule) -> ContestantOut:
    """One contestant, with what its answers are like."""
    there = own.length >= 0
    told = [(int(own.prompt[at]), one) for at, one in enumerate(own.scores) if one and there[at]]
    names = sorted({name for _, one in told for name in one})
    return ContestantOut(
        **CheckpointBrief.model_validate(checkpoint).model_dump(),
        run_id=checkpoint.run_id,
        run=runs.get(checkpoint.run_id) if checkpoint.run_id else None,
        step=checkpoint.step,
        responses=int(there.sum()),
        failed=own.errors,
        length=_mean(own.prompt[there], own.length[there].astype(np.float64), rule),
        cut=int((own.state == UNFINISHED).sum()),
        scores={name: _mean(*_values(told, name), rule) for name in names},
    )


def _values(told: list[tuple[int, dict[str, Any]]], name: str) -> tuple[Places, Floats]:
    there = [(prompt, float(one[name])) for prompt, one in told if one.get(name) is not None]
    prompts, values = zip(*there, strict=True) if there else ((), ())
    return np.array(prompts, dtype=np.intp), np.array(values, dtype=np.float64)


def _mean(prompts: Places, values: Floats, rule: Rule) -> MeanOut:
    found = mean(prompts, values, level=rule.level, seed=rule.seed)
    return MeanOut(**{name: plain(value) for name, value in found._asdict().items()})


def measured(session: Session, evaluation: Evaluation, read: Read) -> dict[uuid.UUID, dict[str, dict[str, float]]]:
    """What a judge measured on each contestant's answers: by name and by the hash of the prompt, averaged."""
    found: dict[uuid.UUID, dict[str, dict[str, float]]] = {}
    for one, own in zip(read.matches.contestants, given(session, evaluation, read), strict=True):
        values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for prompt, scores in zip(own.prompt.tolist(), own.scores, strict=False):
            for name, value in (scores or {}).items():
                if value is not None:
                    values[name][read.matches.prompts[prompt]].append(float(value))
        found[one] = {
            name: {prompt: math.fsum(some) / len(some) for prompt, some in by_prompt.items()}
            for name, by_prompt in values.items()
        }
    return found
