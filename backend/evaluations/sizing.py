"""What an evaluation would take before it is started: how much of it is known already, its cost and time."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from sqlalchemy import Float, func, or_, select
from sqlalchemy.orm import Session

from alignment.chat import UnsupportedContent, text_of
from alignment.judges import Judge
from alignment.judges.llm import LLM
from alignment.judges.panel import Voice, voices
from alignment.sampling import Sampling
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.schemas import EndpointFacts
from backend.errors import Invalid
from backend.evaluations import known, outputs
from backend.evaluations.models import Evaluation, Match
from backend.evaluations.outputs import Given
from backend.evaluations.prompts import Drawn
from backend.evaluations.said import ORDERS
from backend.evaluations.schemas import CostOut, EvaluationIn, ExpectedOut, LimitsIn, SizeOut, TakenOut
from backend.projects.models import Project
from backend.work import State

TRAINED_ON = "Prompts of the training split may have been trained on; their win rates flatter. Prefer the test split."
TOY = "A toy checkpoint takes part: it only knows the toy world's sentences."
OWN_JUDGE = "A model that judges is one of the contestants; models tend to prefer their own answers."
FEW = "With fewer than 10 prompts the intervals are very wide."
MILLION = 1_000_000
CHARACTERS = 3, 5  # of one token of a question: few make the estimate high, many low
SHORTEST = 8  # an answer is expected to take at least this part of what it may, until there are earlier ones
EARLIER = 200  # answers that tell how long one is
WORDY = 100  # tokens of a judge that explains, at least
SPREAD = 2.0  # how far the time may be off


class NoPrice(Invalid):
    title = "No price"


class Checked(NamedTuple):
    """What an evaluation is made of, found to be there."""

    found: list[Checkpoint]
    judge: Judge
    models: Mapping[str, Checkpoint]
    drawn: Drawn
    pairing: str | None
    given: Given

    @property
    def responses(self) -> int:
        return len(self.drawn.prompts) * len(self.found)

    @property
    def matches(self) -> int:
        return len(self.drawn.prompts) * len(meetings(self.found, self.pairing))

    @property
    def voices(self) -> list[Voice]:
        """Who gives verdicts beside people: the judge, and before a panel its members."""
        return voices(self.judge) if self.judge.automatic else []

    @property
    def verdicts(self) -> int:
        return self.matches * ORDERS * len(self.voices)

    @property
    def asks_endpoints(self) -> bool:
        """Whether a judge is asked behind an endpoint."""
        return any(one.endpoint for one in self.models.values())


class _Known(NamedTuple):
    """The texts that contestants answered earlier, by contestant and prompt, and how many verdicts of each voice."""

    answers: dict[tuple[uuid.UUID, str], str]
    by_voice: Mapping[str, int]

    @property
    def verdicts(self) -> int:
        return sum(self.by_voice.values())


class Tokens(NamedTuple):
    """How many are expected, at least and at most."""

    low: float
    high: float

    def plus(self, other: "Tokens") -> "Tokens":
        return Tokens(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> "Tokens":
        return Tokens(self.low * factor, self.high * factor)


NONE = Tokens(0, 0)


def meetings(found: Sequence[Checkpoint], pairing: str | None) -> list[tuple[Checkpoint, Checkpoint]]:
    """Who meets whom: everybody, or everybody the first."""
    return [(found[0], one) for one in found[1:]] if pairing == "baseline" else list(combinations(found, 2))


def measure(session: Session, project: Project, body: EvaluationIn, checked: Checked) -> SizeOut:
    """What the evaluation would take and what is doubtful about it."""
    there = _known(session, project, body, checked) if body.reuse else _Known({}, {})
    verdicts = checked.verdicts
    cost = _cost(session, body, checked, there)
    return SizeOut(
        prompts=len(checked.drawn.prompts),
        available=checked.drawn.available,
        responses=checked.responses,
        matches=checked.matches,
        verdicts=verdicts,
        tokens_at_most=(checked.responses - len(checked.given)) * body.sampling.max_new_tokens,
        taken=TakenOut(answers=len(there.answers), verdicts=there.verdicts),
        cost=cost,
        seconds=_seconds(
            session,
            project,
            checked,
            checked.responses + verdicts - len(checked.given) - len(there.answers) - there.verdicts,
        ),
        warnings=_warnings(checked, body, cost),
    )


def require_prices(checked: Checked, limits: LimitsIn | None) -> None:
    """Raises NoPrice when a limit of money cannot be held."""
    if limits is not None:
        refuse_unpriced([*checked.found, *checked.models.values()], limits)


def refuse_unpriced(asked: Iterable[Checkpoint], limits: LimitsIn) -> None:
    """Raises NoPrice when one of `asked` could cost nobody knows what."""
    lacking = unpriced(asked)
    if limits.money is not None and lacking:
        raise NoPrice(
            f"“{lacking[0]}” has no price, so nobody can tell when the limit is reached.",
            field="limits.money",
            remedy="Give its prices on its page (0 where it costs nothing), or limit the tokens.",
        )


def unpriced(asked: Iterable[Checkpoint]) -> list[str]:
    """The names of endpoints that nobody gave a price."""
    found = []
    for one in asked:
        facts = one.endpoint and EndpointFacts.model_validate(one.endpoint)
        if facts and (facts.input_price is None or facts.output_price is None):
            found.append(one.name)
    return list(dict.fromkeys(found))


def _unknown(checked: Checked) -> Iterator[str]:
    """Judges that can say nothing of some of the prompts."""
    prompts = checked.drawn.prompts
    for judge in {voice.judge.name: voice.judge for voice in checked.voices}.values():
        unknown = sum(not judge.knows(prompt.messages) for prompt in prompts)
        if unknown:
            which = f"{unknown:,} of the {len(prompts):,} prompts" if unknown < len(prompts) else "any of the prompts"
            yield f"“{judge.title}” cannot give a verdict on {which}. {judge.mend}."


def _warnings(checked: Checked, body: EvaluationIn, cost: CostOut | None) -> list[str]:
    limits = body.limits
    over = (
        cost is not None
        and limits is not None
        and (
            (limits.money is not None and cost.money.high > limits.money)
            or (limits.tokens is not None and cost.tokens.high > limits.tokens)
        )
    )
    doubts = (
        (TRAINED_ON, checked.drawn.trained_on),
        (FEW, 0 < len(checked.drawn.prompts) < 10),
        (TOY, any(checkpoint.toy for checkpoint in checked.found)),
        (OWN_JUDGE, any(one in checked.found for one in checked.models.values())),
        ("It may reach its limit before its end. It can go on from there with a higher one.", over),
    )
    told = (sentence for sentence, holds in doubts if holds)
    return [*_unknown(checked), *told, *outputs.lacking(checked.found, checked.given)]


def _known(session: Session, project: Project, body: EvaluationIn, checked: Checked) -> _Known:
    sampling = Sampling(**body.sampling.model_dump(), seed=body.seed)
    keys = {
        (one.id, prompt.hash): known.answer_key(one, prompt.hash, sampling)
        for one in checked.found
        for prompt in checked.drawn.prompts
        if (one.id, prompt.hash) not in checked.given
    }
    found = known.answers(session, project.id, keys.values())
    answers = {place: found[key]["content"] for place, key in keys.items() if key in found}
    there = answers | {place: answer["content"] for place, answer in checked.given.items() if "content" in answer}
    shown = [
        (prompt.hash, *order)
        for prompt in checked.drawn.prompts
        for pair in meetings(checked.found, checked.pairing)
        if all((one.id, prompt.hash) in there for one in pair)
        for texts in [[there[one.id, prompt.hash] for one in pair]]
        for order in (texts, texts[::-1])
    ]
    return _Known(answers, {one.name: decided(session, project, one.judge, shown) for one in checked.voices})


def decided(session: Session, project: Project, judge: Judge, shown: Sequence[Sequence[str]]) -> int:
    """How many of the matches, each a prompt with two answers in the order shown, a judge has decided already."""
    paid = known.paid(session, judge)
    if paid is None:
        return 0
    keys = [known.verdict_key(paid, *one) for one in shown]
    decided = known.verdicts(session, project.id, keys)
    return sum(key in decided for key in keys)


def _cost(session: Session, body: EvaluationIn, checked: Checked, there: _Known) -> CostOut | None:
    """What endpoints would be asked, and for how much, from the characters of prompts and earlier answers."""
    endpoints = [one for one in checked.found if one.endpoint]
    if not endpoints and not checked.asks_endpoints:
        return None
    most = body.sampling.max_new_tokens
    asked = {prompt.hash: _read(prompt.messages) for prompt in checked.drawn.prompts}
    tokens, money, requests = NONE, NONE, 0
    lengths: dict[uuid.UUID, Tokens] = {}
    for one in checked.found:
        given = [len(answer.get("content", "")) for (whose, _), answer in checked.given.items() if whose == one.id]
        lengths[one.id] = characters(sum(given) / len(given)) if given else _length(session, one, most)
        left = [hashed for hashed in asked if (one.id, hashed) not in there.answers] if one.endpoint else []
        questions = _sum(asked[hashed] for hashed in left)
        more, price = priced(one, questions, lengths[one.id].times(len(left)))
        tokens, money, requests = tokens.plus(more), money.plus(price), requests + len(left)
    each = checked.matches * ORDERS
    for voice in checked.voices:
        model = checked.models.get(f"{voice.prefix}checkpoint")
        if isinstance(voice.judge, LLM) and model is not None and model.endpoint:
            left_over = each - there.by_voice.get(voice.name, 0)
            questions, replies = _judging(voice.judge, checked, asked, lengths)
            share = left_over / each if each else 0.0
            more, price = priced(model, questions.times(share), replies.times(left_over))
            tokens, money, requests = tokens.plus(more), money.plus(price), requests + left_over
    return CostOut(
        requests=requests,
        tokens=ExpectedOut(low=round(tokens.low), high=round(tokens.high)),
        money=ExpectedOut(**money._asdict()),
        unpriced=unpriced([*endpoints, *checked.models.values()]),
    )


def _judging(
    part: LLM, checked: Checked, asked: dict[str, Tokens], lengths: dict[uuid.UUID, Tokens]
) -> tuple[Tokens, Tokens]:
    """Tokens of all questions to the model that judges, and of one of its replies."""
    frame = characters(len(part.template) + 500)
    pairs = meetings(checked.found, checked.pairing)
    answers = _sum(lengths[one.id] for pair in pairs for one in pair).times(len(asked))
    prompts = _sum(asked.values()).times(len(pairs))
    questions = answers.plus(prompts).plus(frame.times(checked.matches)).times(ORDERS)
    return questions, reply(part)


def reply(judge: LLM) -> Tokens:
    """Tokens of one reply of a model that judges."""
    return Tokens(min(judge.max_tokens, WORDY if judge.explain else 1), judge.max_tokens)


def priced(one: Checkpoint, read: Tokens, written: Tokens) -> tuple[Tokens, Tokens]:
    """Tokens at an endpoint, and what they cost there; nothing anywhere else."""
    facts = EndpointFacts.model_validate(one.endpoint) if one.endpoint else None
    if facts is None:
        return NONE, NONE
    into, out = (facts.input_price or 0) / MILLION, (facts.output_price or 0) / MILLION
    return read.plus(written), read.times(into).plus(written.times(out))


def _length(session: Session, one: Checkpoint, most: int) -> Tokens:
    """Tokens of an answer: as long as its last ones here, at most what it may take."""
    sides = [
        select(response["tokens"].astext.cast(Float).label("tokens"))
        .where(checkpoint == one.id, response.has_key("tokens"))
        .order_by(Match.id.desc())
        .limit(EARLIER)
        .subquery()
        for checkpoint, response in (
            (Match.checkpoint_a, Match.response_a),
            (Match.checkpoint_b, Match.response_b),
        )
    ]
    means = [mean for side in sides if (mean := session.scalar(select(func.avg(side.c.tokens)))) is not None]
    return Tokens(min(most, sum(means) / len(means) if means else most / SHORTEST), most)


def _read(messages: Sequence[dict[str, object]]) -> Tokens:
    try:
        return characters(sum(len(text_of(one["content"])) for one in messages))
    except UnsupportedContent:
        return NONE


def characters(count: float) -> Tokens:
    """Of how many tokens a text of so many characters is."""
    few, many = CHARACTERS
    return Tokens(count / many, count / few)


def _sum(tokens: Iterable[Tokens]) -> Tokens:
    total = NONE
    for one in tokens:
        total = total.plus(one)
    return total


def _seconds(session: Session, project: Project, checked: Checked, steps: int) -> ExpectedOut | None:
    """By the last evaluations of these contestants; never less than what the servers let through."""
    took = func.extract("epoch", Evaluation.finished_at - Evaluation.started_at)
    fresh = Evaluation.done - func.coalesce(Evaluation.taken["answers"].as_integer(), 0)
    fresh -= func.coalesce(Evaluation.taken["verdicts"].as_integer(), 0)
    like = or_(*(Evaluation.contestants.contains([str(one.id)]) for one in checked.found))
    earlier = (
        select((took / fresh).label("each"))
        .where(Evaluation.project_id == project.id, Evaluation.state == State.succeeded, fresh > 0, like)
        .order_by(Evaluation.id.desc())
        .limit(5)
        .subquery()
    )
    each = session.scalar(select(func.avg(earlier.c.each)))
    if each is None:
        return None
    return ExpectedOut(low=float(each) * steps / SPREAD, high=float(each) * steps * SPREAD)
