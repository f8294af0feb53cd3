"""What a judge's verdicts on labelled pairs amount to."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from alignment.statistics import Outcome, win_rate
from backend.accuracy.schemas import AccuracyFound, AccuracyPart
from backend.evaluations.said import ORDERS, rate_out

MOST_WRONG = 100
LEANS = 0.9  # of the verdicts for one side: more is no judgement


class Pair(NamedTuple):
    """A labelled pair: its texts in item order, and which of them people preferred, as far as labels say by now."""

    item_id: uuid.UUID
    position: int
    prompt_hash: str
    subset: str
    prompt: list[dict[str, Any]]
    responses: tuple[str, str]
    prefers_first: bool


class Verdict(NamedTuple):
    """How probable it is that the chosen response wins, or why nothing is said; `swapped`: it was shown second."""

    item_id: uuid.UUID
    swapped: bool
    probability: float | None
    reason: str | None

    @property
    def outcome(self) -> float | None:
        """1 when the chosen response won, 0 when it lost, 0.5 for a tie."""
        if self.probability is None:
            return None
        return 0.5 if self.probability == 0.5 else float(self.probability > 0.5)

    @property
    def turned(self) -> "Verdict":
        """The same, said of the other response."""
        probability = None if self.probability is None else 1 - self.probability
        return self._replace(swapped=not self.swapped, probability=probability)


def of_chosen(verdicts: Iterable[Verdict], pairs: Sequence[Pair]) -> list[Verdict]:
    """What was said of each item's first response, said of the one that people prefer by now."""
    prefers_first = {pair.item_id: pair.prefers_first for pair in pairs}
    return [one if prefers_first[one.item_id] else one.turned for one in verdicts]


def found(pairs: Sequence[Pair], verdicts: Iterable[Verdict], left_out: Mapping[str, int], seed: int) -> AccuracyFound:
    """Accuracy with its interval, of all pairs and by subset; one prompt of several pairs is drawn as one."""
    by_item: dict[uuid.UUID, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_item[verdict.item_id].append(verdict)
    scores = {item: _score(own) for item, own in by_item.items()}
    subsets: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        subsets[pair.subset].append(pair)
    parts = [_part("", pairs, scores, seed)]
    if len(subsets) > 1:
        parts += [_part(name, subsets[name], scores, seed) for name in sorted(subsets)]
    prompts = {pair.item_id: pair.prompt_hash for pair in pairs}
    every = [one for own in by_item.values() for one in own]
    decided = {item: [one for one in own if one.outcome is not None] for item, own in by_item.items()}
    same = [
        Outcome(prompts[item], float(len({one.outcome for one in own}) == 1))
        for item, own in decided.items()
        if len(own) == ORDERS
    ]
    first = [
        Outcome(prompts[one.item_id], 1 - one.outcome if one.swapped else one.outcome)
        for one in every
        if one.outcome is not None
    ]
    told = AccuracyFound(
        parts=parts,
        consistency=rate_out(win_rate(same, seed=seed)),
        shown_first=rate_out(win_rate(first, seed=seed)),
        reasons=dict(Counter(one.reason or "no reason" for one in every if one.outcome is None)),
        left_out=dict(left_out),
        statements=[],
        wrong=[pair.item_id for pair in pairs if scores.get(pair.item_id) == 0.0][:MOST_WRONG],
    )
    return told.model_copy(update={"statements": _statements(told, len(every))})


def _score(verdicts: Sequence[Verdict]) -> float | None:
    """1 or 0 where both orders say the same, a half where they differ; None with fewer than both."""
    outcomes = [one.outcome for one in verdicts if one.outcome is not None]
    if len(outcomes) < ORDERS:
        return None
    return outcomes[0] if len(set(outcomes)) == 1 else 0.5


def _part(subset: str, pairs: Sequence[Pair], scores: Mapping[uuid.UUID, float | None], seed: int) -> AccuracyPart:
    known = [(pair, scores.get(pair.item_id)) for pair in pairs]
    decided = [Outcome(pair.prompt_hash, score) for pair, score in known if score is not None]
    return AccuracyPart(
        subset=subset, accuracy=rate_out(win_rate(decided, seed=seed)), undecided=len(pairs) - len(decided)
    )


def _statements(told: AccuracyFound, verdicts: int) -> list[str]:
    """What makes the number worth little, said in words."""
    nothing = sum(told.reasons.values())
    if verdicts and nothing == verdicts:
        return ["The judge decided nothing: every verdict came to nothing, so there is no accuracy."]
    said = []
    if nothing:
        said.append(f"{nothing:,} of {verdicts:,} verdicts came to nothing; the accuracy leaves their pairs out.")
    first, ties = told.shown_first, told.parts[0].accuracy.ties
    if first.rate is not None and max(first.rate, 1 - first.rate) >= LEANS:
        side = "first" if first.rate > 0.5 else "second"
        said.append(f"The judge nearly always prefers the response that is shown {side}: it says nothing about them.")
    elif told.parts[0].accuracy.n and ties == told.parts[0].accuracy.n:
        said.append("Every pair is a tie, so the accuracy of a half is no finding.")
    return said
