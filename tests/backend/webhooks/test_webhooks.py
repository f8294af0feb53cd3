"""Webhooks: what happens arrives, signed, whatever the receiver does meanwhile, and leads nowhere that it may not."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from backend.accounts.models import Role
from backend.db import transaction
from backend.projects.models import Project
from backend.redaction import redacted
from backend.webhooks import service, signing
from backend.webhooks.models import Webhook
from tests.backend.webhooks.conftest import BODY, PATH, Receiver, add, tell, verified
from tests.conftest import Client
from workers.tasks import webhooks


class TestRights:
    ROUTES = (
        ("get", ""),
        ("post", ""),
        ("patch", "/{id}"),
        ("delete", "/{id}"),
        ("post", "/{id}/secret"),
        ("post", "/{id}/test"),
        ("get", "/{id}/deliveries"),
    )

    @pytest.mark.parametrize(("method", "path"), ROUTES)
    def test_signed_out(self, anonymous: Client, method: str, path: str) -> None:
        """Nobody sees or changes webhooks without a session."""
        assert anonymous.request(method, PATH + path.format(id=uuid.uuid4()), json=BODY).status_code == 401

    @pytest.mark.parametrize(("method", "path"), ROUTES)
    def test_owners_alone(self, researcher: Client, hook: dict[str, Any], method: str, path: str) -> None:
        """A researcher may neither see where the project's events go nor lead them elsewhere."""
        assert researcher.request(method, PATH + path.format(id=hook["id"]), json=BODY).status_code == 403

    @pytest.mark.parametrize(("method", "path"), ROUTES[2:])
    def test_other_projects(
        self, make_client: Callable[..., Client], hook: dict[str, Any], method: str, path: str
    ) -> None:
        """Another project's owner finds nothing under the id, nor under the id of a delivery."""
        with transaction() as session:
            other = Project(name="other")
            session.add(other)
        stranger = make_client(Role.owner, project=other)
        body = {"active": False} if method == "patch" else None
        assert stranger.request(method, PATH + path.format(id=hook["id"]), json=body).status_code == 404
        own = make_client(Role.owner)
        sent = own.post(f"{PATH}/{hook['id']}/test").json()
        assert stranger.post(f"/api/v1/webhook-deliveries/{sent['id']}/again").status_code == 404

    def test_expiring_tokens_open_no_way_out(self, owner: Client, anonymous: Client) -> None:
        """A webhook would outlast the token that made it."""
        token = owner.post("/api/v1/me/tokens", json={"name": "short", "days": 1}).json()["token"]
        headers = {"authorization": f"Bearer {token}"}
        assert anonymous.post(PATH, json=BODY, headers=headers).status_code == 403
        assert anonymous.get(PATH, headers=headers).status_code == 200


class TestInput:
    @pytest.mark.parametrize(
        "change",
        [
            {"url": "ftp://example.com"},
            {"url": "https://"},
            {"url": "https://user:pw@example.com/"},
            {"url": "https://example.com/#part"},
            {"url": "https://exa mple.com/"},
            {"url": "https://example.com:0/"},
            {"url": "https://example.com\\@evil.example/"},
            {"url": "javascript:alert(1)"},
            {"url": "https://example.com/" + "a" * 2000},
            {"events": []},
            {"events": ["label.*"]},
            {"events": ["webhook.test"]},
            {"events": ["label.created"] * 51},
            {"description": "x" * 201},
            {"secret": "whsec_mine"},
        ],
    )
    def test_bad_webhooks_are_refused(self, owner: Client, change: dict[str, Any]) -> None:
        """Addresses that are none, or hold credentials, and events that there are not."""
        assert owner.post(PATH, json=BODY | change).status_code == 422

    def test_not_too_many(self, owner: Client) -> None:
        """A project has a bounded number, as each event is written once for each."""
        for _ in range(service.MOST):
            add(owner, "https://example.com/hook", "label.created")
        refused = owner.post(PATH, json=BODY)
        assert (refused.status_code, refused.json()["title"]) == (409, "Too many webhooks")


class TestSecrets:
    def test_a_signature_is_that_of_the_standard(self) -> None:
        """The example that Standard Webhooks publishes."""
        secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
        found = signing.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, secret)
        assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def test_a_secret_is_shown_once(self, owner: Client, hook: dict[str, Any]) -> None:
        """Neither a route, the audit log nor a log line tells it again, and it does not lie open in the database."""
        secret = hook["secret"]
        assert secret.startswith("whsec_")
        assert secret not in owner.get(PATH).text
        assert secret not in owner.get("/api/v1/audit").text
        assert secret not in redacted(f"sent {secret}")
        with transaction() as session:
            row = session.scalars(select(Webhook)).one()
            assert secret.encode() not in row.sealed
            assert service.secrets(row) == [secret]

    def test_for_a_day_both_secrets_sign(
        self, owner: Client, hook: dict[str, Any], receiver: Receiver, project: Project, later: Callable[..., None]
    ) -> None:
        """After a change the receiver may check with either secret; a day later with the new one alone."""
        fresh = owner.post(f"{PATH}/{hook['id']}/secret").json()["secret"]
        assert fresh != hook["secret"]
        tell(project)
        webhooks.work()
        assert verified(receiver, -1, fresh)
        assert verified(receiver, -1, hook["secret"])
        later(service.BOTH_VALID + timedelta(seconds=1))
        tell(project)
        webhooks.work()
        assert verified(receiver, -1, fresh)
        assert not verified(receiver, -1, hook["secret"])
