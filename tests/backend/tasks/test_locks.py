"""What happens at the same moment: nobody waits in a circle, and nobody goes by what is old when their turn comes."""

import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from backend.accounts.models import Role
from backend.datasets.models import Item
from backend.db import transaction
from backend.items import service as items
from backend.labels import leases, service, tallies
from backend.labels.models import Label, LabelSource, Lease
from backend.projects.models import Project
from backend.tasks import golds, places
from backend.tasks import service as tasks
from backend.tasks.models import Place, Share, Task
from backend.tasks.schemas import GoldIn, TaskPatch
from tests.backend.labels.conftest import MakePairs, body, send, take
from tests.backend.tasks.conftest import API, deal, make_task, progress
from tests.conftest import Client

MakeClient = Callable[..., Client]


def waits(future: Future[Any]) -> None:
    with pytest.raises(TimeoutError):
        future.result(0.5)


def one_more(dataset: uuid.UUID, judged_by: uuid.UUID | None = None) -> uuid.UUID:
    """A pair behind the others of a dataset, which a person may have judged outside of tasks."""
    with transaction() as session:
        last = session.scalars(select(Item).where(Item.dataset_id == dataset).order_by(Item.position.desc())).first()
        assert last is not None
        named = ("project_id", "dataset_id", "split", "prompt", "prompt_hash", "responses", "facts")
        same = {name: getattr(last, name) for name in named}
        item = Item(**same, position=last.position + 1, content_hash=uuid.uuid4().hex)
        session.add(item)
        session.flush()
        if judged_by:
            own = {"project_id": item.project_id, "dataset_id": dataset, "item_id": item.id, "annotator_id": judged_by}
            session.add(Label(**own, source=LabelSource.vote, value={"strength": 1}))
        return item.id


def standing(session: Session, dataset: uuid.UUID) -> Task:
    return session.scalars(select(Task).where(Task.dataset_id == dataset)).one()


def test_filling_beside_a_label(annotator: Client, make_pairs: MakePairs) -> None:
    """Who labels holds a place and then wants their share; places that are filled and counted anew take them in the
    same order."""
    dataset = make_pairs(1)
    (card,) = take(annotator, dataset)
    one_more(dataset, annotator.user.id)

    def fill() -> None:
        with transaction() as session:
            places.fill(session, standing(session, dataset))

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            places.lock(session, standing(session, dataset).id, uuid.UUID(card["item_id"]))
            filling = pool.submit(fill)
            waits(filling)
            session.execute(select(Share).with_for_update())
        filling.result(30)


def test_undoing_an_edit_beside_others(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Whoever locks what was edited and what came of it locks them by id, whichever is first."""
    dataset = make_pairs(4)
    task = make_task(researcher, dataset, question={"edits": True})
    card = max(deal(annotator, task, 4), key=lambda dealt: str(dealt["item_id"]))
    said = body(card, {"strength": 1}, edit={"response": 0, "text": "Edited."})
    label = annotator.post(f"{API}/items/{card['item_id']}/labels", json=said).json()["label"]
    with transaction() as session:
        made = session.scalars(select(Item.id).where(Item.dataset_id == dataset, Item.position == 4)).one()
    assert made < uuid.UUID(card["item_id"])  # its id tells the time, the others' are drawn

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            leases.lock(session, made)
            undoing = pool.submit(annotator.post, f"{API}/labels/{label['id']}/undo")
            waits(undoing)
            leases.lock(session, uuid.UUID(card["item_id"]))
        assert undoing.result(30).status_code == 200


@pytest.mark.parametrize("what", ["withdraw", "gold"])
def test_filling_beside_what_is_known_of_an_item(
    what: str, researcher: Client, annotator: Client, make_pairs: MakePairs
) -> None:
    """An item that is being withdrawn, or given a known answer, while it gets its place is so in that place too."""
    dataset = make_pairs(1)
    task = make_task(researcher, dataset)
    item = one_more(dataset)
    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            project = session.get_one(Project, session.get_one(Item, item).project_id)
            if what == "gold":
                golds.put(session, project, researcher.user, item, GoldIn(value={"strength": 1}, note=""))
            else:
                items.withdraw(session, project, researcher.user, item, "Wrong")
            dealing = pool.submit(deal, annotator, task, 2)
            waits(dealing)
        dealing.result(30)
    with transaction() as session:
        place = session.scalars(select(Place).where(Place.item_id == item)).one()
        assert (place.open, place.gold) == ((True, True) if what == "gold" else (False, False))


def test_removing_labels_beside_another_overlap(admin: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Somebody's labels go while their dataset is counted anew for another reason: both come to their end."""
    task = make_task(admin, make_pairs(3))
    (card,) = deal(annotator, task)
    send(annotator, card)
    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            held = tallies.hold(session, annotator.user.id)
            counting = pool.submit(admin.patch, f"{API}/tasks/{task['id']}", json={"overlap": 2})
            waits(counting)
            session.execute(delete(Label).where(Label.annotator_id == annotator.user.id))
            tallies.recount(session, held)
        assert counting.result(30).status_code == 200
    assert progress(admin, task)["labels"] == 0


def test_removing_a_person_who_labels(admin: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """A label that is on its way, with its item and place held, names the person and takes their lease meanwhile."""
    task = make_task(admin, make_pairs(2))
    first, second = deal(annotator, task, 2)
    send(annotator, first)
    person, item = annotator.user, uuid.UUID(second["item_id"])
    erasure = {"confirm": person.name, "judgements": "delete", "free_text": "delete"}
    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            held = leases.lock(session, item)
            places.lock(session, uuid.UUID(task["id"]), item)
            erasing = pool.submit(admin.post, f"{API}/users/{person.id}/erase", json=erasure)
            waits(erasing)
            own = {"project_id": held.project_id, "dataset_id": held.dataset_id, "item_id": item}
            session.add(Label(**own, annotator_id=person.id, source=LabelSource.person, value={"strength": 1}))
            session.flush()
            session.execute(update(Lease).where(Lease.item_id == item).values(expires_at=func.now()))
        assert erasing.result(30).status_code == 200


def test_a_vote_beside_another_overlap(annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A vote that waits while a task is told to want more labels leaves the place open."""
    dataset, voter = make_pairs(1), make_client(Role.annotator)
    (card,) = take(annotator, dataset)
    item_id = uuid.UUID(card["item_id"])

    def vote() -> None:
        with transaction() as session:
            item, said = session.get_one(Item, item_id), {"strength": 1}
            service.add_vote(session, item, said, annotator_id=voter.user.id, verdict_id=uuid.uuid4(), swapped=False)

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            tasks.change(session, standing(session, dataset), TaskPatch(overlap=2))
            voting = pool.submit(vote)
            waits(voting)
        voting.result(30)
    with transaction() as session:
        place = session.scalars(select(Place).where(Place.item_id == item_id)).one()
        assert (place.taken, place.open) == (1, True)


def test_withdrawing_beside_another_overlap(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """An item that is withdrawn while its task is told to want more labels is not counted as one that was done."""
    task = make_task(researcher, make_pairs(1))
    (card,) = deal(annotator, task)
    send(annotator, card)
    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            tasks.change(session, session.get_one(Task, uuid.UUID(task["id"])), TaskPatch(overlap=2))
            path = f"{API}/items/{card['item_id']}/withdraw"
            withdrawing = pool.submit(researcher.post, path, json={"reason": "Wrong"})
            waits(withdrawing)
        assert withdrawing.result(30).status_code == 200
    assert progress(researcher, task)["done"] == 0
