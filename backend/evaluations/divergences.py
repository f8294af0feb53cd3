"""How far contestants have moved from a reference: answers that a worker reads token by token, and what they tell."""

import math
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import case, literal, or_, select, union_all, update
from sqlalchemy.dialects.postgresql import JSONB, distinct_on, insert
from sqlalchemy.orm import Session

from alignment.meters import Value, metered
from alignment.meters.jackknife import mean, ratio
from backend.accounts.models import User
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.evaluations import contestants
from backend.evaluations.divergence_schemas import DivergenceOut, DivergencesIn, DivergencesOut
from backend.evaluations.meter_schemas import MeterOut
from backend.evaluations.models import Evaluation, Match, TokenScores
from backend.evaluations.said import plain
from backend.evaluations.schemas import CheckpointBrief
from backend.evaluations.token_scores import CHOOSE, ENDED_WITHOUT, NoLogprobs
from backend.projects.models import Project
from backend.queue import ring
from backend.work import ENDED, State, request_stop

SAMPLED = (
    "The answers were drawn at temperature {temperature:g} and top p {top_p:g}; these numbers estimate the KL of plain"
    " sampling (temperature 1, top p 1) without bias only from answers drawn so."
)


def ask(session: Session, project: Project, user: User, evaluation: Evaluation, body: DivergencesIn) -> uuid.UUID:
    """Afterwards an answer of each contestant to each of the prompts is read, or queued, against the reference.

    Gives the reference. What is known stays; what failed, or was read before divergences were, is queued
    again.  Raises NotFound, NoLogprobs, and what `checkpoints.require_ready` does.
    """
    reference = checkpoints.present(
        session, project, body.reference_id or uuid.UUID(evaluation.contestants[0]), "reference_id"
    )
    if reference.endpoint is not None:
        why = f"“{reference.name}” is an endpoint, which does not tell what it thinks of each token of a text."
        raise NoLogprobs(why, field="reference_id", remedy=CHOOSE)
    checkpoints.require_ready(reference, "reference_id")
    ids = [uuid.UUID(one) for one in evaluation.contestants]
    known = contestants.named(session, ids)
    read = [one for one in ids if one != reference.id and _readable(known[one])]
    columns = {"project_id": project.id, "reference_id": reference.id, "created_by": user.id}
    rows = [
        {**columns, "match_id": match, "side": side, "state": State.queued, "total": 2}
        for match, side in session.execute(_answers(session, evaluation, read, body.prompts))
    ]
    if rows:
        session.execute(insert(TokenScores).on_conflict_do_nothing(), rows)
        ended = (
            TokenScores.match_id.in_([row["match_id"] for row in rows]),
            TokenScores.reference_id == reference.id,
            or_(TokenScores.state.in_(ENDED_WITHOUT), ~TokenScores.result.has_key("kl")),
        )
        locked = select(TokenScores.id).where(*ended).order_by(TokenScores.id).with_for_update()
        again = update(TokenScores).where(TokenScores.id.in_(session.scalars(locked).all()))
        fresh = {"state": State.queued, "stop_requested": False, "attempts": 0, "done": 0, "reason": None}
        session.execute(again.values(**fresh, remedy=None, finished_at=None))
        ring(session, "token_scores")
    return reference.id


def _readable(checkpoint: Checkpoint) -> bool:
    return checkpoint.endpoint is None and checkpoints.ready(checkpoint)


def _answers(session: Session, evaluation: Evaluation, read: Sequence[uuid.UUID], prompts: int) -> Any:
    """The match and side of one answer of each contestant to each of the first prompts by hash, contestant by
    contestant, so that a worker loads each once."""
    here = Match.evaluation_id == evaluation.id
    first = select(Match.prompt_hash).where(here).distinct().order_by(Match.prompt_hash).limit(prompts)
    hashes = list(session.scalars(first))
    sides = union_all(
        *(
            select(
                Match.id.label("match"), literal(side).label("side"), own.label("own"), Match.prompt_hash.label("hash")
            ).where(here, Match.prompt_hash.in_(hashes), own.in_(read), response.has_key("content"))
            for side, own, response in (
                ("a", Match.checkpoint_a, Match.response_a),
                ("b", Match.checkpoint_b, Match.response_b),
            )
        )
    ).subquery()
    found = sides.c
    return (
        select(found.match, found.side)
        .ext(distinct_on(found.own, found.hash))
        .order_by(found.own, found.hash, found.match)
    )


class Reading(NamedTuple):
    """How far the reading of an answer is, and what it told: `TokenScores.result` without the texts of tokens."""

    state: State
    result: dict[str, Any] | None


