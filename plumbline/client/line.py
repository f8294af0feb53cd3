"""The line to a server: every request with who asks and about which project, tried again where that is safe."""

import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import TypeAdapter, ValidationError

from plumbline.client import errors

API = "/api/v1"
PROJECT = "Plumbline-Project"
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # before each further try
LONGEST_PAUSE = 60.0  # a server that asks for more is not waited for
BUSY = {502, 503, 504}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
T = TypeVar("T")

# `always` for what may be done twice; `unsent` for what must not: only while the server has not had it; `never` for
# a body that cannot be sent again.
Retry = Literal["always", "unsent", "never"]


class HasId(Protocol):
    """A row of the server."""

    @property
    def id(self) -> uuid.UUID: ...


Ref = HasId | uuid.UUID | str


def id_of(ref: Ref) -> str:
    """The id of what an argument names: a row, an id, or an id's text.  Raises ValueError."""
    return str(uuid.UUID(ref) if isinstance(ref, str) else ref if isinstance(ref, uuid.UUID) else ref.id)


def optional_id(ref: Ref | None) -> str | None:
    return None if ref is None else id_of(ref)


def checked_address(url: str, *, allow_http: bool) -> str:
    """The address without a slash at its end.  Raises NoAddress, also where secrets would travel in the clear."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise errors.NoAddress(f"{url} is no address of a server.", "It looks like https://plumbline.example.org.")
    if parts.username or parts.password:
        raise errors.NoAddress("The address holds a name or a password.", "Give them as name= and password=.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not allow_http:
        raise errors.NoAddress(
            "Token and data would travel unprotected.", "Use https://, or allow_http=True in a network you trust."
        )
    return url.rstrip("/")


class Line:
    """Requests to one server.  `poll_seconds` is the pause between two looks at work under way."""

    def __init__(
        self, address: str, timeout: float, poll_seconds: float, transport: httpx2.BaseTransport | None
    ) -> None:
        self.address, self.poll_seconds = address, poll_seconds
        self.http = httpx2.Client(
            base_url=address + API,
            headers={"Origin": _origin(address), "Accept": "application/json"},
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
            transport=transport,
        )

    def get(self, path: str, shape: type[T], *, retry: Retry = "always", **parameters: Any) -> T:
        """What is at `path`; parameters that are None are left out.  Raises PlumblineError, as all here do."""
        return self._read(self.ask("GET", path, retry=retry, params=_given(parameters)), shape)

    def create(self, path: str, shape: type[T], body: Mapping[str, Any] | None = None) -> T:
        """What a POST makes that the server does once, however often it arrives."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self._read(self.ask("POST", path, json=_given(body or {}), headers=headers), shape)

    def post(
        self, path: str, shape: type[T], body: Mapping[str, Any] | None = None, *, retry: Retry = "unsent", **more: Any
    ) -> T:
        """The answer to a POST; `retry` says `always` where the body itself makes it safe to repeat."""
        content = more if body is None else {"json": _given(body), **more}
        return self._read(self.ask("POST", path, retry=retry, **content), shape)

    def pages(self, path: str, shape: type[T], **parameters: Any) -> Iterator[T]:
        """Every entry of a list, page by page as they are wanted."""
        known = _given(parameters)
        while True:
            found = self._read(self.ask("GET", path, params=known), dict[str, Any])
            yield from self._understood(found.get("items"), list[shape])  # type: ignore[valid-type]
            if not found.get("next_cursor"):
                return
            known["cursor"] = found["next_cursor"]

    def ask(self, method: str, path: str, *, retry: Retry = "always", **request: Any) -> httpx2.Response:
        """A good answer."""
        for pause in (*PAUSES, None):
            try:
                answer = self.http.request(method, path, **request)
            except httpx2.TransportError as error:
                unsent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
                if pause is None or not (retry == "always" or (retry == "unsent" and unsent)):
                    raise self.lost(error) from error
                time.sleep(pause)
                continue
            if answer.is_success:
                return answer
            wait = None if pause is None else _wait(answer, retry, pause)
            if wait is None:
                raise _refused(answer)
            time.sleep(wait)
        raise AssertionError("unreachable")

    def download(
        self, path: str, to: Path, *, size: int | None = None, tag: str | None = None, **parameters: Any
    ) -> Path:
        """Afterwards the file is at `to`, whole; until then it is `to` with `.part` at its end.

        With its size and the tag of its content it goes on at the last byte that has arrived, now or in another call.
        """
        part = to.with_name(to.name + ".part")
        to.parent.mkdir(parents=True, exist_ok=True)
        known = _given(parameters)
        for pause in (*PAUSES, None):
            try:
                self._fetch(path, part, size, tag, known)
            except (httpx2.TransportError, _CutOff) as error:
                if pause is None:
                    raise self.lost(error) from error
                time.sleep(pause)
            else:
                break
        return part.replace(to)

    def _fetch(self, path: str, part: Path, size: int | None, tag: str | None, parameters: dict[str, Any]) -> None:
        have = part.stat().st_size if size is not None and tag is not None and part.exists() else 0
        if size is not None and have == size:
            return
        headers = {"Accept-Encoding": "identity"}  # a range is of the bytes as they lie
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": str(tag)}
        with self.http.stream("GET", path, params=parameters, headers=headers) as answer:
            if not answer.is_success:
                answer.read()
                if answer.status_code in BUSY:
                    raise _CutOff
                raise _refused(answer)
            with part.open("ab" if answer.status_code == 206 else "wb") as file:
                for block in answer.iter_bytes():
                    file.write(block)
        if size is not None and part.stat().st_size != size:
            if part.stat().st_size > size:
                part.unlink()
            raise _CutOff

    def lost(self, error: Exception) -> errors.NotReachable:
        """The error for an answer that did not come."""
        if isinstance(error, _CutOff):
            return errors.NotReachable(f"The download from {self.address} breaks off.", "Start it again later.")
        return errors.NotReachable(
            f"The server at {self.address} does not answer ({type(error).__name__}).",
            "Check the address, and whether it runs.",
        )

    def _read(self, answer: httpx2.Response, shape: type[T]) -> T:
        try:
            body = answer.json() if answer.content else None
        except ValueError as error:
            raise _strange(self.address) from error
        return self._understood(body, shape)

    def _understood(self, body: Any, shape: type[T]) -> T:
        try:
            return TypeAdapter(shape).validate_python(body)
        except ValidationError as error:
            raise _strange(self.address) from error


class _CutOff(Exception):
    """A download has ended too early."""


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters or a body without what the caller left to the server."""
    return {name: value for name, value in values.items() if value is not None}


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _wait(answer: httpx2.Response, retry: Retry, pause: float) -> float | None:
    """How long to wait before asking again; None: not at all.  What came too often was not done."""
    again = answer.status_code == 429 and retry != "never"
    if not again and not (answer.status_code in BUSY and retry == "always"):
        return None
    asked = _retry_after(answer)
    wait = pause if asked is None else asked
    return wait if wait <= LONGEST_PAUSE else None


def _retry_after(answer: httpx2.Response) -> float | None:
    said = answer.headers.get("retry-after", "")
    return float(said) if said.isascii() and said.isdigit() else None


def _refused(answer: httpx2.Response) -> errors.Refused:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    error = errors.refusal(answer.status_code, problem)
    if isinstance(error, errors.TooMany):
        error.retry_after = _retry_after(answer)
    return error


def _strange(address: str) -> errors.NotUnderstood:
    return errors.NotUnderstood(
        f"What {address} answered cannot be read.", "Check that it is a Plumbline, of the same version as this program."
    )
