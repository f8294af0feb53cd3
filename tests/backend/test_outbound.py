"""Addresses that users name: what may be reached, and what is refused before a connection is opened."""

import socket
from typing import Any

import httpx2
import pytest

from backend import outbound
from backend.addresses import Allowance, permitted
from backend.outbound import AddressRefused, BadAddress
from backend.settings import Settings

PRIVATE = [
    "127.0.0.1",
    "127.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104
    "224.0.0.1",
    "240.0.0.1",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused(address: str) -> None:
    """Loopback, private, link-local, carrier and wrapped addresses cannot be reached unless they are allowed."""
    assert not permitted(address, 80, ())


def test_public_addresses_are_reached() -> None:
    """The public network needs no setting."""
    assert permitted("1.1.1.1", 443, ())
    assert permitted("2606:4700:4700::1111", 443, ())


def test_an_admin_allows_one_port() -> None:
    """An allowance with a port opens that port alone; one with a network the whole of it, and wrapped forms too."""
    allowed = (Allowance.parse("127.0.0.1:8000"), Allowance.parse("10.0.0.0/8"))

    assert permitted("127.0.0.1", 8000, allowed)
    assert permitted("::ffff:127.0.0.1", 8000, allowed)
    assert not permitted("127.0.0.1", 5432, allowed)
    assert not permitted("::1", 8000, allowed)
    assert permitted("10.9.8.7", 1, allowed)


@pytest.mark.parametrize("text", ["", "host", "10.0.0.0/33", "127.0.0.1:0", "127.0.0.1:x", "127.0.0.1:99999"])
def test_a_setting_that_is_none_is_told(text: str) -> None:
    """A misspelt allowance stops the program with the way to write it, instead of allowing nothing or everything."""
    with pytest.raises(ValueError, match="is no address"):
        Allowance.parse(text)


def test_the_setting_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and ports are split by commas."""
    monkeypatch.setenv("PLUMBLINE_ALLOWED_ADDRESSES", "10.0.0.0/8, [::1]:8000")

    assert [allowance.port for allowance in Settings().allowed_addresses] == [None, 8000]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.1:9/v1",
        "http://0x7f.1:9",
        "http://2130706433:9",
        "http://[::ffff:127.0.0.1]:9",
        "http://localhost:9",
    ],
)
def test_other_spellings_of_this_machine(url: str) -> None:
    """What counts is the address that a name resolves to, however it is written."""
    with pytest.raises(AddressRefused):
        outbound.client((), 1).get(url)


def test_a_name_that_changes_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is resolved once: the address that was checked is the one connected to."""
    answers = iter(["203.0.114.1", "127.0.0.1"])
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    reached: list[str] = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        reached.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)

    with pytest.raises(httpx2.ConnectError):
        outbound.client((), 1).get("http://rebinding.example/v1")
    assert (asked, reached) == (["rebinding.example"], ["203.0.114.1"])


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/v1",
        "file:///etc/passwd",
        "http://",
        "host:8000",
        "http://user:word@host/v1",
        "http://host/v1?key=x",
        "http://host/#x",
        "http://host:99999",
        "http://host:0",
        "http://host\\@other/v1",
        "http://[::1",
        "",
    ],
)
def test_no_addresses(url: str) -> None:
    """Only plain http and https addresses; no password can hide in one."""
    with pytest.raises(BadAddress):
        outbound.plain_url(url, "base_url")


def test_addresses_are_spelt_one_way() -> None:
    """A slash at the end and upper case in the host make no second endpoint."""
    assert outbound.plain_url("HTTPS://Host.Example:8000/v1/", "base_url") == "https://host.example:8000/v1"