Asked = Mapping[uuid.UUID, Mapping[uuid.UUID, Mapping[str, Reading]]]
"""Answers that were to be read: by reference, contestant and the hash of the prompt."""


def asked(session: Session, evaluation: Evaluation) -> Asked:
    """One answer of each contestant to each prompt of which somebody wanted one read."""
    rows: dict[uuid.UUID, dict[uuid.UUID, dict[str, Reading]]] = defaultdict(lambda: defaultdict(dict))
    own = case((TokenScores.side == "a", Match.checkpoint_a), else_=Match.checkpoint_b)
    numbers = TokenScores.result.op("-", return_type=JSONB())("tokens")
    query = select(TokenScores.reference_id, own, Match.prompt_hash, TokenScores.state, numbers)
    query = query.join(Match, Match.id == TokenScores.match_id).where(Match.evaluation_id == evaluation.id)
    for reference, contestant, prompt, state, result in session.execute(query.order_by(TokenScores.id)):
        some = rows[reference][contestant]
        if prompt not in some or some[prompt].result is None:
            some[prompt] = Reading(state, result)
    return rows


def answers(found: Mapping[str, Reading]) -> dict[str, tuple[float | None, float]]:
    """What is known of a contestant's answers by prompt: the exact divergence where it is told, and the log-ratio."""
    known = {prompt: row.result for prompt, row in found.items() if row.result is not None}
    return {
        prompt: (_exact(one), math.fsum(np.subtract(one["policy"], one["reference"]).tolist()))
        for prompt, one in known.items()
    }


def _exact(result: Mapping[str, Any]) -> float | None:
    kl = result.get("kl")
    return None if kl is None else math.fsum(kl)


def read(session: Session, evaluation: Evaluation, level: float) -> list[DivergencesOut]:
    """What has been read so far, by reference."""
    rows = asked(session, evaluation)
    names = contestants.named(session, rows)
    return [
        DivergencesOut(
            reference=CheckpointBrief.model_validate(names[reference]),
            items=[_told(one, answers, level) for one, answers in found.items()],
            warnings=warnings(evaluation.sampling),
            level=level,
        )
        for reference, found in rows.items()
    ]


def _told(contestant: uuid.UUID, found: Mapping[str, Reading], level: float) -> DivergenceOut:
    known = [row.result for row in found.values() if row.result is not None]
    ratios = [np.subtract(one["policy"], one["reference"]) for one in known]
    k1 = np.array([one.sum() for one in ratios], dtype=np.float64)
    with np.errstate(over="ignore"):
        k3 = np.array([(np.exp(-one) - 1 + one).sum() for one in ratios], dtype=np.float64)
    tokens = np.array([len(one) for one in ratios], dtype=np.float64)
    total = float(tokens.sum())
    each = Value(float(k1.sum()) / total if total else math.nan, ratio(k1.sum() - k1, total - tokens), len(known))
    exact = np.array([one for one in map(_exact, known) if one is not None], dtype=np.float64)
    return DivergenceOut(
        contestant=contestant,
        exact=of(exact, level),
        k1=of(k1, level, least=-math.inf),
        k3=of(k3, level),
        per_token=_out(each, level),
        waiting=sum(row.state not in ENDED for row in found.values()),
        failed=sum(row.state in ENDED_WITHOUT for row in found.values()),
    )


def of(values: NDArray[np.float64], level: float, least: float = 0.0) -> MeterOut:
    """The mean of a number of answers, one a prompt."""
    found = mean(values, np.arange(len(values), dtype=np.int64), len(values))
    return _out(found._replace(least=least), level)


def _out(found: Value, level: float) -> MeterOut:
    return MeterOut(**{name: plain(value) for name, value in metered(found, level=level)._asdict().items()})


def warnings(sampling: Mapping[str, Any]) -> list[str]:
    """What keeps the numbers of answers drawn with these settings from being those of plain sampling."""
    temperature, top_p = float(sampling.get("temperature", 1)), float(sampling.get("top_p", 1))
    return [] if temperature == top_p == 1 else [SAMPLED.format(temperature=temperature, top_p=top_p)]


def cancel(session: Session, evaluation: Evaluation) -> None:
    """Ask for the end of everything that is still queued or being read; what is known stays."""
    query = (
        select(TokenScores).join(Match, Match.id == TokenScores.match_id).where(Match.evaluation_id == evaluation.id)
    )
    running = query.where(TokenScores.state.not_in(ENDED)).order_by(TokenScores.id)
    for row in session.scalars(running.with_for_update(of=TokenScores)):
        request_stop(row)
