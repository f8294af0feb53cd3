"""The report card of a judge, computed when it is read: does it keep its word, agree with people, what does it like?"""

import uuid
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.statistics import Ratings, rated
from alignment.statistics.calibration import calibration
from alignment.statistics.coefficients import Coefficient
from alignment.statistics.cohen import pairs
from alignment.statistics.dissection import dissect
from alignment.statistics.features import FEATURES
from alignment.statistics.self_preference import self_preference
from backend.checkpoints.models import Checkpoint
from backend.evaluations import judge_data, judge_words, judging
from backend.evaluations.columns import Floats, Places
from backend.evaluations.judge_card_schemas import (
    CalibrationOut,
    ConcordanceOut,
    DissectionOut,
    JudgeCardOut,
    ReliabilityBinOut,
    Scope,
    SelfPreferenceOut,
)
from backend.evaluations.judge_data import Judged
from backend.evaluations.models import Evaluation
from backend.evaluations.said import plain, rate_out

SHOWN_FIRST = "shown first"
WORDS = ("lost", "tied", "won")
NO_PEOPLE = "People have judged none of its matches."
NO_KIN = "None of the contestants is the model that judges, or related to it."


class Asked(NamedTuple):
    """With which level and seed intervals are made."""

    level: float
    seed: int


def read(session: Session, evaluation: Evaluation, judge: str | None, scope: Scope, level: float) -> JudgeCardOut:
    """Everything that can be told of `judge`, which is the evaluation's own unless it is named."""
    name = judge or str(evaluation.judge["name"])
    asked = Asked(level, evaluation.seed)
    ids = judge_data.alike(session, evaluation) if scope == "project" else [evaluation.id]
    judged, newest_only = judge_data.read(session, ids, name)
    agreement, kappa = _agreement(judged, asked)
    card = JudgeCardOut(
        evaluation_id=evaluation.id,
        evaluation=evaluation.name,
        judge=name,
        name=judging.called(session, evaluation.judge, name),
        scope=scope,
        evaluations=len(ids),
        matches=len(judged.ids),
        prompts=len(np.unique(judged.prompt)),
        verdicts=int(judged.verdicts.sum()),
        newest_only=newest_only,
        words=[],
        **_rates(judged, asked),
        undecided=judge_data.reasons(session, ids, name),
        agreement=agreement,
        kappa=kappa,
        calibration=_calibration(judged, asked),
        dissection=_dissection(session, judged, asked),
        self_preference=_self_preference(session, evaluation, name, judged, asked),
    )
    return card.model_copy(update={"words": judge_words.told(card, judging.mend(evaluation.judge, name))})


def _rates(judged: Judged, asked: Asked) -> dict[str, Any]:
    """The shares that need no one else's verdicts."""
    straight, turned = judged.outcomes
    twice = np.tile(judged.prompt, 2)
    both = np.where(np.isnan(straight + turned), np.nan, straight == turned)
    every = np.concatenate([straight, turned])
    longer = np.where(judged.length_a > judged.length_b, judged.scores, 1 - judged.scores)
    longer = np.where(judged.length_a == judged.length_b, np.nan, longer + 0 * (judged.length_a + judged.length_b))
    lost = np.repeat(np.tile([1.0, 0.0], len(judged.ids)), _each(judged))
    asked_of = np.repeat(judged.prompt, judged.verdicts)
    found = {
        "consistency": (judged.prompt, both),
        "shown_first": (twice, np.concatenate([straight, 1 - turned])),
        "ties": (twice, np.where(np.isnan(every), np.nan, every == 0.5)),
        "unreadable": (asked_of, lost),
        "longer": (judged.prompt, longer),
    }
    return {name: rate_out(_share(prompts, values, asked)) for name, (prompts, values) in found.items()}


def _each(judged: Judged) -> Any:
    """How many verdicts of each match were unreadable, and how many were not, one after the other."""
    return np.column_stack([judged.unreadable, judged.verdicts - judged.unreadable]).ravel()


def _share(prompts: Places, values: Floats, asked: Asked) -> Any:
    known = ~np.isnan(values)
    return rated(prompts[known], values[known], **asked._asdict())


