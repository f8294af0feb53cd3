"""API tokens: shown once, hashed, revocable, one's own."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from backend.accounts.models import ApiToken, Role
from backend.audit.models import AuditEvent
from backend.db import transaction
from tests.conftest import Client


def test_signed_out(anonymous: Client) -> None:
    assert anonymous.get("/api/v1/me/tokens").status_code == 401
    assert anonymous.post("/api/v1/me/tokens", json={"name": "ci"}).status_code == 401


def test_token_opens_and_revocation_closes(researcher: Client, anonymous: Client) -> None:
    """A token acts as its owner without cookie or Origin, until it is revoked."""
    made = researcher.post("/api/v1/me/tokens", json={"name": "ci"}).json()
    headers = {"authorization": f"Bearer {made['token']}", "origin": "https://elsewhere.example"}

    assert anonymous.get("/api/v1/me", headers=headers).json()["name"] == researcher.user.name
    assert "token" not in researcher.get("/api/v1/me/tokens").json()["items"][0]
    with transaction() as session:
        assert made["token"].encode() not in session.scalars(select(ApiToken)).one().token_hash

    assert researcher.delete(f"/api/v1/me/tokens/{made['id']}").status_code == 204
    assert anonymous.get("/api/v1/me", headers=headers).status_code == 401


def test_someone_elses(researcher: Client, make_client: Callable[..., Client]) -> None:
    """Nobody sees or revokes the token of another, an admin neither."""
    made = researcher.post("/api/v1/me/tokens", json={"name": "mine"}).json()
    other = make_client(Role.admin)

    assert other.get("/api/v1/me/tokens").json()["items"] == []
    assert other.delete(f"/api/v1/me/tokens/{made['id']}").status_code == 404


def test_a_bad_token_is_not_rescued_by_the_cookie(researcher: Client) -> None:
    """A request that names a token is that token's, or nobody's."""
    assert researcher.get("/api/v1/me", headers={"authorization": "Bearer plb_wrong"}).status_code == 401


def by(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def make(client: Client, **limits: Any) -> dict[str, Any]:
    made = client.post("/api/v1/me/tokens", json={"name": "script", **limits})
    assert made.status_code == 201
    return dict(made.json())


def test_an_expired_token_opens_nothing(researcher: Client, anonymous: Client) -> None:
    """A token that was made for some days says until when, works until then, and no longer."""
    made = make(researcher, days=30)
    assert anonymous.get("/api/v1/me", headers=by(made["token"])).status_code == 200
    until = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert abs(until - timedelta(days=30)) < timedelta(minutes=5)
    with transaction() as session:
        session.scalars(select(ApiToken)).one().expires_at = datetime.now(UTC) - timedelta(seconds=1)
    refused = anonymous.get("/api/v1/me", headers=by(made["token"]))
    assert (refused.status_code, "expired" in refused.json()["detail"]) == (401, True)


def test_a_token_that_reads_changes_nothing(researcher: Client, anonymous: Client) -> None:
    """Every changing request is refused, whatever its person may; the own account is closed to it."""
    headers = by(make(researcher, read_only=True)["token"])
    assert anonymous.get("/api/v1/datasets", headers=headers).status_code == 200
    changing = [
        ("POST", "/api/v1/runs", {}),
        ("POST", "/api/v1/uploads?filename=a.jsonl", {}),
        ("POST", "/api/v1/me/tokens", {"name": "more"}),
        ("PUT", "/api/v1/me/project", {"project_id": str(researcher.user.id)}),
        ("DELETE", "/api/v1/me/sessions", None),
    ]
    for method, path, body in changing:
        assert anonymous.request(method, path, headers=headers, json=body).status_code == 403, path
    assert anonymous.get("/api/v1/me/tokens", headers=headers).status_code == 403


def test_a_token_makes_none_that_outlives_it(researcher: Client, anonymous: Client) -> None:
    """Whoever has a token for a day cannot turn it into one for ever."""
    headers = by(make(researcher, days=1)["token"])
    for days in (None, 2):
        refused = anonymous.post("/api/v1/me/tokens", headers=headers, json={"name": "more", "days": days})
        assert (refused.status_code, refused.json()["field"]) == (422, "days")
    assert len(researcher.get("/api/v1/me/tokens").json()["items"]) == 1


def test_a_token_does_no_more_than_its_person(researcher: Client, admin: Client, anonymous: Client) -> None:
    """Nor after the person may do less, nor when the account is closed; signing out changes nothing for programs."""
    headers = by(make(researcher)["token"])
    assert anonymous.get("/api/v1/users", headers=headers).status_code == 403
    assert researcher.delete("/api/v1/session").status_code == 204
    assert anonymous.get("/api/v1/datasets", headers=headers).status_code == 200
    assert admin.patch(f"/api/v1/members/{researcher.user.id}", json={"role": "annotator"}).status_code == 200
    assert anonymous.get("/api/v1/runs", headers=headers).status_code == 403
    assert admin.patch(f"/api/v1/users/{researcher.user.id}", json={"active": False}).status_code == 200
    assert anonymous.get("/api/v1/me", headers=headers).status_code == 401


def test_a_limited_token_lets_nobody_in(make_client: Callable[..., Client], anonymous: Client) -> None:
    """Whoever has an owner's token for one project cannot turn it into an account that is an owner there."""
    owner = make_client(Role.owner)
    project = owner.get("/api/v1/me").json()["project"]["id"]
    wanted = {"hint": "me", "role": "owner", "days": 7}
    limited, free = by(make(owner, project_id=project)["token"]), by(make(owner)["token"])
    assert anonymous.get("/api/v1/invitations", headers=limited).status_code == 200
    assert anonymous.post("/api/v1/invitations", headers=limited, json=wanted).status_code == 403
    assert anonymous.post("/api/v1/invitations", headers=free, json=wanted).status_code == 201


