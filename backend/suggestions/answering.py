"""What scores of responses, or verdicts about them, would answer to a question, and by how much."""

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import Any, NamedTuple

from alignment.judges.scored import Scored
from backend.tasks.schemas import Question

EVEN = 0.525
STEPS = (0.73, 0.88)
"""Probabilities that the better response wins: nearer to one half than the first nobody can tell, from these on it is
"better" and "much better", and between them "slightly better"."""
JUDGED = 2  # what a judge says who was only asked which is better, on the scale of strengths
ROUNDING = 1e-9


class Answer(NamedTuple):
    """A value of a label in the item's order, and how far the responses are apart, from 0 to 1."""

    value: dict[str, Any]
    margin: float


def of_scores(question: Question, judge: Scored, scores: Sequence[float]) -> Answer:
    """What scores say: a strength, or a ranking in which neighbours that nobody can tell apart stand together.

    The margin is by how much the better of two is likelier to win than the other one, of a ranking's nearest two.
    """
    if question.kind == "ranking":
        return _ranked(scores, lambda apart: judge.probability(apart) < EVEN, lambda apart: _margin(judge, apart))
    chance = judge.probability(scores[0] - scores[1])
    sure = max(chance, 1 - chance)
    strength = 0 if sure < EVEN else 1 + sum(sure >= step for step in STEPS)
    return Answer(_strength(question, strength, chance), 2 * sure - 1)


def of_score(judge: Scored, score: float, median: float) -> Answer:
    """A thumb up where the response is as good as the middle one, or better."""
    return Answer({"thumb": score >= median}, _margin(judge, score - median))


def of_verdicts(question: Question, count: int, won: Sequence[tuple[float, float]]) -> Answer:
    """What a judge says that compared `count` responses two by two, (0, 1), (0, 2) …, (1, 2) …, in both side orders.

    Each comparison is the probability that the first one wins when it is shown first, and when it is shown second.
    Where these differ it is a tie, and half a win for both.  A ranking is by how many a response beats; of a pair the
    margin is how far from a tie it is.
    """
    if question.kind == "ranking":
        scores = [0.0] * count
        for (one, other), both in zip(combinations(range(count), 2), won, strict=True):
            share = sum(both) / 2 if _consistent(*both) else 0.5
            scores[one] += share
            scores[other] += 1 - share
        return _ranked(scores, lambda apart: apart < ROUNDING, lambda apart: min(1.0, apart / max(1, count - 1)))
    (both,) = won
    strength = JUDGED if _consistent(*both) else 0
    return Answer(_strength(question, strength, sum(both) / 2), abs(sum(both) - 1))


def _consistent(first: float, second: float) -> bool:
    return (first - 0.5) * (second - 0.5) > 0


def _margin(judge: Scored, apart: float) -> float:
    return 2 * judge.probability(abs(apart)) - 1


def _strength(question: Question, strength: int, chance: float) -> dict[str, Any]:
    most = 1 if question.scale == "preference" else 3
    return {"strength": min(strength, most) * (1 if chance > 0.5 else -1)}


def _ranked(scores: Sequence[float], even: Callable[[float], bool], margin: Callable[[float], float]) -> Answer:
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    groups = [[order[0]]]
    gaps = [scores[before] - scores[place] for before, place in pairwise(order)]
    for place, gap in zip(order[1:], gaps, strict=True):
        if even(gap):
            groups[-1].append(place)
        else:
            groups.append([place])
    return Answer({"ranking": groups}, margin(min(gaps)))
