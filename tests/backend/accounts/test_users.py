"""The admin's list of people."""

import uuid

import pytest

from tests.conftest import Client

ROUTES = [("GET", "/users"), ("POST", "/users"), ("PATCH", "/users/{id}"), ("POST", "/users/{id}/password-reset")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_signed_out_and_wrong_role(
    anonymous: Client, annotator: Client, researcher: Client, method: str, path: str
) -> None:
    """Only admins manage people."""
    url = "/api/v1" + path.format(id=annotator.user.id)
    body = {"name": "eve", "admin": True} if path == "/users" else {"admin": True}
    json = body if method != "GET" else None

    assert anonymous.request(method, url, json=json).status_code == 401
    assert annotator.request(method, url, json=json).status_code == 403
    assert researcher.request(method, url, json=json).status_code == 403


def test_add_and_sign_in(admin: Client, anonymous: Client) -> None:
    """A new person signs in with the password that was shown once."""
    made = admin.post("/api/v1/users", json={"name": "Noor"}).json()
    assert "password" not in admin.get("/api/v1/users").json()["items"][0]

    answer = anonymous.post("/api/v1/session", json={"name": "noor", "password": made["password"]})
    assert answer.status_code == 200
    assert answer.json()["admin"] is False


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "<script>"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "kim", "admin": "very"}, "admin"),
        ({"name": "kim", "active": True}, "active"),
    ],
)
def test_bad_people(admin: Client, body: dict[str, object], field: str) -> None:
    """What cannot be a person is refused with the field named."""
    answer = admin.post("/api/v1/users", json=body)

    assert answer.status_code == 422
    assert answer.json()["field"] == field


def test_name_taken(admin: Client) -> None:
    body = {"name": "noor"}
    assert admin.post("/api/v1/users", json=body).status_code == 201
    assert admin.post("/api/v1/users", json=body).status_code == 409


def test_last_admin_stays(admin: Client) -> None:
    """There is always somebody who can let others in."""
    url = f"/api/v1/users/{admin.user.id}"

    assert admin.patch(url, json={"active": False}).status_code == 409
    assert admin.patch(url, json={"admin": False}).status_code == 409
    assert admin.get("/api/v1/me").json()["admin"] is True


def test_reset(admin: Client, annotator: Client) -> None:
    """A reset gives a new password and ends the sessions of the old one."""
    new = admin.post(f"/api/v1/users/{annotator.user.id}/password-reset").json()["password"]

    assert annotator.get("/api/v1/me").status_code == 401
    body = {"name": annotator.user.name, "password": new}
    assert annotator.post("/api/v1/session", json=body).status_code == 200


def test_reset_revokes_tokens(admin: Client, annotator: Client, anonymous: Client) -> None:
    """After a reset the person's API tokens open nothing; those of others do."""
    tokens = [client.post("/api/v1/me/tokens", json={"name": "ci"}).json()["token"] for client in (annotator, admin)]
    assert admin.post(f"/api/v1/users/{annotator.user.id}/password-reset").status_code == 200

    seen = [anonymous.get("/api/v1/me", headers={"authorization": f"Bearer {token}"}).status_code for token in tokens]
    assert seen == [401, 200]


def test_unknown(admin: Client) -> None:
    assert admin.patch(f"/api/v1/users/{uuid.uuid4()}", json={"admin": True}).status_code == 404
