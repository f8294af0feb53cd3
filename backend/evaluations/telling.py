"""Which matches people judge next, so that the judge's corrected win rates narrow the most."""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Collection
from itertools import chain, zip_longest
from typing import NamedTuple

import numpy as np
from sqlalchemy.orm import Session

from alignment.statistics.guided import STRATA, order, strata, stratum
from backend.evaluations import columns, judge_data
from backend.evaluations.models import Evaluation


class Pair(NamedTuple):
    """Of a contestant against the baseline: people's and the judge's scores, and the matches that nobody judged."""

    people: list[float]
    judge: list[float]
    alone: list[float]
    left: list[list[uuid.UUID]]


def next_matches(
    session: Session, evaluation: Evaluation, person_id: uuid.UUID, n: int, holding: Collection[uuid.UUID]
) -> list[uuid.UUID]:
    """Up to `n` matches against the baseline that no person has judged, the most telling ones first.

    Within what the judge called won, tied or lost they come by the person's own lot. Empty while the judge has decided
    none of them.
    """
    pairs = _pairs(session, evaluation, set(holding))
    lists = []
    for pair in pairs.values():
        found = strata(pair.people, pair.judge, pair.alone)
        left = [sorted(own, key=lambda one: _lot(one, person_id), reverse=True) for own in pair.left]
        places = order(found, np.array([len(own) for own in left]), n)
        lists.append([left[place].pop() for place in places])
    taken = chain.from_iterable(zip_longest(*lists))
    return [one for one in taken if one is not None][:n]


def _pairs(session: Session, evaluation: Evaluation, holding: set[uuid.UUID]) -> dict[int, Pair]:
    base = uuid.UUID(evaluation.contestants[0])
    judged, _ = judge_data.read(session, [evaluation.id], str(evaluation.judge["name"]))
    pairs: dict[int, Pair] = defaultdict(lambda: Pair([], [], [], [[] for _ in range(STRATA)]))
    scores = judged.scores
    for place in np.flatnonzero(~np.isnan(scores)).tolist():
        if judged.contestants[judged.a[place]] != base:
            continue
        pair, score, said = pairs[int(judged.b[place])], 1 - float(scores[place]), float(judged.people[place])
        if np.isnan(said):
            pair.alone.append(score)
            if (match_id := columns.uuid_of(judged.ids[place])) not in holding:
                pair.left[int(stratum([score])[0])].append(match_id)
        else:
            pair.people.append(1 - said)
            pair.judge.append(score)
    return pairs


def _lot(match_id: uuid.UUID, person_id: uuid.UUID) -> bytes:
    return hashlib.sha256(match_id.bytes + person_id.bytes).digest()
