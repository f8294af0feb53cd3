"""Which network addresses the server may be sent to by its users: public ones, and private ones an admin allows."""

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Allowance(NamedTuple):
    """A network that is allowed though it is private; with a port, only that one."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "Allowance":
        """`10.0.0.0/8`, `127.0.0.1:8000` or `[::1]:8000`.  Raises ValueError."""
        host, port = text.strip(), ""
        if host.startswith("["):
            host, _, port = host[1:].partition("]")
            port = port.removeprefix(":")
        elif host.count(":") == 1:
            host, _, port = host.partition(":")
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            host = ""  # no network either, and refused below
        try:
            return cls(ipaddress.ip_network(host), int(port) if port else None)
        except ValueError as error:
            raise ValueError(f"{text!r} is no address such as 10.0.0.0/8 or 127.0.0.1:8000") from error


def permitted(address: str, port: int, allowed: Sequence[Allowance], *, offline: bool = False) -> bool:
    """Whether a connection may go to an address that a name was resolved to; offline, never to a public one."""
    found = _inner(ipaddress.ip_address(address.partition("%")[0]))
    public = found.is_global and not found.is_multicast and not found.is_reserved
    if offline and public:
        return False
    if any(found in allowance.network and allowance.port in (None, port) for allowance in allowed):
        return True
    return public


def numeric(host: str) -> bool:
    """Whether nobody needs to be asked where a host is: an address by number, or this machine."""
    try:
        ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host.lower() == "localhost"
    return True


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one wraps, where it does: it is the one that is reached."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address
