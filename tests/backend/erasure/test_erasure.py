"""A person's data: their copy holds all of it and no secrets; removed, nothing names them and nothing else changes."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import ScalarResult, func, inspect, literal_column, select, table, text

from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.audit import service as audit
from backend.audit.models import AuditEvent
from backend.datasets.models import Item, SnapshotLabel
from backend.db import Base, get_engine, transaction
from backend.identities import service as identities
from backend.labels import tallies
from backend.labels.models import Label, LabelSource
from backend.projects import service as projects
from tests import loop
from tests.conftest import Client

WORDS = "because it answers kindly"


@pytest.fixture
def mira(make_client: Callable[..., Client]) -> Client:
    """Somebody who has left traces everywhere: labels with reasons, a token, an identity, sign-ins, audit events."""
    client = make_client(Role.researcher, "mira@example.org")
    loop.add_dataset(4)
    with transaction() as session:
        project = projects.default(session)
        for item in session.scalars(select(Item).order_by(Item.position).limit(3)):
            session.add(
                Label(
                    project_id=project.id,
                    item_id=item.id,
                    dataset_id=item.dataset_id,
                    annotator_id=client.user.id,
                    swapped=True,
                    source=LabelSource.person,
                    value={"strength": 2},
                    rationale=WORDS,
                    seconds=3.5,
                )
            )
        tallies.recount(session, session.scalars(select(Item.dataset_id).distinct()).all())
        user = session.get_one(User, client.user.id)
        identities.expect(session, user, "mira@example.org")
        audit.record(session, user, None, "fail", "sign-in", ip="192.0.2.77")
        audit.record(session, None, project.id, "add", "member", user.id, {"name": user.name, "role": "researcher"})
    assert client.post("/api/v1/me/tokens", json={"name": "laptop"}).status_code == 201
    return client


def body(**changes: str) -> dict[str, str]:
    return {"confirm": "mira@example.org", "judgements": "keep", "free_text": "delete", **changes}


def erase(client: Client, person: Client, **changes: str) -> Any:
    return client.post(f"/api/v1/users/{person.user.id}/erase", json=body(**changes))


def everything() -> str:
    """The text of every row of every table."""
    with get_engine().connect() as connection:
        names = [table.name for table in Base.metadata.sorted_tables]
        assert set(names) <= set(inspect(connection).get_table_names())
        texts: list[ScalarResult[str]] = [
            connection.scalars(select(literal_column(f'"{name}"::text')).select_from(table(name))) for name in names
        ]
        return "\n".join(str(row) for rows in texts for row in rows)


def count(table: type[Any], *where: Any) -> int:
    with transaction() as session:
        return session.scalar(select(func.count()).select_from(table).where(*where)) or 0


def test_who_may(anonymous: Client, mira: Client, admin: Client) -> None:
    """Everybody gets their own data; only admins look at or remove that of others."""
    paths = f"/api/v1/users/{admin.user.id}"
    assert anonymous.get("/api/v1/me/data").status_code == 401
    for client, status in ((anonymous, 401), (mira, 403)):
        assert client.get(f"{paths}/data").status_code == status
        assert client.post(f"{paths}/erase", json=body()).status_code == status
    assert admin.get(f"/api/v1/users/{uuid.uuid4()}/data").status_code == 404
    assert admin.post(f"/api/v1/users/{uuid.uuid4()}/erase", json=body()).status_code == 404


def test_own_copy(mira: Client, admin: Client) -> None:
    """The copy is JSON with all that is held, judged as it was seen; no hash, nobody else's rows."""
    answer = mira.get("/api/v1/me/data")
    data = json.loads(answer.text)
    assert "attachment" in answer.headers["content-disposition"]
    assert data["account"]["name"] == "mira@example.org"
    assert [(one["value"], one["rationale"]) for one in data["labels"]] == [({"strength": -2}, WORDS)] * 3
    assert [one["name"] for one in data["tokens"]] == ["laptop"]
    assert [one["project"] for one in data["projects"]] == ["Tour"]
    assert len(data["sessions"]) == len(data["identities"]) == 1
    assert "192.0.2.77" in answer.text
    assert "hash" not in answer.text
    assert json.loads(admin.get("/api/v1/me/data").text)["labels"] == []


