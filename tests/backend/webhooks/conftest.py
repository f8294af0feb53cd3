"""A receiver of webhooks on this machine, with its bad days, and an owner who tells it of things."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select

from backend import work
from backend.accounts.models import Role
from backend.db import transaction
from backend.projects.models import Project
from backend.settings import Settings, get_settings
from backend.webhooks import delivery, outbox, service, signing
from tests.backend.labels.conftest import make_pairs as make_pairs
from tests.conftest import Client

PATH = "/api/v1/webhooks"
BODY = {"url": "https://example.com/hook", "events": ["label.created"]}


@pytest.fixture
def project(owner: Client) -> Project:
    with transaction() as session:
        return session.scalars(select(Project)).one()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Turns the clock of deliveries forward."""

    passed = timedelta(0)

    def turn(by: timedelta) -> None:
        nonlocal passed
        passed += by

        def ahead(by: timedelta = passed) -> datetime:
            return work.now() + by

        monkeypatch.setattr(delivery, "now", ahead)
        monkeypatch.setattr(service, "now", ahead)

    return turn


def tell(project: Project, event: str = "label.created", **data: Any) -> None:
    with transaction() as session:
        outbox.tell(session, project.id, event, data)


def deliveries(client: Client, hook: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.get(f"{PATH}/{hook['id']}/deliveries")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def of(client: Client, hook: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in client.get(PATH).json()["items"] if one["id"] == hook["id"])


@dataclass
class Receiver:
    """What came, and what is answered: the statuses in turn, the last of them for ever."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [204])
    location: str | None = None
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def answer(self) -> int:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(receiver.answer())
        if receiver.location:
            self.send_header("Location", receiver.location)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that serves on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook?key=1")
    server.receiver = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def allowed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An admin lets webhooks lead to this machine."""
    monkeypatch.setenv("PLUMBLINE_ALLOWED_ADDRESSES", "127.0.0.0/8")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def owner(make_client: Callable[..., Client]) -> Client:
    return make_client(Role.owner)


@pytest.fixture
def hook(owner: Client, receiver: Receiver, allowed: None) -> dict[str, Any]:
    """A webhook of the owner's that is told of labels and runs."""
    return add(owner, receiver.url, "label.created", "label.retracted", "run.failed")


def add(client: Client, url: str, *events: str) -> dict[str, Any]:
    answer = client.post("/api/v1/webhooks", json={"url": url, "events": list(events)})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def verified(receiver: Receiver, place: int, secret: str) -> bool:
    """Whether a receiver that holds the secret would take the message."""
    headers, body = receiver.came[place]
    expected = signing.signature(headers["webhook-id"], int(headers["webhook-timestamp"]), body, secret)
    return expected in headers["webhook-signature"].split(" ")