def _agreement(judged: Judged, asked: Asked) -> tuple[ConcordanceOut, ConcordanceOut]:
    """Share of matches with the same winner and Cohen's kappa, drawn by prompt, where people judged too."""
    both = np.flatnonzero(~np.isnan(judged.scores + judged.people))
    if not len(both):
        none = ConcordanceOut(value=None, low=None, high=None, n=0, **asked._asdict(), reason=NO_PEOPLE)
        return none, none
    said = np.concatenate([2 * judged.scores[both], 1 + np.sign(judged.people[both] - 0.5)]).astype(np.int64)
    item = np.unique(judged.prompt[both], return_inverse=True)[1]
    units = np.arange(len(both))
    ratings = Ratings.of(np.tile(units, 2), np.repeat([0, 1], len(both)), said, WORDS, item)
    (pair,) = pairs(ratings, [0, 1], **asked._asdict())
    return _coefficient(pair.percent), _coefficient(pair.kappa)


def _coefficient(found: Coefficient) -> ConcordanceOut:
    return ConcordanceOut(**{name: getattr(found, name) for name in ConcordanceOut.model_fields})


def _calibration(judged: Judged, asked: Asked) -> CalibrationOut:
    """The mean probability of both side orders against people's majority."""
    both = ~np.isnan(judged.straight + judged.turned + judged.people)
    probability = (judged.straight + judged.turned)[both] / 2
    truth = 0.5 + 0.5 * np.sign(judged.people[both] - 0.5)
    found = calibration(judged.prompt[both], probability, truth, **asked._asdict())
    bins = [ReliabilityBinOut(**one._asdict()) for one in found.bins]
    return CalibrationOut(**_plain(found) | {"bins": bins})


def _dissection(session: Session, judged: Judged, asked: Asked) -> DissectionOut:
    """Verdicts of both side orders by what the answers have more of, and by which is shown first."""
    places, gaps = judge_data.differences(session, judged, asked.seed)
    first, second = (one[places] for one in judged.outcomes)
    columns = np.concatenate([np.column_stack([gaps, np.full(len(gaps), side)]) for side in (1.0, -1.0)])
    score, prompts = np.concatenate([first, second]), np.tile(judged.prompt[places], 2)
    known = ~np.isnan(score)
    found = dissect(
        prompts[known],
        columns[known],
        score[known],
        (*FEATURES, SHOWN_FIRST),
        **asked._asdict(),
    )
    rates = {
        name: rate and rate_out(rate) for name, rate in (("foretold", found.foretold), ("baseline", found.baseline))
    }
    likings = [one._asdict() for one in found.likings]
    gain = found.gain and _plain(found.gain)
    return DissectionOut.model_validate(_plain(found) | rates | {"likings": likings, "gain": gain})


def _self_preference(
    session: Session, evaluation: Evaluation, name: str, judged: Judged, asked: Asked
) -> SelfPreferenceOut:
    """The DBG score against the majority of everybody else, on matches of one answer of the judge's kin and one not."""
    met = np.unique(np.concatenate([judged.a, judged.b])).tolist()
    kin = _kin(session, evaluation, name, {judged.contestants[one] for one in met})
    related = np.array([one in kin for one in judged.contestants], dtype=np.bool_)
    known = (related[judged.a] != related[judged.b]) & ~np.isnan(judged.scores + judged.others)
    sign = np.where(related[judged.a[known]], 1.0, -1.0)
    own, gold = (0.5 + 0.5 * sign * np.sign(values[known] - 0.5) for values in (judged.scores, judged.others))
    found = self_preference(judged.prompt[known], own, gold, **asked._asdict())
    return SelfPreferenceOut(**_plain(found) | ({} if kin else {"reason": NO_KIN}))


def _kin(session: Session, evaluation: Evaluation, name: str, ids: set[uuid.UUID]) -> set[uuid.UUID]:
    """Contestants that are the model that judges, its parent, its child, or another entry of the same model."""
    asked = judging.model_id(evaluation.judge) if name == evaluation.judge["name"] else None
    judge = session.get(Checkpoint, asked) if asked else None
    if judge is None:
        return set()
    found = session.scalars(select(Checkpoint).where(Checkpoint.id.in_(ids)))
    return {one.id for one in found if _related(judge, one)}


def _related(judge: Checkpoint, one: Checkpoint) -> bool:
    if judge.id in (one.id, one.parent_id) or judge.parent_id == one.id:
        return True
    served = (
        judge.endpoint is not None and one.endpoint is not None and judge.endpoint["model"] == one.endpoint["model"]
    )
    return served or (judge.hub_id is not None and judge.hub_id == one.hub_id)


def _plain(found: Any) -> dict[str, Any]:
    return {name: plain(value) for name, value in found._asdict().items()}
