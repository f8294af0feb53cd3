"""What judges say of items: by scores of the responses, or by comparing every two of them in both orders."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from alignment.judges import Judge, Match, Verdict
from alignment.judges.llm import LLM
from alignment.judges.scored import Question, Scored, Unread
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.openai import Server
from backend.db import transaction
from backend.suggestions import answering, progress
from backend.suggestions.comparing import Shown, Texts, compared, shown, texts
from backend.suggestions.progress import Found, Taken, Waiting
from workers import spending
from workers.answering import Watch, reach, storable
from workers.judging import GRACE_SECONDS, Stopped, equipped
from workers.pool import Stop, each

Say = Callable[[Sequence[Waiting]], Iterator[list[Found]]]
"""What is suggested for each of some items, in their order, or why not; as it comes, and less when the work is to stop.
"""


def ready(job: Taken, watch: Watch) -> Say:
    """What says something of items, with its models loaded.  Raises Refused."""
    if isinstance(job.judge, Scored):
        return _by_scores(job, job.judge, watch)
    return _by_verdicts(job, watch)


def _by_scores(job: Taken, judge: Scored, watch: Watch) -> Say:
    reading = equipped(judge, job.models, watch)
    assert isinstance(reading, Scored)  # noqa: S101  (the same judge)

    def answer(told: Sequence[object], scores: list[float]) -> Found:
        unread = next((one.reason for one in told if isinstance(one, Unread)), None)
        if unread is not None:
            return unread
        if job.question.kind == "thumb":
            return scores[0]
        return answering.of_scores(job.question, judge, scores)

    def say(some: Sequence[Waiting]) -> Iterator[list[Found]]:
        read = [texts(one.responses) for one in some]
        asked = [Question(one.prompt, own) for one, own in zip(some, read, strict=True) if not isinstance(own, str)]
        try:
            told = iter(reading.scores(asked))
        except Stopped:
            return
        found: list[Found] = []
        for own in read:
            if isinstance(own, str):
                found.append(own)
                continue
            said = next(told)
            found.append(answer(said, [one.value for one in said if not isinstance(one, Unread)]))
        yield found

    return say


def _by_verdicts(job: Taken, watch: Watch) -> Say:
    model = job.models.get("checkpoint")
    judge = job.judge if model is not None and model.endpoint is not None else equipped(job.judge, job.models, watch)

    def say(some: Sequence[Waiting]) -> Iterator[list[Found]]:
        left, asked = deque[tuple[Texts, range]](), list[tuple[Waiting, Shown]]()
        for one in some:
            own = compared(one.responses)
            both = shown(one.prompt, own, job.paid)
            left.append((own, range(len(asked), len(asked) + len(both))))
            asked += [(one, each) for each in both]
        said: dict[int, Verdict] = {}
        for news in _verdicts(job, judge, model, asked, watch):
            said |= news
            found = list[Found]()
            while left and all(place in said for place in left[0][1]):
                own, mine = left.popleft()
                found.append(own if isinstance(own, str) else _amount(job, len(own), [said[place] for place in mine]))
            if found:
                yield found

    return say


def _amount(job: Taken, count: int, said: Sequence[Verdict]) -> Found:
    """What verdicts in both orders amount to, or why one of them is none."""
    won = []
    for first, second in zip(said[::2], said[1::2], strict=True):
        if first.probability is None or second.probability is None:
            return str(first.reason or second.reason)
        won.append((first.probability, 1 - second.probability))
    return answering.of_verdicts(job.question, count, won)


def _verdicts(
    job: Taken, judge: Judge, model: Checkpoint | None, whole: Sequence[tuple[Waiting, Shown]], watch: Watch
) -> Iterator[dict[int, Verdict]]:
    """Verdicts by their places, first what was said earlier; what is alike is asked once.  Raises Refused."""
    places: dict[str | int, list[int]] = {}
    for place, (_, one) in enumerate(whole):
        places.setdefault(one.key or place, []).append(place)
    with transaction() as session:
        earlier = progress.known_verdicts(session, job.id, [key for key in places if isinstance(key, str)])
    yield {place: said for key, said in earlier.items() for place in places[key]}
    waiting = {key: whole[mine[0]] for key, mine in places.items() if key not in earlier}
    for key, said in _asked(judge, model, {key: one.match for key, (_, one) in waiting.items()}, watch):
        if isinstance(key, str):
            _keep(job, waiting[key][0], key, said)
        yield dict.fromkeys(places[key], said)


def _keep(job: Taken, item: Waiting, key: str, said: Verdict) -> None:
    purse = spending.PURSE.get()
    spent = purse.spent() if purse else None
    with transaction() as session:
        progress.store_verdict(session, job.id, item.id, key, said._replace(text=storable(said.text)), spent)


def _asked(
    judge: Judge, model: Checkpoint | None, matches: Mapping[str | int, Match], watch: Watch
) -> Iterator[tuple[str | int, Verdict]]:
    """What the judge says of each match, as it comes; less when the work is to stop.  Raises Refused."""
    if not isinstance(judge, LLM) or model is None or model.endpoint is None:
        try:
            yield from zip(matches, judge.decide(list(matches.values())), strict=True)
        except Stopped:
            return
        return
    endpoint = reach(model)

    def ask(server: Server, key: str | int, over: Stop) -> Verdict:
        return judge.asking(partial(endpoint.reply, server, over)).decide([matches[key]])[0]

    at_once = min(endpoint.at_once, len(matches))
    for found in each(endpoint.server, ask, matches, at_once, watch, GRACE_SECONDS):
        if found is not None:
            yield found
