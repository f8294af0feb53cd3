"""Answers of an endpoint in the shape of `alignment.generation.Generator`: several at once, patiently, word by word.

What passes by itself is tried again, `Retry-After` is obeyed, and whoever waits keeps asking whether to stop.
"""

import hashlib
import json
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from alignment.chat import ChatMessage, text_of
from alignment.generation import Response
from alignment.judges import NoReply, Reply
from alignment.sampling import Sampling
from backend.checkpoints import logprobs, openai
from backend.checkpoints.openai import Answer, Away, Busy, PromptRefused, Server, Trouble
from backend.checkpoints.schemas import EndpointFacts
from workers import spending
from workers.pool import LOOK_SECONDS, Stop, each
from workers.refusal import Refused

TRIES = 5
PAUSE_SECONDS = 1.0  # before the second try; doubled before each other
JITTER = 1.25
LONGEST_WAIT = 300.0
GRACE_SECONDS = 5.0  # for requests that are under way when the work is told to stop: they are paid for
LIKELIEST = 5  # tokens told of each place; no server allows fewer
T = TypeVar("T")


class Endpoint:
    """An endpoint ready to answer prompts."""

    def __init__(self, name: str, facts: EndpointFacts, key: str | None) -> None:
        self._name, self._facts, self._key = name, facts, key
        self._known: dict[str, Response | PromptRefused] = {}
        self._tells: bool | None = None  # log-probabilities; None: not known yet
        self._pace, self._purse = spending.pace_of(facts), spending.PURSE.get()

    def generate(
        self,
        prompts: Sequence[Sequence[ChatMessage]],
        sampling: Sampling,
        *,
        stop: Stop = lambda: False,
        answered: Callable[[int, Response], None] = lambda _index, _response: None,
        cut: bool = True,  # noqa: ARG002  (the server decides what fits)
    ) -> list[Response]:
        """One response per prompt, in order.  A prompt that occurs twice in a call has two different draws.

        Raises Refused when the endpoint cannot answer at all, and PromptRefused for a prompt that it refuses: what the
        others were answered is remembered, so that asking for some of them costs no second request. `answered` is told
        the number of each prompt with its answer, as they come.
        """
        bodies = self._bodies(prompts, sampling)
        asked = [json.dumps(body, sort_keys=True) for body in bodies]
        if any(one not in self._known for one in asked):
            self._known = {}
            self._ask_all(dict(zip(asked, bodies, strict=True)), stop, answered)
        else:
            for number, one in enumerate([self._known[key] for key in asked]):
                if isinstance(one, Response):
                    answered(number, one)
        found = [self._known.get(one, _stopped()) for one in asked]
        for one in found:
            if isinstance(one, PromptRefused):
                raise one
        return [one for one in found if isinstance(one, Response)]

    def stream(
        self,
        prompt: Sequence[ChatMessage],
        sampling: Sampling,
        *,
        stop: Stop = lambda: False,
        cut: bool = True,  # noqa: ARG002
    ) -> Generator[str, None, Response]:
        """The answer piece by piece, with an empty piece whenever none came for a moment; returns the whole Response.

        Raises Refused and PromptRefused.
        """
        (body,) = self._bodies([prompt], sampling)
        pieces: queue.Queue[str | Answer | Exception] = queue.Queue()
        left = threading.Event()
        threading.Thread(target=self._listen, args=(body, pieces, left), daemon=True).start()
        told = ""
        try:
            while not stop():
                try:
                    piece = pieces.get(timeout=LOOK_SECONDS / 10)
                except queue.Empty:
                    yield ""
                    continue
                if isinstance(piece, Answer):
                    return _response(piece)
                if isinstance(piece, Exception):
                    raise self._named(piece)
                told += piece
                yield piece
            return Response(told, len(told.split()), "stopped", 0, 0)
        finally:
            left.set()

    def _bodies(self, prompts: Sequence[Sequence[ChatMessage]], sampling: Sampling) -> list[dict[str, Any]]:
        seen: Counter[str] = Counter()
        bodies = []
        for prompt in prompts:
            messages = [{"role": str(one["role"]), "content": text_of(one["content"])} for one in prompt]
            text = json.dumps(messages)
            draw = hashlib.sha256(f"{sampling.seed}/{seen[text]}/{text}".encode()).digest()
            seen[text] += 1
            settings = {"temperature": sampling.temperature, "top_p": sampling.top_p}
            limits = {"max_tokens": sampling.max_new_tokens, "seed": int.from_bytes(draw[:4], "big") >> 1}
            bodies.append(openai.request(self._facts.model, messages, **settings, **limits))
        return bodies

    def _ask_all(
        self, bodies: Mapping[str, dict[str, Any]], stop: Stop, answered: Callable[[int, Response], None]
    ) -> None:
        """Fill `_known`, as far as there is time before `stop`."""

        def ask(server: Server, key: str, over: Stop) -> Response | PromptRefused:
            try:
                return _response(persist(partial(self._send, server, over, bodies[key]), over))
            except PromptRefused as refused:
                return refused

        numbers = {key: number for number, key in enumerate(bodies)}
        try:
            for found in each(self.server, ask, bodies, min(self.at_once, len(bodies)), stop, GRACE_SECONDS):
                if found is None:
                    continue
                key, answer = found
                self._known[key] = answer
                if isinstance(answer, Response):
                    answered(numbers[key], answer)
        except Trouble as trouble:
            raise self._named(trouble) from trouble

    def reply(self, server: Server, over: Stop, messages: Sequence[Mapping[str, str]], max_tokens: int) -> Reply:
        """The likeliest answer to a judge's question, with log-probabilities where the server tells them.

        Raises NoReply for a question that the server refuses, Refused when it cannot answer at all.
        """
        body = openai.request(self._facts.model, messages, temperature=0.0, top_p=1.0, max_tokens=max_tokens, seed=0)
        try:
            answer = persist(partial(self._complete, server, over, body), over)
        except PromptRefused as refused:
            raise NoReply(refused.reason) from refused
        except Trouble as trouble:
            raise self._named(trouble) from trouble
        return Reply(answer.text, answer.ended, logprobs.read(answer.logprobs))

    def _send(self, server: Server, over: Stop, body: Mapping[str, Any]) -> Answer:
        """One request, when it is its turn and while there is money for it.  Raises LimitReached, Stopping, Trouble."""
        self._pace.wait(self._facts.requests_per_minute, over)
        try:
            if self._purse is None:
                return server.complete(body)
            with self._purse.request(self._facts, body, over) as bill:
                bill.answer = server.complete(body)
                return bill.answer
        except Busy as busy:
            if busy.seconds <= LONGEST_WAIT:
                self._pace.hold(busy.seconds)
            raise

    def _complete(self, server: Server, over: Stop, body: Mapping[str, Any]) -> Answer:
        """Ask for log-probabilities; a server that only refuses those is asked for none from then on."""
        if self._tells is not False:
            try:
                answer = self._send(server, over, {**body, "logprobs": True, "top_logprobs": LIKELIEST})
            except PromptRefused:
                if self._tells:
                    raise
            else:
                self._tells = True
                return answer
        answer = self._send(server, over, body)
        self._tells = False
        return answer

    @property
    def at_once(self) -> int:
        """How many requests may be under way."""
        return self._facts.concurrency

    def server(self) -> Server:
        """The server, for one thread."""
        return Server(self._facts.base_url, self._key, self._facts.timeout_seconds)

    def _listen(
        self, body: Mapping[str, Any], pieces: "queue.Queue[str | Answer | Exception]", left: threading.Event
    ) -> None:
        """Put an answer's pieces into the queue as they come; begun anew only while none has come."""
        try:
            with self.server() as server:
                going = persist(lambda: _begun(server.stream(body)), left.is_set)
                for piece in going:
                    pieces.put(piece)
                    if left.is_set():
                        return
        except Exception as error:  # noqa: BLE001  (raised by the thread that listens)
            pieces.put(error)

    def _named(self, trouble: Exception) -> Exception:
        if isinstance(trouble, Trouble) and not isinstance(trouble, PromptRefused):
            return Refused(f"“{self._name}” cannot answer: {trouble.reason}", trouble.remedy)
        return trouble