def test_tokens_elsewhere_than_in_the_header(researcher: Client, anonymous: Client) -> None:
    """An address ends up in logs and histories: a token there, in a cookie or by another scheme is none."""
    token = make(researcher)["token"]
    for address in (
        f"/api/v1/me?token={token}",
        f"/api/v1/me?access_token={token}",
        f"/api/v1/me?authorization={token}",
    ):
        assert anonymous.get(address).status_code == 401
    for header in (f"Basic {token}", token, f"Token {token}", "Bearer", "Bearer  ", f"Bearer {token} more"):
        assert anonymous.get("/api/v1/me", headers={"authorization": header}).status_code == 401
    anonymous.cookies.set("plumbline_session", token, domain="localhost.local")
    assert anonymous.get("/api/v1/me").status_code == 401


def test_strange_tokens_are_just_wrong(anonymous: Client) -> None:
    """Neither length nor content of what is sent as a token reaches the database or a trace."""
    for strange in ("plb_" + "a" * 60_000, "plb_\x01", "plb_' OR 1=1 --", "plb_%00", "\xff" * 40):
        headers = {b"authorization": f"Bearer {strange}".encode("latin-1")}
        answer = anonymous.get("/api/v1/me", headers=headers)
        assert answer.status_code == 401


def test_a_token_that_expires_lets_nobody_in(admin: Client, anonymous: Client) -> None:
    """What would stay open after its end is closed to it: accounts, passwords, invitations; reading them is not."""
    headers = by(make(admin, days=1)["token"])
    assert anonymous.get("/api/v1/users", headers=headers).status_code == 200
    for method, path, body in [
        ("POST", "/api/v1/users", {"name": "back-door", "admin": True}),
        ("PATCH", f"/api/v1/users/{admin.user.id}", {"admin": True}),
        ("POST", f"/api/v1/users/{admin.user.id}/password-reset", {}),
        ("POST", "/api/v1/invitations", {"role": "owner"}),
    ]:
        refused = anonymous.request(method, path, headers=headers, json=body)
        assert (refused.status_code, "expires" in refused.json()["detail"]) == (403, True), path
    lasting = by(make(admin)["token"])
    assert anonymous.post("/api/v1/users", headers=lasting, json={"name": "colleague"}).status_code == 201


def test_limits_that_are_none(researcher: Client) -> None:
    """Days and what a token may be are checked."""
    for wrong in (
        {"days": 0},
        {"days": -1},
        {"days": 4000},
        {"days": 1.5},
        {"read_only": "perhaps"},
        {"role": "admin"},
    ):
        assert researcher.post("/api/v1/me/tokens", json={"name": "x", **wrong}).status_code == 422, wrong


def test_the_log_names_the_limits(researcher: Client) -> None:
    """Who reads the audit log sees what a token could do, and never the token."""
    made = make(researcher, days=7, read_only=True)
    with transaction() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.noun == "token")).one()
    assert (event.detail["read_only"], event.detail["expires_at"][:10]) == (True, made["expires_at"][:10])
    assert made["token"] not in str(event.detail)
