"""Invitations: a link opens once, for one person, while it is open, and says why it does not."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from backend.accounts.models import Role, User
from backend.db import transaction
from backend.projects.models import Invitation, Membership, Project
from backend.settings import get_settings
from backend.work import now
from tests.backend.projects.conftest import MakeClient, in_project
from tests.conftest import Client

INVITATIONS, LOOK, ACCEPT = "/api/v1/invitations", "/api/v1/invitation/look", "/api/v1/invitation/accept"
PASSWORD = "a long enough one"


def invite(client: Client, **changes: object) -> str:
    made = client.post(INVITATIONS, json={"hint": "Noor", "role": "annotator"} | changes)
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_signed_out_and_lesser_roles(anonymous: Client, researcher: Client, annotator: Client, method: str) -> None:
    """Owners invite."""
    path = f"{INVITATIONS}/{uuid.uuid4()}" if method == "DELETE" else INVITATIONS
    json = {"hint": "Noor", "role": "annotator"} if method == "POST" else None

    assert anonymous.request(method, path, json=json).status_code == 401
    for client in (researcher, annotator):
        assert client.request(method, path, json=json).status_code == 403


def test_a_new_person_joins(owner: Client, anonymous: Client, tour: Project) -> None:
    """They choose name and password, are signed in at once and in the project, as what the link says; once."""
    token = invite(owner, role="researcher")
    offer = anonymous.post(LOOK, json={"token": token}).json()
    assert (offer["project"], offer["role"], offer["signed_in_as"]) == ("Tour", "researcher", None)

    joined = anonymous.post(ACCEPT, json={"token": token, "name": "Noor", "password": PASSWORD})
    assert joined.status_code == 200, joined.text
    assert anonymous.get("/api/v1/me").json()["project"]["role"] == "researcher"
    assert anonymous.get("/api/v1/users").status_code == 403
    again = anonymous.post(ACCEPT, json={"token": token, "name": "eve", "password": PASSWORD})
    assert (again.status_code, again.json()["title"]) == (410, "Invitation already used")
    (row,) = owner.get(INVITATIONS).json()["items"]
    assert (row["state"], row["accepted_by"]) == ("accepted", "noor")


def test_somebody_with_an_account_joins(owner: Client, make_client: MakeClient, beta: Project, tour: Project) -> None:
    """The person signed in joins as themselves, and is brought to the project."""
    guest = make_client(Role.owner, project=beta)
    token = invite(owner)

    assert guest.post(LOOK, json={"token": token}).json()["signed_in_as"] == guest.user.name
    assert guest.post(ACCEPT, json={"token": token}).json()["project"] == "Tour"
    assert guest.get("/api/v1/me").json()["project"] == {
        "id": str(tour.id), "name": "Tour", "role": "annotator", "archived": False,
    }  # fmt: skip


def test_a_member_does_not_use_it_up(owner: Client, annotator: Client) -> None:
    """Whoever is in already is told so, keeps the role, and the link stays open for whom it is meant."""
    token = invite(owner, role="owner")
    assert annotator.post(ACCEPT, json={"token": token}).status_code == 409
    assert annotator.get("/api/v1/me").json()["project"]["role"] == "annotator"
    assert owner.get(INVITATIONS).json()["items"][0]["state"] == "open"


def test_closed_links_say_why(owner: Client, make_client: MakeClient, admin: Client, anonymous: Client) -> None:
    """Expired, taken back, and made by somebody who may no longer invite."""
    second = make_client(Role.owner)
    expired, revoked, orphaned = invite(owner), invite(owner), invite(second)
    rows = owner.get(INVITATIONS).json()["items"]
    with transaction() as session:
        past = update(Invitation).where(Invitation.id == uuid.UUID(rows[2]["id"]))
        session.execute(past.values(expires_at=now() - timedelta(seconds=1)))
    assert owner.delete(f"{INVITATIONS}/{rows[1]['id']}").status_code == 204
    assert owner.delete(f"/api/v1/members/{second.user.id}").status_code == 204

    for token, title in (
        (expired, "Invitation expired"),
        (revoked, "Invitation revoked"),
        (orphaned, "Invitation revoked"),
    ):
        for path, body in ((LOOK, {}), (ACCEPT, {"name": "noor", "password": PASSWORD})):
            answer = anonymous.post(path, json={"token": token, **body})
            assert (answer.status_code, answer.json()["title"]) == (410, title)
    with transaction() as session:
        assert session.scalar(select(User).where(User.name == "noor")) is None


def test_an_invitation_into_a_closed_project(owner: Client, anonymous: Client, tour: Project) -> None:
    token = invite(owner)
    owner.patch(f"/api/v1/projects/{tour.id}", json={"archived": True})
    assert anonymous.post(LOOK, json={"token": token}).status_code == 410


def test_invitations_of_other_projects(owner: Client, make_client: MakeClient, beta: Project) -> None:
    """An owner sees and revokes only those of the own project."""
    other = make_client(Role.owner, project=beta)
    invite(other)
    (row,) = other.get(INVITATIONS).json()["items"]

    assert owner.get(INVITATIONS).json()["items"] == []
    assert owner.delete(f"{INVITATIONS}/{row['id']}").status_code == 404
    assert owner.delete(f"{INVITATIONS}/{row['id']}", headers=in_project(beta)).status_code == 403


def test_two_use_one_link_at_once(owner: Client, make_client: MakeClient) -> None:
    """One of them is in."""
    token = invite(owner)
    visitors = [(make_client(None), f"guest{number}") for number in range(4)]

    def accept(visitor: tuple[Client, str]) -> int:
        return visitor[0].post(ACCEPT, json={"token": token, "name": visitor[1], "password": PASSWORD}).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(accept, visitors))
    assert sorted(answers) == [200, 410, 410, 410]
    with transaction() as session:
        assert len(session.scalars(select(User).where(User.name.like("guest%"))).all()) == 1
        assert len(session.scalars(select(Membership)).all()) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "noor"}, 422),
        ({"password": PASSWORD}, 422),
        ({"name": "no or", "password": PASSWORD}, 422),
        ({"name": "noor", "password": "short"}, 422),
        ({"name": "noor", "password": PASSWORD, "role": "owner"}, 422),
        ({}, 401),
    ],
)
def test_bad_accepting(owner: Client, anonymous: Client, body: dict[str, str], status: int) -> None:
    """What cannot be an account leaves the link open."""
    token = invite(owner)
    assert anonymous.post(ACCEPT, json={"token": token, **body}).status_code == status
    assert owner.get(INVITATIONS).json()["items"][0]["state"] == "open"


@pytest.mark.parametrize(
    "changes", [{"role": "admin"}, {"days": 0}, {"days": 9999}, {"hint": " "}, {"hint": "x" * 200}]
)
def test_bad_invitations(owner: Client, changes: dict[str, object]) -> None:
    body = {"hint": "Noor", "role": "annotator"} | changes
    assert owner.post(INVITATIONS, json=body).status_code == 422


def test_a_limited_token_accepts_nothing(
    owner: Client, make_client: MakeClient, beta: Project, anonymous: Client
) -> None:
    """A token of one project does not carry its person into another."""
    guest = make_client(Role.owner, project=beta)
    bound = guest.post("/api/v1/me/tokens", json={"name": "ci", "project_id": str(beta.id)}).json()["token"]
    headers = {"authorization": f"Bearer {bound}"}
    assert anonymous.post(ACCEPT, json={"token": invite(owner)}, headers=headers).status_code == 403


def test_guessing_is_slowed_down(owner: Client, anonymous: Client) -> None:
    """Wrong links are counted by address; right ones are not."""
    token = invite(owner)
    wrong = {"token": "w" * 43}
    for _ in range(3):
        assert anonymous.post(LOOK, json={"token": token}).status_code == 200
    for _ in range(get_settings().sign_in_attempts):
        assert anonymous.post(LOOK, json=wrong).status_code == 404
    assert anonymous.post(LOOK, json=wrong).status_code == 429
    assert anonymous.post(ACCEPT, json=wrong).status_code == 429


def test_only_a_hash_is_kept(owner: Client) -> None:
    token = invite(owner)
    assert token not in owner.get(INVITATIONS).text
    with transaction() as session:
        assert token.encode() not in session.scalars(select(Invitation.token_hash)).one()
