"""Automatic judges at work: parts that decide at once, models that are asked match by match or that score answers."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from alignment.judges import Judge, Match, Verdict
from alignment.judges.checks import Checks
from alignment.judges.llm import LLM
from alignment.judges.panel import Panel, Voice, voices
from alignment.judges.prompt_checks import PromptChecks
from alignment.judges.scored import Scored
from alignment.verdicts import Words
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.openai import Server
from backend.evaluations.progress import Unjudged
from backend.settings import get_settings
from workers.answering import Watch, reach, storable
from workers.pool import Stop, each
from workers.readers import load_all

GRACE_SECONDS = 5.0  # for requests that are under way when the work is told to stop
Row = dict[str, Any]
Decide = Callable[[Sequence[Unjudged]], Iterator[list[Row]]]
"""Verdict rows to be stored, as they come, one for each match and order unless the work is stopped.  Raises Refused."""

Known = Mapping[tuple[str, uuid.UUID, bool], tuple[float | None, str | None]]
"""What voices said of matches in one order: the probability that side a wins, or why there is none."""
Recall = Callable[[Sequence[Unjudged]], Known]


class Stopped(Exception):
    """The work was told to stop while a model was computing."""


def ready(voice: Voice, models: Mapping[str, Checkpoint], watch: Watch, recall: Recall) -> Decide:
    """What decides matches as a voice does, with its models loaded; `recall` finds what a panel's members have said.

    Raises Refused.
    """
    judge = voice.judge
    if isinstance(judge, Panel):
        return partial(_together, judge, recall)
    own = {path.removeprefix(voice.prefix): one for path, one in models.items() if path.startswith(voice.prefix)}
    return partial(_decided, voice.name, _deciding(voice.name, judge, own, watch))


def _deciding(voice: str, judge: Judge, models: Mapping[str, Checkpoint], watch: Watch) -> Decide:
    if isinstance(judge, LLM) and models["checkpoint"].endpoint is not None:
        return partial(_by_endpoint, voice, judge, models["checkpoint"], watch)
    return partial(_at_once, voice, equipped(judge, models, watch))


def equipped(judge: Judge, models: Mapping[str, Checkpoint], watch: Watch) -> Judge:
    """The same judge with what it needs on this machine: its models, loaded, or the folder of its checks.

    Its `decide` raises Stopped when the work is told to stop.  Raises Refused.
    """

    def check() -> None:
        if watch():
            raise Stopped

    if isinstance(judge, LLM):
        (reader,) = load_all(models, watch).values()
        return judge.asking_all(Words(reader, explain=judge.explain, check=check, stop=watch).replies)
    if isinstance(judge, Checks | PromptChecks):
        return judge.found_in(get_settings().checks)
    return judge.reading(load_all(models, watch), check) if isinstance(judge, Scored) else judge


def _together(panel: Panel, recall: Recall, waiting: Sequence[Unjudged]) -> Iterator[list[Row]]:
    """What the members have said, taken together; all of it is in match order."""
    known = recall(waiting)
    nothing = None, "This member has not decided."
    rows = []
    for one in waiting:
        names = [voice.name for voice in voices(panel)[:-1]]
        said = [Verdict(*known.get((name, one.match_id, one.swapped), nothing)) for name in names]
        rows.append(row(panel.name, one._replace(swapped=False), panel.together(said)) | {"swapped": one.swapped})
    yield rows


def _decided(voice: str, decide: Decide, waiting: Sequence[Unjudged]) -> Iterator[list[Row]]:
    """What `decide` says of matches with two answers, and of the others why nothing can be said."""
    yield [row(voice, one, Verdict.undecided(reason)) for one in waiting if (reason := no_answer(one))]
    yield from decide([one for one in waiting if no_answer(one) is None])


def _at_once(voice: str, judge: Judge, asked: Sequence[Unjudged]) -> Iterator[list[Row]]:
    try:
        verdicts = judge.decide([as_match(one) for one in asked])
    except Stopped:
        return
    yield [row(voice, one, verdict) for one, verdict in zip(asked, verdicts, strict=True)]


def _by_endpoint(
    voice: str, judge: LLM, model: Checkpoint, stop: Stop, asked: Sequence[Unjudged]
) -> Iterator[list[Row]]:
    """What the model says, as it comes, so that nothing that was paid for is asked again after a crash."""
    endpoint = reach(model)

    def ask(server: Server, one: Unjudged, over: Stop) -> Verdict:
        return judge.asking(partial(endpoint.reply, server, over)).decide([as_match(one)])[0]

    for found in each(endpoint.server, ask, asked, min(endpoint.at_once, len(asked)), stop, GRACE_SECONDS):
        if found is not None:
            yield [row(voice, *found)]


def no_answer(one: Unjudged) -> str | None:
    """Why a match has not two answers; None when it has."""
    errors = [response["error"] for response in (one.response_a, one.response_b) if "error" in response]
    return f"no answer: {errors[0]}" if errors else None


def as_match(one: Unjudged) -> Match:
    """The match as it is shown to a judge in this side order."""
    texts = one.response_a["content"], one.response_b["content"]
    first, second = reversed(texts) if one.swapped else texts
    return Match(one.prompt, first, second, one.expects)


def row(voice: str, one: Unjudged, verdict: Verdict) -> Row:
    """The verdict turned back into match order."""
    probability = verdict.probability
    if probability is not None and one.swapped:
        probability = 1 - probability
    scores = [dict(side) for side in verdict.scores]
    return {
        "match_id": one.match_id,
        "judge": voice,
        "swapped": one.swapped,
        "probability": probability,
        "reason": verdict.reason if probability is None else None,
        "text": storable(verdict.text) or None,
        "scores": (scores[::-1] if one.swapped else scores) if any(scores) else None,
    }