def test_preview(mira: Client, admin: Client) -> None:
    """Before anything is removed its numbers are told, and what stays."""
    with transaction() as session:
        label = session.scalars(select(Label.id).where(Label.annotator_id == mira.user.id).limit(1)).one()
        found = loop.add_dataset(1)
        session.execute(
            text(
                "INSERT INTO snapshots (project_id, dataset_id, hash, kind, policy, counts, path)"
                " SELECT project_id, id, 'x', 'paired', '{}', '{}', 'x' FROM datasets WHERE id = :id"
            ),
            {"id": found.id},
        )
        frozen = session.execute(text("SELECT id FROM snapshots")).scalar_one()
        session.add(SnapshotLabel(snapshot_id=frozen, label_id=label))
    held = admin.get(f"/api/v1/users/{mira.user.id}/data").json()
    stays = held.pop("stays")
    assert held == {
        "name": "mira@example.org",
        "labels": 3,
        "rationales": 3,
        "verdicts": 0,
        "battles": 0,
        "frozen_labels": 1,
        "sessions": 1,
        "tokens": 1,
        "identities": 1,
        "memberships": 1,
        "audit_events": 2,
    }
    assert any("backups" in sentence for sentence in stays)
    assert any("Checkpoints" in sentence for sentence in stays)


def test_made_nameless(mira: Client, admin: Client) -> None:
    """Labels stay under another name; no row anywhere holds the name, the address or the reasons; no way leads in."""
    others = count(Label, Label.annotator_id.is_(None))
    answer = erase(admin, mira)
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == "removed person 1"
    assert answer.json()["removed"] | {"kept_answers": 0} == {
        "sessions": 1,
        "tokens": 1,
        "identities": 1,
        "memberships": 1,
        "leases": 0,
        "kept_answers": 0,
        "rationales": 3,
        "battles": 0,
    }
    left = everything()
    for trace in ("mira@example.org", "192.0.2.77", WORDS):
        assert trace not in left
    assert count(Label, Label.annotator_id == mira.user.id) == 3
    assert count(Label, Label.annotator_id.is_(None)) == others
    assert mira.get("/api/v1/me").status_code == 401
    with transaction() as session, pytest.raises(accounts.WrongPassword):
        accounts.sign_in(session, "removed person 1", "-")


def test_deleted(mira: Client, admin: Client) -> None:
    """Labels go if so asked, and only the person's; free text stays if so asked."""
    others = count(Label, Label.annotator_id.is_(None))
    removed = erase(admin, mira, judgements="delete", free_text="keep").json()["removed"]
    assert (removed["labels"], removed["verdicts"]) == (3, 0)
    assert "rationales" not in removed
    assert count(Label) == others


def test_told_in_the_log(mira: Client, admin: Client) -> None:
    """That it was done is told, without the name; the other events stay, and stay unchangeable."""
    before = count(AuditEvent)
    erase(admin, mira)
    events = admin.get("/api/v1/audit", params={"scope": "instance"}).json()["items"]
    assert count(AuditEvent) == before + 1
    assert (events[0]["action"], events[0]["noun_id"]) == ("erase", str(mira.user.id))
    assert {event["user"] for event in events} == {admin.user.name, "removed person 1", None}


def test_refused(mira: Client, admin: Client, make_client: Callable[..., Client]) -> None:
    """Not without the name typed, not oneself, not twice; and what is refused changes nothing."""
    before = everything()
    assert erase(admin, mira, confirm="somebody else").json()["field"] == "confirm"
    assert erase(admin, mira, judgements="maybe").status_code == 422
    assert erase(admin, admin, confirm=admin.user.name).status_code == 409
    assert everything() == before
    assert erase(admin, mira, confirm=" MIRA@example.org ").status_code == 200
    assert erase(admin, mira, confirm="removed person 1").status_code == 409
    other = make_client(Role.annotator, "noor")
    assert erase(admin, other, confirm="noor").json()["name"] == "removed person 2"
