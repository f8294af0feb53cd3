"""Signing out everywhere ends every browser session of the person and nobody else's."""

from collections.abc import Callable

from backend.accounts import service
from backend.accounts.models import User
from backend.db import transaction
from backend.deps import COOKIE
from tests.conftest import Client

MakeClient = Callable[..., Client]


def test_signed_out(anonymous: Client) -> None:
    """Nobody can end sessions without one."""
    assert anonymous.delete("/api/v1/me/sessions").status_code == 401


def test_every_session_of_the_person_ends(make_client: MakeClient) -> None:
    """The other browser of the same person is signed out too; tokens and other people stay."""
    here, elsewhere, other = make_client(), make_client(None), make_client()
    with transaction() as session:
        elsewhere.cookies.set(
            COOKIE, service.open_session(session, session.get_one(User, here.user.id)), domain="localhost.local"
        )
    token = here.post("/api/v1/me/tokens", json={"name": "script"}).json()["token"]
    assert elsewhere.get("/api/v1/me").status_code == 200

    assert here.delete("/api/v1/me/sessions").status_code == 204

    assert here.get("/api/v1/me").status_code == elsewhere.get("/api/v1/me").status_code == 401
    assert other.get("/api/v1/me").status_code == 200
    headers = {"authorization": f"Bearer {token}"}
    assert make_client(None).get("/api/v1/me", headers=headers).status_code == 200
