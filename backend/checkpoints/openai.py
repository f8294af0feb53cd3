"""The chat protocol of OpenAI as servers like vLLM speak it: which models there are, answers whole and word by word.

A server is a stranger: its answers are bounded in size and time, redirects are not followed, and private addresses
need an admin's leave (`backend.outbound`).
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from backend import outbound
from backend.checkpoints.hub_errors import wait_of
from backend.outbound import AddressRefused
from backend.settings import get_settings

MOST_BYTES = 8 << 20
LONGEST_LINE = 1 << 20
MOST_MODELS = 2000
SHOWN = 300


class Trouble(Exception):
    """An endpoint does not answer as asked; `reason` and `remedy` are for people, `field` is the one at fault."""

    field = "base_url"

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class Forbidden(Trouble):
    """The address may not be reached from here."""


class KeyRefused(Trouble):
    """The server wants another key, or one at all."""

    field = "secret"


class NoSuchModel(Trouble):
    """The server does not serve this model, or speaks another protocol at this address."""

    field = "model"


class PromptRefused(Trouble):
    """The server refuses this one request; others may pass."""

    field = "model"


class Broken(Trouble):
    """What comes is not the protocol."""


class Away(Trouble):
    """The server cannot be reached, takes too long, or fails by itself; a later attempt may pass."""


class Unfinished(Away):
    """The answer did not come whole: the server may have written all of it, and charge for that."""


class Busy(Trouble):
    """The server asks to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The endpoint asks to wait {seconds:,.0f} seconds (429): too much was asked of it.",
            "Lower its number of requests at once, or wait.",
        )
        self.seconds = seconds


@dataclass(frozen=True)
class Served:
    """A model that a server lists."""

    model: str
    max_tokens: int | None


@dataclass(frozen=True)
class Answer:
    """A whole answer; `tokens` are as the server counts, else words. `logprobs` is what it told, unread.

    `usage` are the tokens that it says it read and wrote.
    """

    text: str
    tokens: int
    ended: bool
    logprobs: Any = None
    usage: tuple[int, int] | None = None


