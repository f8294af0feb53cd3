"""PLUMBLINE_OFFLINE: every way out says that it is switched off and how to allow it, and none is tried."""

import os
import socket
import uuid
from typing import Any

import httpx2
import pytest

from alignment.formats import FileRefused
from backend import offline, outbound
from backend.addresses import Allowance, numeric, permitted
from backend.checkpoints import hub
from backend.checkpoints.hub_errors import Refused
from backend.datasets import hub as hub_data
from backend.datasets.schemas import FromHub
from backend.outbound import AddressRefused
from backend.presets import machine
from backend.settings import Settings
from plumbline import report_inputs
from tests.conftest import Client
from workers import pusher

COMMIT = "0" * 40


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for a name or an address elsewhere fails the test, also where the program would take it calmly."""
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def resolving(host: Any, *args: Any, **options: Any) -> Any:
        assert host is None or numeric(host), f"asked for the name {host}"
        return resolve(host, *args, **options)

    def connecting(self: socket.socket, address: Any) -> None:
        assert not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1"), f"connects to {address}"
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    monkeypatch.setattr(socket.socket, "connect", connecting)


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a machine that is told to stay offline."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(settings, "offline", True)
    monkeypatch.setattr(settings, "allowed_addresses", (Allowance.parse("10.0.0.0/8"), Allowance.parse("127.0.0.1")))
    return settings


ROUTES = [
    ("GET", "/hub/models?hub_id=a/b", None),
    ("GET", "/hub/datasets?hub_id=a/b", None),
    ("POST", "/fetches", {"hub_id": "a/b"}),
    ("POST", "/uploads/hub", {"hub_id": "a/b", "commit": COMMIT, "config": "default", "split": "train"}),
    ("GET", "/sso/start", None),
    ("POST", "/endpoints", {"base_url": "https://example.org/v1", "model": "m"}),
    ("POST", "/endpoints/models", {"base_url": "http://1.1.1.1/v1"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES, ids=[path for _, path, _ in ROUTES])
def test_routes_say_what_is_switched_off(
    researcher: Client, settings: Settings, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """Whatever needs others names the switch, and how to go on; nobody is asked."""
    answer = researcher.request(method, f"/api/v1{path}", json=body)

    assert 400 <= answer.status_code < 500, answer.text
    assert "PLUMBLINE_OFFLINE" in answer.json()["detail"]
    assert answer.json()["remedy"]


def test_what_is_told_of_the_network(researcher: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages learn from `/me` what they need not offer, and no sign-in provider is named."""
    monkeypatch.setattr(settings, "oidc_issuer", "https://login.example.org")
    monkeypatch.setattr(settings, "oidc_client_id", "plumbline")

    assert researcher.get("/api/v1/me").json()["network"] == "offline"
    assert researcher.get("/api/v1/sso").json()["name"] is None
    monkeypatch.setattr(settings, "offline", False)
    assert researcher.get("/api/v1/me").json()["network"] == "open"
    assert researcher.get("/api/v1/sso").json()["name"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert researcher.get("/api/v1/me").json()["network"] == "no hub"


def test_workers_ask_no_hub(settings: Settings, tmp_path: Any) -> None:
    """Downloads, uploads, rows of datasets and weights for training elsewhere end before a hub is asked."""
    origin = FromHub(kind="hub", hub_id="a/b", commit=COMMIT, config="default", split="train", secret=None)

    with pytest.raises(Refused, match="PLUMBLINE_OFFLINE"):
        hub.Hub(None)
    with pytest.raises(Refused, match="PLUMBLINE_OFFLINE"):
        pusher.upload(tmp_path, "a/b", private=True)
    with pytest.raises(FileRefused, match="PLUMBLINE_OFFLINE"):
        hub_data.fetch(origin, None, tmp_path / "rows", settings, lambda _: None)
    inputs = report_inputs.Inputs(None, {}, tmp_path, print)  # type: ignore[arg-type]
    with pytest.raises(report_inputs.OtherWeights, match="PLUMBLINE_OFFLINE"):
        inputs._weights("checkpoint", {"links": [[]], "hub_id": None}, f"a/{uuid.uuid4()}")
    assert machine.hub_state() == "offline"
    assert list(tmp_path.iterdir()) == []


def test_endpoints_nearby_stay(settings: Settings) -> None:
    """An endpoint on a private address that an admin has allowed may be asked, by number; nothing public, though it
    were allowed, and no name, since asking for it would be asking somebody."""
    allowed = (Allowance.parse("10.0.0.0/8"), Allowance.parse("1.1.1.1"))

    assert permitted("10.1.2.3", 8000, allowed, offline=True)
    assert not permitted("192.168.0.1", 80, allowed, offline=True)
    assert not permitted("1.1.1.1", 80, allowed, offline=True)
    assert not permitted("64:ff9b::101:101", 80, allowed, offline=True)
    for url in ("http://1.1.1.1/", "http://llm.internal/", "http://1.1/", "http://[2606:4700:4700::1111]/"):
        with pytest.raises(AddressRefused, match="PLUMBLINE_OFFLINE"):
            outbound.client(settings.allowed_addresses, 1, offline=True).get(url)
    with pytest.raises(httpx2.ConnectError):  # asked, and nobody is there
        outbound.client(settings.allowed_addresses, 1, offline=True).get("http://127.0.0.1:9/")


def test_libraries_are_told_before_they_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telemetry is off always; offline, hubs, model libraries and the cloud's address service are barred too."""
    for name in offline.QUIET | offline.BARRED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))

    offline.tell_libraries(Settings(offline=False))
    assert (os.environ["HF_HUB_DISABLE_TELEMETRY"], os.environ.get("HF_HUB_OFFLINE")) == ("1", None)
    offline.tell_libraries(Settings(offline=True))
    assert {os.environ[name] for name in offline.BARRED} <= {"1", "true"}
