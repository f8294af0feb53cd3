"""Withdrawing an item and bringing it back: who may, what is kept, and what it is told by."""

import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from backend.accounts.models import Role
from backend.audit.models import AuditEvent
from backend.datasets.models import Item
from backend.db import transaction
from backend.labels.models import Lease
from backend.projects.models import Project
from tests.backend.labels.conftest import MakePairs, send, take
from tests.conftest import Client

MakeClient = Callable[..., Client]


def items_of(dataset: uuid.UUID) -> list[uuid.UUID]:
    with transaction() as session:
        return list(session.scalars(select(Item.id).where(Item.dataset_id == dataset).order_by(Item.position)))


def test_signed_out(anonymous: Client, make_pairs: MakePairs) -> None:
    (item,) = items_of(make_pairs(1))

    for path in ("", "/history"):
        assert anonymous.get(f"/api/v1/items/{item}{path}").status_code == 401
    for verb in ("withdraw", "restore"):
        assert anonymous.post(f"/api/v1/items/{item}/{verb}", json={"reason": "a"}).status_code == 401


def test_somebody_elses(annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Annotators withdraw nothing; an item of another project is as missing as one that never was."""
    (item,) = items_of(make_pairs(1))
    with transaction() as session:
        elsewhere = Project(name="Elsewhere")
        session.add(elsewhere)
        session.flush()
    stranger = make_client(Role.researcher, project=elsewhere)

    assert annotator.get(f"/api/v1/items/{item}").status_code == 403
    for verb in ("withdraw", "restore"):
        assert annotator.post(f"/api/v1/items/{item}/{verb}", json={"reason": "a"}).status_code == 403
        assert stranger.post(f"/api/v1/items/{item}/{verb}", json={"reason": "a"}).status_code == 404
    for path in ("", "/history"):
        assert stranger.get(f"/api/v1/items/{item}{path}").status_code == 404
        assert stranger.get(f"/api/v1/items/{uuid.uuid4()}{path}").status_code == 404


def test_withdrawn_and_restored(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """It is gone and comes back with every label; both are in the item's history and in the audit log."""
    dataset = make_pairs(2)
    (card,) = take(annotator, dataset)
    send(annotator, card)
    path = f"/api/v1/items/{card['item_id']}"

    gone = researcher.post(f"{path}/withdraw", json={"reason": " a phone number \n"}).json()
    assert gone["withdrawn_at"] is not None
    assert gone["withdrawn_reason"] == "a phone number"
    assert researcher.get(path).json() == gone

    back = researcher.post(f"{path}/restore", json={}).json()
    assert (back["withdrawn_at"], back["withdrawn_reason"]) == (None, None)
    assert len(back["labels"]) == len(gone["labels"]) == 2  # the imported one and the person's
    events = [(one["kind"], one["by"], one["text"]) for one in researcher.get(f"{path}/history").json()["items"]]
    name = researcher.user.name
    assert events[:2] == [("restored", name, None), ("withdrawn", name, "a phone number")]
    with transaction() as session:
        audited = select(AuditEvent.action).where(AuditEvent.noun == "item").order_by(AuditEvent.id)
        assert session.scalars(audited).all() == ["withdraw", "restore"]


def test_a_lease_ends_with_it(
    researcher: Client, annotator: Client, make_client: MakeClient, make_pairs: MakePairs
) -> None:
    """Nobody keeps what is withdrawn: the lease has run out, and its holder alone is told so by name."""
    dataset = make_pairs(2)
    (card, _) = take(annotator, dataset, 2)
    withdrawn = f"/api/v1/tasks/{card['task_id']}/withdrawn"
    assert annotator.get(withdrawn).json()["items"] == []

    researcher.post(f"/api/v1/items/{card['item_id']}/withdraw", json={"reason": "twice the same"})

    with transaction() as session:
        lease = session.scalars(select(Lease).where(Lease.token == uuid.UUID(card["lease"]))).one()
        item = session.get_one(Item, lease.item_id)
        assert item.withdrawn_at is not None
        assert lease.expires_at <= item.withdrawn_at
    assert annotator.get(withdrawn).json()["items"] == [{"item_id": card["item_id"]}]
    assert make_client(Role.annotator).get(withdrawn).json()["items"] == []
    renewed = annotator.post(f"/api/v1/leases/{card['lease']}/renew")
    assert (renewed.status_code, renewed.json()["type"]) == (409, "/problems/Withdrawn")


def test_twice(researcher: Client, make_pairs: MakePairs) -> None:
    """What is so already is refused by name, and nothing is written."""
    (item,) = items_of(make_pairs(1))

    assert researcher.post(f"/api/v1/items/{item}/restore", json={}).json()["type"] == "/problems/NotWithdrawn"
    assert researcher.post(f"/api/v1/items/{item}/withdraw", json={"reason": "a"}).status_code == 200
    again = researcher.post(f"/api/v1/items/{item}/withdraw", json={"reason": "b"})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/AlreadyWithdrawn")
    assert researcher.get(f"/api/v1/items/{item}").json()["withdrawn_reason"] == "a"


def test_a_reason_is_wanted(researcher: Client, make_pairs: MakePairs) -> None:
    """Nothing, blanks, too much and what Postgres cannot hold are no reasons."""
    (item,) = items_of(make_pairs(1))

    reasons: list[Any] = ["", "  ", "a" * 501, "a\x00b", 1, None]
    for bad in [{}, *({"reason": reason} for reason in reasons)]:
        answer = researcher.post(f"/api/v1/items/{item}/withdraw", json=bad)
        assert answer.status_code == 422, bad
    assert researcher.get(f"/api/v1/items/{item}").json()["withdrawn_at"] is None
