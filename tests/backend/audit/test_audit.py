"""The audit log tells who did what, only grows, and tells each owner only of their own project."""

import csv
import io
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from backend.accounts import service as accounts
from backend.accounts.models import Role
from backend.audit import service
from backend.db import get_engine, transaction
from backend.projects.models import Project
from tests.conftest import Client

PASSWORD = "correct horse battery"


@pytest.fixture
def owner(make_client: Callable[..., Client]) -> Client:
    return make_client(Role.owner)


def project_id() -> uuid.UUID:
    with transaction() as session:
        return session.scalars(select(Project.id).where(Project.name == "Tour")).one()


def record(count: int = 1, action: str = "delete", detail: dict[str, Any] | None = None) -> None:
    with transaction() as session:
        for _ in range(count):
            service.record(session, None, project_id(), action, "thing", uuid.uuid4(), detail)


def events(client: Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/audit", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


@pytest.mark.parametrize("path", ["/api/v1/audit", "/api/v1/audit/kinds", "/api/v1/audit/file"])
def test_who_may_read(anonymous: Client, annotator: Client, researcher: Client, owner: Client, path: str) -> None:
    """Owners read the log of their project; the instance's is for admins."""
    assert anonymous.get(path).status_code == 401
    assert annotator.get(path).status_code == 403
    assert researcher.get(path).status_code == 403
    assert owner.get(path).status_code == 200
    assert owner.get(path, params={"scope": "instance"}).status_code == 403
    assert owner.get(path, headers={"plumbline-project": str(uuid.uuid4())}).status_code in {403, 404}


def test_other_projects_are_not_told(owner: Client, admin: Client) -> None:
    """Neither another project's events nor the instance's are in a project's log; an admin sees all."""
    with transaction() as session:
        other = Project(name="Other")
        session.add(other)
        session.flush()
        service.record(session, None, other.id, "delete", "dataset")
        service.record(session, None, None, "fail", "sign-in")
    record()
    assert [event["noun"] for event in events(owner)] == ["thing"]
    assert owner.get("/api/v1/audit/kinds").json() == {"actions": ["delete"], "nouns": ["thing"]}
    assert {event["noun"] for event in events(admin, scope="instance")} >= {"thing", "dataset", "sign-in"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_events SET action = 'x'",
        "DELETE FROM audit_events",
        "UPDATE audit_events SET user_id = uuidv7(), detail = '{}'",
    ],
)
@pytest.mark.parametrize("erasing", ["off", "on"])
def test_only_grows(clean: None, change: str, erasing: str) -> None:
    """Not even the database's owner changes or deletes an event by mistake, nor whoever removes a person's data."""
    record()
    with get_engine().connect() as connection:
        connection.execute(text(f"SET LOCAL plumbline.erasing = '{erasing}'"))
        with pytest.raises(DBAPIError, match="not changed"):
            connection.execute(text(change))


def test_no_route_writes(admin: Client) -> None:
    """Nothing but reading is offered."""
    paths = admin.get("/api/v1/openapi.json").json()["paths"]
    assert {method for path, methods in paths.items() if "audit" in path for method in methods} == {"get"}


def test_pages_and_filters(owner: Client) -> None:
    """Pages follow each other without gaps; action, person and time narrow them down."""
    record(5)
    owner.post("/api/v1/me/tokens", json={"name": "mine", "project_id": str(project_id())})
    seen, cursor = [], None
    while True:
        answer = owner.get("/api/v1/audit", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [event["id"] for event in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 6
    assert [event["noun"] for event in events(owner, action="create")] == ["token"]
    assert [event["user"] for event in events(owner, user=str(owner.user.id))] == [owner.user.name]
    assert events(owner, since="2999-01-01T00:00:00Z") == []
    assert len(events(owner, since="2020-01-01T00:00:00Z", noun="thing")) == 5


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "2020-01-01T00:00:00"},
        {"cursor": "x"},
        {"limit": 0},
        {"user": "me"},
        {"action": "a" * 65},
        {"scope": "all"},
    ],
)
def test_bad_queries(owner: Client, query: dict[str, Any]) -> None:
    """What cannot be a filter is refused, not left out."""
    assert owner.get("/api/v1/audit", params=query).status_code == 422


def test_files(owner: Client) -> None:
    """The log as a file: every event, formulas made harmless, and taking it is an event."""
    record(3, detail={"name": "<script>"})
    record(action="=HYPERLINK(1)")
    answer = owner.get("/api/v1/audit/file", params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    assert len(rows) == 5
    assert rows[1]["action"] == "'=HYPERLINK(1)"
    assert json.loads(rows[2]["detail"]) == {"name": "<script>"}
    lines = owner.get("/api/v1/audit/file", params={"format": "jsonl"}).text.splitlines()
    assert [json.loads(line)["action"] for line in lines][:3] == ["export", "export", "=HYPERLINK(1)"]


def test_sign_ins(anonymous: Client, admin: Client) -> None:
    """Sign-ins are told, also those that fail; what somebody typed as a name is not kept."""
    with transaction() as session:
        user, _ = accounts.add(session, "mira", password=PASSWORD)
    for name, password in (("mira", "wrong"), ("hunter2-my-password", "x"), ("mira", PASSWORD)):
        anonymous.post("/api/v1/session", json={"name": name, "password": password})
    found = events(admin, scope="instance", noun="sign-in")
    assert [(event["action"], event["user"], event["ip"]) for event in found] == [
        ("open", "mira", "testclient"),
        ("fail", None, "testclient"),
        ("fail", "mira", "testclient"),
    ]
    assert "hunter2" not in json.dumps(found)
    assert user.id


def test_accounts(admin: Client) -> None:
    """What an admin does to accounts, and a person to their own, is told with names and without secrets."""
    made = admin.post("/api/v1/users", json={"name": "mira"}).json()
    admin.patch(f"/api/v1/users/{made['id']}", json={"active": False})
    reset = admin.post(f"/api/v1/users/{made['id']}/password-reset").json()
    token = admin.post("/api/v1/me/tokens", json={"name": "ci"}).json()
    admin.delete(f"/api/v1/me/tokens/{token['id']}")
    found = events(admin, scope="instance")
    assert [(event["action"], event["noun"]) for event in reversed(found)] == [
        ("create", "person"),
        ("change", "person"),
        ("reset", "password"),
        ("create", "token"),
        ("revoke", "token"),
    ]
    for secret in (made["password"], reset["password"], token["token"]):
        assert secret not in json.dumps(found)


def test_with_the_deed_or_not_at_all(admin: Client) -> None:
    """A deed that is refused leaves no event."""
    admin.patch(f"/api/v1/users/{admin.user.id}", json={"admin": False})

    assert events(admin, scope="instance") == []
