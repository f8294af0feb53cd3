"""What requests to endpoints cost, kept within limits, and how often one endpoint is asked.

A request is reserved at its worst before it is sent: the question read byte by byte, the longest answer. So work
stops before its limit, and goes beyond it only where a server reports more than it was allowed.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from backend.accuracy.models import Accuracy
from backend.checkpoints.openai import Answer, Away, Unfinished
from backend.checkpoints.schemas import EndpointFacts
from backend.evaluations.models import Evaluation
from backend.evaluations.schemas import LimitsIn, SpentOut
from backend.suggestions.models import SuggestionJob
from workers.pool import LOOK_SECONDS, Stop
from workers.refusal import Refused

MILLION = 1_000_000
AROUND = 64  # tokens that a chat template may add to a conversation
PER_MESSAGE = 16  # and to each of its messages
CHARACTERS = 4  # of a token, where the server tells none
MINUTE = 60.0


class LimitReached(Refused):
    """The next request could go beyond what the work may cost."""


class Stopping(Exception):
    """The work was told to stop before the request was sent."""


class Use(NamedTuple):
    """Tokens read and written by one request."""

    read: int
    written: int

    def money(self, facts: EndpointFacts) -> float:
        return ((facts.input_price or 0) * self.read + (facts.output_price or 0) * self.written) / MILLION


@dataclass
class Bill:
    """A request under way; `answer` once it is there."""

    body: Mapping[str, Any]
    answer: Answer | None = None

    def worst(self) -> Use:
        messages = self.body["messages"]
        read = sum(len(str(one["content"]).encode(errors="replace")) + PER_MESSAGE for one in messages)
        return Use(AROUND + read, int(self.body["max_tokens"]))

    def use(self, failed: Exception | None) -> tuple[Use, bool]:
        """What it took, and whether that is an estimate; the worst where the answer was lost on its way."""
        told = self.answer.usage if self.answer else None
        if told is not None:
            return Use(*told), False
        if isinstance(failed, Unfinished):
            return self.worst(), True
        question = sum(len(str(one["content"])) for one in self.body["messages"])
        return Use(_tokens(question), _tokens(len(self.answer.text)) if self.answer else 0), True


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS)


class Purse:
    """What work has spent and may spend; safe for several threads."""

    def __init__(self, limits: LimitsIn | None, spent: SpentOut) -> None:
        self._limits = limits or LimitsIn()
        self._spent = spent.model_copy()
        self._reserved, self._money, self._under_way = Use(0, 0), 0.0, 0
        self._changed = threading.Condition()

    def spent(self) -> dict[str, Any]:
        """All that was paid so far."""
        with self._changed:
            return self._spent.model_dump()

    def closed(self) -> dict[str, Any]:
        """The same when nobody waits any longer: what is still under way counts at its worst."""
        with self._changed:
            spent = self._spent.model_copy()
            if self._under_way:
                spent.requests += self._under_way
                spent.estimated += self._under_way
                spent.read += self._reserved.read
                spent.written += self._reserved.written
                spent.money += self._money
            return spent.model_dump()

    @contextmanager
    def request(self, facts: EndpointFacts, body: Mapping[str, Any], stop: Stop) -> Iterator[Bill]:
        """Reserve a request, wait for others where only their end tells whether there is enough, and note its cost.

        Raises LimitReached, Stopping, and Refused where money is limited and the price is not known any more.
        """
        if self._limits.money is not None and None in (facts.input_price, facts.output_price):
            raise Refused(
                f"“{facts.model}” has no price any more, so nobody can tell when the limit is reached.",
                "Give its prices on its page (0 where it costs nothing), and let it go on.",
            )
        bill = Bill(body)
        worst = bill.worst()
        self._reserve(worst, worst.money(facts), stop)
        failed: Exception | None = None
        try:
            yield bill
        except Exception as error:
            failed = error
            raise
        finally:
            self._settle(bill, facts, worst, failed)

    def _reserve(self, worst: Use, money: float, stop: Stop) -> None:
        with self._changed:
            while not self._enough(worst, money):
                if not self._under_way:
                    raise self._reached()
                if stop():
                    raise Stopping
                self._changed.wait(LOOK_SECONDS)
            self._reserved = Use(self._reserved.read + worst.read, self._reserved.written + worst.written)
            self._money += money
            self._under_way += 1

    def _enough(self, worst: Use, money: float) -> bool:
        limits, spent = self._limits, self._spent
        tokens = spent.read + spent.written + sum(self._reserved) + sum(worst)
        return (limits.tokens is None or tokens <= limits.tokens) and (
            limits.money is None or spent.money + self._money + money <= limits.money
        )

    def _settle(self, bill: Bill, facts: EndpointFacts, worst: Use, failed: Exception | None) -> None:
        with self._changed:
            self._reserved = Use(self._reserved.read - worst.read, self._reserved.written - worst.written)
            self._money -= worst.money(facts)
            self._under_way -= 1
            if failed is None or isinstance(failed, Away):  # a server that breaks off may have read the question
                use, estimated = bill.use(failed)
                self._spent.requests += 1
                self._spent.read += use.read
                self._spent.written += use.written
                self._spent.money += use.money(facts)
                self._spent.estimated += estimated
            self._changed.notify_all()

    def _reached(self) -> LimitReached:
        limits, spent = self._limits, self._spent
        most = " and ".join(
            words
            for words, there in (
                (f"{_amount(limits.money)} in money" if limits.money is not None else "", limits.money is not None),
                (f"{limits.tokens:,} tokens" if limits.tokens is not None else "", limits.tokens is not None),
            )
            if there
        )
        took = f"{_amount(spent.money)} in money, {spent.read + spent.written:,} tokens"
        return LimitReached(
            f"Stopped at its limit of {most}: the next request could go beyond it ({took} so far).",
            "Let it go on with a higher limit; what is answered and judged already is kept.",
        )


def _amount(money: float) -> str:
    """Small sums with the digits that tell them apart."""
    return f"{money:,.2f}" if money >= 1 else f"{money:,.4f}".rstrip("0").rstrip(".")


def purse_of(row: Evaluation | SuggestionJob | Accuracy) -> Purse:
    """The purse of work, with what it has spent before."""
    limits = LimitsIn.model_validate(row.limits) if row.limits else None
    return Purse(limits, SpentOut.model_validate(row.spent or {}))


class Pace:
    """When the next request to one endpoint may be sent; safe for several threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self._now, self._sleep = now, sleep
        self._next = self._until = 0.0
        self._lock = threading.Lock()

    def wait(self, per_minute: int | None, stop: Stop) -> None:
        """Return when it is this request's turn.  Raises Stopping."""
        with self._lock:
            turn = max(self._next, self._now())
            self._next = turn + (MINUTE / per_minute if per_minute else 0.0)
        while (left := max(turn, self._until) - self._now()) > 0:
            if stop():
                raise Stopping
            self._sleep(min(left, LOOK_SECONDS))

    def hold(self, seconds: float) -> None:
        """The server asked for a pause: nobody asks before it is over."""
        with self._lock:
            self._until = max(self._until, self._now() + seconds)


PURSE: ContextVar[Purse | None] = ContextVar("purse", default=None)
_paces: dict[tuple[str, str], Pace] = {}


def pace_of(facts: EndpointFacts) -> Pace:
    """This process's pace for a model of a server."""
    return _paces.setdefault((facts.base_url, facts.model), Pace())


@contextmanager
def out_of(purse: Purse) -> Iterator[None]:
    """Endpoints that are reached in the block are paid out of `purse`."""
    token = PURSE.set(purse)
    try:
        yield
    finally:
        PURSE.reset(token)
