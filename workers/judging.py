"""Automatic judges at work: parts that decide at once, and models that are asked match by match."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from alignment.judges import Judge, Match, Verdict
from alignment.judges.llm import LLM
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.openai import Server
from backend.evaluations.progress import Unjudged
from workers.answering import reach, storable
from workers.pool import Stop, each

GRACE_SECONDS = 5.0  # for requests that are under way when the work is told to stop
Row = dict[str, Any]


def decide(judge: Judge, model: Checkpoint | None, waiting: Sequence[Unjudged], stop: Stop) -> Iterator[list[Row]]:
    """Verdict rows to be stored, one for each of `waiting` unless `stop`.  Raises Refused."""
    asked = [one for one in waiting if _reason(one) is None]
    yield [_row(judge, one, Verdict.undecided(reason)) for one in waiting if (reason := _reason(one))]
    if isinstance(judge, LLM):
        assert model is not None  # noqa: S101  (refused at launch)
        yield from _by_model(judge, model, asked, stop)
    else:
        verdicts = judge.decide([_as_match(one) for one in asked])
        yield [_row(judge, one, verdict) for one, verdict in zip(asked, verdicts, strict=True)]


def _by_model(judge: LLM, model: Checkpoint, asked: Sequence[Unjudged], stop: Stop) -> Iterator[list[Row]]:
    """What the model says, as it comes, so that nothing that was paid for is asked again after a crash."""
    endpoint = reach(model)

    def ask(server: Server, one: Unjudged, over: Stop) -> Verdict:
        return judge.asking(partial(endpoint.reply, server, over)).decide([_as_match(one)])[0]

    for found in each(endpoint.server, ask, asked, min(endpoint.at_once, len(asked)), stop, GRACE_SECONDS):
        if found is not None:
            yield [_row(judge, *found)]


def _reason(one: Unjudged) -> str | None:
    errors = [response["error"] for response in (one.response_a, one.response_b) if "error" in response]
    return f"no answer: {errors[0]}" if errors else None


def _as_match(one: Unjudged) -> Match:
    texts = one.response_a["content"], one.response_b["content"]
    return Match(one.prompt, *(reversed(texts) if one.swapped else texts))


def _row(judge: Judge, one: Unjudged, verdict: Verdict) -> Row:
    """The verdict turned back into match order."""
    probability = verdict.probability
    if probability is not None and one.swapped:
        probability = 1 - probability
    scores = [dict(side) for side in verdict.scores]
    return {
        "match_id": one.match_id,
        "judge": judge.name,
        "swapped": one.swapped,
        "probability": probability,
        "reason": verdict.reason if probability is None else None,
        "text": storable(verdict.text) or None,
        "scores": (scores[::-1] if one.swapped else scores) if any(scores) else None,
    }
