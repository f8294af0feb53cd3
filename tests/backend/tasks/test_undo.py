"""Undo and renewal give nobody more than a task wants, nothing to whom it is not for, and touch answers alone."""

import uuid
from collections.abc import Callable

from sqlalchemy import func, select

from backend.accounts.models import Role
from backend.datasets.models import Item
from backend.db import transaction
from backend.labels import service
from backend.labels.models import Lease
from backend.tasks.models import Task
from tests.backend.labels.conftest import MakePairs, send, stored
from tests.backend.tasks.conftest import API, deal, make_task
from tests.conftest import Client

MakeClient = Callable[..., Client]


def test_no_second_lease(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A skip that is taken back brings no card while somebody else holds the item for the one label that is wanted."""
    task = make_task(researcher, make_pairs(1))
    one, two = make_client(Role.annotator), make_client(Role.annotator)
    (card,) = deal(one, task)
    skipped = send(one, card, {"skip": ""})["label"]
    (theirs,) = deal(two, task)
    answers = [one.post(f"{API}/labels/{skipped['id']}/undo") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json()["card"] for answer in answers] == [None, None]
    assert [label.value for label in stored(card)] == [{"skip": ""}, {"retracted": True}]
    with transaction() as session:
        live = session.scalars(select(Lease.annotator_id).where(Lease.expires_at > func.now())).all()
    assert live == [two.user.id]
    assert send(two, theirs)["late"] is False


def test_other_peoples_task(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Who is named in a task no longer is handed nothing of it, by renewing or by undoing; their label stays."""
    one, two = make_client(Role.annotator), make_client(Role.annotator)
    task = make_task(researcher, make_pairs(2), people=[str(one.user.id)])
    first, second = deal(one, task, 2)
    label = send(one, first)["label"]
    researcher.patch(f"{API}/tasks/{task['id']}", json={"people": [str(two.user.id)]})

    for path in (f"leases/{second['lease']}/renew", f"labels/{label['id']}/undo"):
        refused = one.post(f"{API}/{path}")
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/NotYours")
    assert len(stored(first)) == 1


def test_a_vote_is_no_answer(annotator: Client, make_pairs: MakePairs) -> None:
    """A vote is not taken back as if it answered a task, and no task comes of trying."""
    dataset = make_pairs(1)
    with transaction() as session:
        item = session.scalars(select(Item).where(Item.dataset_id == dataset)).one()
        vote = service.add_vote(
            session, item, {"strength": 1}, annotator_id=annotator.user.id, verdict_id=uuid.uuid4(), swapped=False
        )
    refused = annotator.post(f"{API}/labels/{vote.id}/undo")

    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/NotUndone")
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(Task)) == 0