def persist(ask: Callable[[], T], stop: Stop) -> T:
    """What `ask()` gives, asked again after a pause when it is Away or Busy.  Raises the last Trouble."""
    for attempt in range(TRIES):
        try:
            return ask()
        except (Busy, Away) as trouble:
            pause = max(trouble.seconds if isinstance(trouble, Busy) else 0.0, PAUSE_SECONDS * 2**attempt)
            pause *= random.uniform(1, JITTER)  # noqa: S311  (so that several do not come back at once)
            if attempt == TRIES - 1 or pause > LONGEST_WAIT:
                raise
            until = time.monotonic() + pause
            while time.monotonic() < until:
                if stop():
                    raise
                time.sleep(min(LOOK_SECONDS, pause))
    raise AssertionError("the last attempt returns or raises")


def _begun(going: Iterator[str | Answer]) -> Iterator[str | Answer]:
    """The iterator once its first piece has come, so that what hinders the beginning is raised here."""
    first = next(going)

    def whole() -> Iterator[str | Answer]:
        yield first
        yield from going

    return whole()


def _response(answer: Answer) -> Response:
    return Response(answer.text, answer.tokens, "end" if answer.ended else "length", 0, 0)


def _stopped() -> Response:
    return Response("", 0, "stopped", 0, 0)