class Server:
    """One server with one key. Use as a context manager; safe for several threads."""

    def __init__(self, base_url: str, key: str | None, read_seconds: float) -> None:
        self.base_url, self._seconds = base_url, read_seconds
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        settings = get_settings()
        self._client = outbound.client(settings.allowed_addresses, read_seconds, offline=settings.offline)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def models(self) -> list[Served]:
        """What the server lists; nothing when it has no list.  Raises Trouble."""
        try:
            listed = self._json("GET", "/models", None).get("data")
        except (NoSuchModel, PromptRefused):  # a server may do without
            return []
        if not isinstance(listed, list):
            raise Broken("The endpoint's list of models is none.", "Give the address up to and with /v1.")
        return [
            _served(one) for one in listed[:MOST_MODELS] if isinstance(one, dict) and isinstance(one.get("id"), str)
        ]

    def complete(self, body: Mapping[str, Any]) -> Answer:
        """The whole answer to a request.  Raises Trouble."""
        said = self._json("POST", "/chat/completions", body)
        choice = _choice(said)
        message = choice.get("message")
        if not isinstance(message, dict):
            raise _no_protocol()
        text = message.get("content")
        answer = _answer(text if isinstance(text, str) else "", choice.get("finish_reason"), said.get("usage"))
        return replace(answer, logprobs=choice.get("logprobs"))

    def stream(self, body: Mapping[str, Any]) -> Iterator[str | Answer]:
        """Pieces of text as they come, and at last the whole answer.  Raises Trouble."""
        asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
        text, finish, usage = "", None, None
        with self._ask("POST", "/chat/completions", asked) as response:
            for event in _events(self._pieces(response)):
                usage = event.get("usage") or usage
                if not event.get("choices"):
                    continue
                choice = _choice(event)
                finish = choice.get("finish_reason") or finish
                delta = choice.get("delta")
                piece = delta.get("content") if isinstance(delta, dict) else None
                if isinstance(piece, str) and piece:
                    text += piece
                    yield piece
        if finish is None:
            raise (_broke_off() if text else _no_protocol())
        yield _answer(text, finish, usage)

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        with self._ask(method, path, body) as response:
            raw = b"".join(self._pieces(response))
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise _no_protocol() from error
        if not isinstance(found, dict):
            raise _no_protocol()
        return found

    def _pieces(self, response: httpx2.Response) -> Iterator[bytes]:
        """The bytes of an answer, not too many and not for ever."""
        until, size = time.monotonic() + 10 * self._seconds, 0
        try:
            for piece in response.iter_raw():
                size += len(piece)
                if size > MOST_BYTES:
                    raise Broken("The endpoint's answer has no end.", "Look at what listens at this address.")
                if time.monotonic() > until:
                    raise _slow(10 * self._seconds)
                yield piece
        except httpx2.TimeoutException as error:
            raise _slow(self._seconds) from error
        except httpx2.TransportError as error:
            raise _broke_off() from error

    @contextmanager
    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Iterator[httpx2.Response]:
        try:
            with self._client.stream(method, self.base_url + path, json=body, headers=self._headers) as response:
                if not response.is_success:
                    raise self._refusal(response)
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise Broken("The endpoint packs its answers though it was asked not to.", "Turn compression off.")
                yield response
        except AddressRefused as error:
            raise Forbidden(error.detail, error.remedy or "") from error
        except httpx2.TimeoutException as error:
            raise _slow(self._seconds) from error
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise Away(
                f"Nothing answers at {self.base_url}.",
                "Check the address, and whether the server runs and is reachable.",
            ) from error

    def _refusal(self, response: httpx2.Response) -> Trouble:
        status = response.status_code
        if status in (401, 403):
            return KeyRefused(
                f"The endpoint refuses the key ({status})."
                if self._headers
                else f"The endpoint wants a key ({status}).",
                "Let an owner of the project set a valid key for this address on the Secrets page, and name it here.",
            )
        if status == 429:
            return Busy(wait_of(response.headers))
        if status >= 500 or status == 408:
            return Away(f"The endpoint fails ({status}).", "Look at its server's log, or try again later.")
        said = self._said(response)
        if status == 404:
            return NoSuchModel(
                f"The endpoint does not know this model, or nothing is at this address (404){said}",
                "Give the address up to and with /v1, and the model's name as the server lists it.",
            )
        if status in (400, 413, 422):
            return PromptRefused(f"The endpoint refuses the request ({status}){said}", "Look at what it says.")
        also = " Redirects are not followed." if response.is_redirect else ""
        return Broken(f"The endpoint answers {status}.{also}", "Give the final address, up to and with /v1.")

    def _said(self, response: httpx2.Response) -> str:
        """What the server says about its refusal, as the end of a sentence."""
        try:
            found = json.loads(b"".join(self._pieces(response))[: 1 << 16])
        except (ValueError, RecursionError, Trouble):
            return "."
        error = found.get("error", found) if isinstance(found, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        return f": “{message[:SHOWN].strip()}”" if isinstance(message, str) and message.strip() else "."


def request(model: str, messages: Sequence[Mapping[str, str]], **settings: Any) -> dict[str, Any]:
    """The body of a request for one answer; `settings` are temperature, top_p, max_tokens and seed."""
    return {"model": model, "messages": [dict(message) for message in messages], "n": 1, **settings}


def _events(pieces: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of a stream of server-sent events."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise _no_protocol()
        for line in lines:
            data = line.strip().removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
            if data == b"[DONE]":
                return
            if data:
                yield _event(data)


def _event(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _no_protocol() from error
    if not isinstance(found, dict):
        raise _no_protocol()
    if "error" in found:
        raise Away("The endpoint failed in the middle of an answer.", "Look at its server's log.")
    return found


def _served(one: Mapping[str, Any]) -> Served:
    length = one.get("max_model_len") or one.get("context_length")
    return Served(str(one["id"])[:300], length if type(length) is int and 0 < length < 2**31 else None)


def _choice(said: Mapping[str, Any]) -> dict[str, Any]:
    choices = said.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _no_protocol()
    return choices[0]


def _answer(text: str, finish: Any, usage: Any) -> Answer:
    read, written = _counted(usage, "prompt_tokens"), _counted(usage, "completion_tokens")
    told = (read, written) if read is not None and written is not None else None
    return Answer(text, len(text.split()) if written is None else written, ended=finish != "length", usage=told)


def _counted(usage: Any, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if type(count) is int and 0 <= count < 2**31 else None


def _slow(seconds: float) -> Unfinished:
    return Unfinished(f"The endpoint was silent for {seconds:,.0f} seconds.", "Allow more time, or look at its load.")


def _broke_off() -> Unfinished:
    return Unfinished("The endpoint broke off in the middle of an answer.", "Look at its server's log.")


def _no_protocol() -> Broken:
    return Broken("What the endpoint answers is not the OpenAI chat protocol.", "Give the address up to and with /v1.")
