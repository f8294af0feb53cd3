"""Signing in, staying in, and being kept out."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from backend.accounts import service
from backend.accounts.limit import SignInLimit
from backend.accounts.models import Role, SignIn
from backend.db import transaction
from backend.errors import TooMany
from backend.settings import Settings
from backend.work import now
from tests.conftest import Client

PASSWORD = "correct horse battery"


@pytest.fixture
def person(anonymous: Client) -> str:
    with transaction() as session:
        user, _ = service.add(session, "mira", password=PASSWORD)
    return user.name


def sign_in(client: Client, name: str, password: str) -> int:
    return client.post("/api/v1/session", json={"name": name, "password": password}).status_code


def test_signed_out(anonymous: Client) -> None:
    """Without a session nobody is anybody."""
    answer = anonymous.get("/api/v1/me")

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["remedy"]


def test_right_password(anonymous: Client, person: str) -> None:
    """The right password opens a session in a cookie that scripts and other sites cannot use."""
    answer = anonymous.post("/api/v1/session", json={"name": " MIRA ", "password": PASSWORD})

    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert anonymous.get("/api/v1/me").json()["name"] == person


@pytest.mark.parametrize(("name", "password"), [("mira", "wrong"), ("nobody", PASSWORD), ("mira' OR 1=1 --", "x")])
def test_wrong(anonymous: Client, person: str, name: str, password: str) -> None:
    """Wrong names and wrong passwords get the same answer."""
    answer = anonymous.post("/api/v1/session", json={"name": name, "password": password})

    assert answer.status_code == 401
    assert answer.json()["detail"] == "The name or the password is wrong."


def test_rate_limit(anonymous: Client, person: str, settings: Settings) -> None:
    """After too many failures even the right password waits, so that guessing is slow."""
    for _ in range(settings.sign_in_attempts):
        assert sign_in(anonymous, person, "wrong") == 401

    assert sign_in(anonymous, person, PASSWORD) == 429
    assert sign_in(anonymous, "other", "wrong") == 401


def test_burst(anonymous: Client, settings: Settings) -> None:
    """Guesses that are on their way together count together: no more of them than the limit reach the password."""
    limit = SignInLimit()
    with ExitStack() as going:
        for _ in range(settings.sign_in_attempts):
            going.enter_context(limit.guard("mira", "10.0.0.1"))
        with pytest.raises(TooMany), limit.guard("Mira ", "10.0.0.1"):
            pytest.fail("one too many came through")
        with limit.guard("mira", "10.0.0.2"):
            pass
    with limit.guard("mira", "10.0.0.1"):  # none of them was wrong, so all were given back
        pass


def test_success_costs_nothing(anonymous: Client, person: str, settings: Settings) -> None:
    """Signing in again and again with the right password is never refused, and forgives no wrong one."""
    for _ in range(settings.sign_in_attempts - 1):
        assert sign_in(anonymous, person, "wrong") == 401
    for _ in range(2):
        assert sign_in(anonymous, person, PASSWORD) == 200
    assert sign_in(anonymous, person, "wrong") == 401
    assert sign_in(anonymous, person, PASSWORD) == 429


def test_sessions_end(anonymous: Client, person: str) -> None:
    """An expired session, a signed-out one and one of a closed account all open nothing."""
    assert sign_in(anonymous, person, PASSWORD) == 200
    with transaction() as session:
        session.execute(update(SignIn).values(expires_at=now() - timedelta(seconds=1)))
    assert anonymous.get("/api/v1/me").status_code == 401

    assert sign_in(anonymous, person, PASSWORD) == 200
    kept = anonymous.cookies["plumbline_session"]
    assert anonymous.delete("/api/v1/session").status_code == 204
    anonymous.cookies.set("plumbline_session", kept)
    assert anonymous.get("/api/v1/me").status_code == 401


def test_token_is_hashed(anonymous: Client, person: str) -> None:
    """The database never holds a token that opens something."""
    sign_in(anonymous, person, PASSWORD)
    with transaction() as session:
        stored = session.scalars(select(SignIn)).one().token_hash
    assert anonymous.cookies["plumbline_session"].encode() not in stored


def test_change_password(researcher: Client) -> None:
    """Changing the password needs the old one, a long new one, and ends every session; API tokens stay."""
    with transaction() as session:
        user = service.find(session, researcher.user.id)
        password = service.reset_password(session, user)
    assert sign_in(researcher, user.name, password) == 200
    token = researcher.post("/api/v1/me/tokens", json={"name": "ci"}).json()["token"]
    change = {"old": "nope", "new": "a long enough one"}

    assert researcher.post("/api/v1/me/password", json=change).status_code == 422
    assert researcher.post("/api/v1/me/password", json={"old": password, "new": "short"}).status_code == 422
    assert researcher.post("/api/v1/me/password", json=change | {"old": password}).status_code == 204
    assert researcher.get("/api/v1/me").status_code == 401
    assert researcher.get("/api/v1/me", headers={"authorization": f"Bearer {token}"}).status_code == 200
    assert sign_in(researcher, user.name, "a long enough one") == 200


def test_first_admin(clean: None) -> None:
    """The first start makes one admin with a random password; later starts make none."""
    with transaction() as session:
        first = service.first_admin(session)
    with transaction() as session:
        assert service.first_admin(session) is None

    assert first is not None
    assert first[0].admin
    assert len(first[1]) >= 16


def test_closed_account(make_client: Callable[..., Client], admin: Client) -> None:
    """Closing an account ends its sessions at once."""
    other = make_client(Role.annotator)
    assert admin.patch(f"/api/v1/users/{other.user.id}", json={"active": False}).status_code == 200
    assert other.get("/api/v1/me").status_code == 401
