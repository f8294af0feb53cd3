"""Requests to addresses that users name: the name is resolved once, every address checked, and that one connected to.

Redirects are not followed and proxies of the environment not used, so nothing stands between the check and the
connection. Private addresses are refused unless `PLUMBLINE_ALLOWED_ADDRESSES` names them. Offline, all others are
refused too, and names: asking for them would be asking somebody.
"""

import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from backend.addresses import Allowance, numeric, permitted
from backend.errors import Invalid, NotAllowed, TooMany

CONNECT_SECONDS = 10.0
CHECKS_AT_ONCE = 8
ALLOW = "An admin can allow it: PLUMBLINE_ALLOWED_ADDRESSES=127.0.0.1:8000 (addresses or networks, split by commas)."
ALONE = "Plumbline is told to stay offline here (PLUMBLINE_OFFLINE): only allowed private addresses may be asked"
BY_NUMBER = (
    "Write the address with its number and have an admin allow it: PLUMBLINE_ALLOWED_ADDRESSES=10.0.0.5:8000"
    " (addresses or networks, split by commas)."
)
_turns = threading.BoundedSemaphore(CHECKS_AT_ONCE)


class BadAddress(Invalid):
    title = "Not an address"


class AddressRefused(NotAllowed):
    title = "Address not allowed"


class TooManyChecks(TooMany):
    title = "Too many checks at once"


def plain_url(url: str, field: str) -> str:
    """An http(s) address without a slash at its end.  Raises BadAddress."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise BadAddress("This is no web address.", field=field, remedy="Write it as http://host:8000/v1.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise BadAddress(
            "Only http and https addresses can be asked.", field=field, remedy="Write it as http://host:8000/v1."
        )
    if parts.username is not None or parts.query or parts.fragment or "\\" in url:
        raise BadAddress(
            "The address holds a name, password, query or fragment.",
            field=field,
            remedy="Give the plain address here, and a key as a secret of the project.",
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


class _Guard(httpcore2.SyncBackend):
    """Connects to the very address that was checked; the name is still the one that TLS must prove."""

    def __init__(self, allowed: Sequence[Allowance], *, offline: bool) -> None:
        self._allowed, self._offline = allowed, offline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = _reachable(host, port, self._allowed, offline=self._offline)
        if not addresses:
            raise httpcore2.ConnectError("unknown host")
        return super().connect_tcp(addresses[0], port, timeout, local_address, socket_options)


def _reachable(host: str, port: int, allowed: Sequence[Allowance], *, offline: bool) -> list[str]:
    """The addresses of a host that may be connected to; none when its name is unknown.  Raises AddressRefused."""
    if offline and not numeric(host):
        raise AddressRefused(f"{ALONE}, and a name would have to be asked for.", remedy=BY_NUMBER)
    addresses = resolve(host, port)
    found = [one for one in addresses if permitted(one, port, allowed, offline=offline)]
    if addresses and not found and offline:
        raise AddressRefused(f"{ALONE}.", remedy=BY_NUMBER)
    if addresses and not found:
        raise AddressRefused("This address lies in a private network, which users may not reach.", remedy=ALLOW)
    return found


def refuse_unreachable(url: str, allowed: Sequence[Allowance], *, offline: bool, field: str) -> None:
    """Refuse an address that a request would be refused to as things are now; each request is checked anew.

    A name that is unknown just now is none of these.  Raises AddressRefused, TooManyChecks.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with turn():
        try:
            _reachable(parts.hostname or "", port, allowed, offline=offline)
        except AddressRefused as refused:
            refused.field = field
            raise


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host name; none when it is unknown."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _GuardedTransport(httpx2.HTTPTransport):
    def __init__(self, allowed: Sequence[Allowance], *, offline: bool) -> None:
        context = httpx2.create_ssl_context()
        super().__init__(verify=context)
        # The library has no argument for this: its own pool, with the one part that opens connections exchanged.
        self._pool = httpcore2.ConnectionPool(ssl_context=context, network_backend=_Guard(allowed, offline=offline))


def client(allowed: Sequence[Allowance], read_seconds: float, *, offline: bool = False) -> httpx2.Client:
    """A client for addresses that users name.  Its requests raise AddressRefused for what they may not reach."""
    return httpx2.Client(
        transport=_GuardedTransport(allowed, offline=offline),
        timeout=httpx2.Timeout(read_seconds, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
        headers={"accept-encoding": "identity", "user-agent": "plumbline"},
    )


@contextmanager
def turn() -> Iterator[None]:
    """Room for one slow request of the web server; few at once, so that slow hosts cannot take up all of it."""
    if not _turns.acquire(timeout=1):
        raise TooManyChecks("Several addresses are being checked already.", remedy="Try again in a moment.")
    try:
        yield
    finally:
        _turns.release()
