"""API tokens: shown once, hashed, revocable, one's own."""

from collections.abc import Callable

from sqlalchemy import select

from backend.accounts.models import ApiToken, Role
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
