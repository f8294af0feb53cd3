"""Members: their roles, who changes them, and what leaving ends."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from backend.accounts.models import Role
from backend.db import transaction
from backend.labels.models import Label, Lease
from backend.projects import members
from backend.projects.models import Membership, Project
from tests import loop
from tests.backend.projects.conftest import MakeClient, in_project
from tests.conftest import Client

MEMBERS = "/api/v1/members"


def roles(client: Client) -> dict[str, str]:
    return {one["name"]: one["role"] for one in client.get(MEMBERS).json()["items"]}


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_signed_out_and_lesser_roles(
    anonymous: Client, researcher: Client, annotator: Client, admin: Client, method: str
) -> None:
    """Everybody in a project sees who else is; owners change it; adding an account by name is an admin's."""
    path = MEMBERS if method in {"GET", "POST"} else f"{MEMBERS}/{admin.user.id}"
    body = {"name": "ada", "role": "owner"} if method == "POST" else {"role": "owner"}
    json = body if method in {"POST", "PATCH"} else None

    assert anonymous.request(method, path, json=json).status_code == 401
    for client in (researcher, annotator):
        assert client.request(method, path, json=json).status_code == (200 if method == "GET" else 403)


def test_owners_and_adding_by_name(owner: Client, admin: Client, make_client: MakeClient, beta: Project) -> None:
    """An owner cannot learn who has an account; an admin puts people in, once."""
    make_client(Role.annotator, "rita", project=beta)
    body = {"name": "Rita", "role": "researcher"}

    assert owner.post(MEMBERS, json=body).status_code == 403
    assert admin.post(MEMBERS, json=body).json()["role"] == "researcher"
    assert admin.post(MEMBERS, json=body).status_code == 409
    assert admin.post(MEMBERS, json={"name": "nobody", "role": "researcher"}).status_code == 404
    assert admin.post(MEMBERS, json={"name": "rita", "role": "admin"}).status_code == 422
    assert roles(owner)["rita"] == "researcher"


def test_change_a_role(owner: Client, annotator: Client) -> None:
    """It counts from the next request on."""
    assert annotator.get("/api/v1/runs").status_code == 403
    changed = owner.patch(f"{MEMBERS}/{annotator.user.id}", json={"role": "researcher"})
    assert changed.json()["role"] == "researcher"
    assert annotator.get("/api/v1/runs").status_code == 200
    assert owner.patch(f"{MEMBERS}/{annotator.user.id}", json={"role": "admin"}).status_code == 422


def test_members_of_other_projects(owner: Client, make_client: MakeClient, beta: Project) -> None:
    """An owner of one project reaches nobody of another."""
    other = make_client(Role.annotator, project=beta)

    for user_id in (other.user.id, uuid.uuid4()):
        assert owner.patch(f"{MEMBERS}/{user_id}", json={"role": "owner"}).status_code == 404
        assert owner.delete(f"{MEMBERS}/{user_id}").status_code == 404
    assert other.user.name not in roles(owner)
    assert owner.get(MEMBERS, headers=in_project(beta)).status_code == 403


def test_the_last_owner_stays(owner: Client, admin: Client, make_client: MakeClient) -> None:
    """Neither by leaving nor by a lesser role, nor by an admin's hand is a project without an owner."""
    url = f"{MEMBERS}/{owner.user.id}"
    for client in (owner, admin):
        assert client.delete(url).status_code == 409
        assert client.patch(url, json={"role": "researcher"}).status_code == 409
    second = make_client(Role.owner)

    assert owner.delete(url).status_code == 204
    assert owner.get(MEMBERS).status_code == 403
    assert second.delete(f"{MEMBERS}/{second.user.id}").status_code == 409


def test_two_owners_leave_at_once(make_client: MakeClient, tour: Project) -> None:
    """One of them stays, whoever is first, and neither waits for ever."""
    both = [make_client(Role.owner) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: one.delete(f"{MEMBERS}/{one.user.id}").status_code, both))

    assert sorted(answers) == [204, 409]


def test_two_owners_remove_each_other(make_client: MakeClient, tour: Project) -> None:
    """The second finds that it is no member any more."""
    one, two = (make_client(Role.owner) for _ in range(2))
    pairs = [(one, two), (two, one)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda pair: pair[0].delete(f"{MEMBERS}/{pair[1].user.id}").status_code, pairs))

    assert sorted(answers) == [204, 403]


def cards(client: Client, dataset_id: uuid.UUID, n: int = 3) -> list[dict[str, str]]:
    answer = client.post(f"/api/v1/datasets/{dataset_id}/cards", json={"n": n, "holding": []})
    return list(answer.json()["cards"]) if answer.status_code == 200 else []


def judge(client: Client, card: dict[str, str]) -> tuple[int, str]:
    body = {"client_id": str(uuid.uuid4()), "lease": card["lease"], "value": {"strength": 2}, "seconds": 1.0}
    answer = client.post(f"/api/v1/items/{card['item_id']}/labels", json=body)
    return answer.status_code, answer.json().get("title", "")


@pytest.fixture
def unlabelled(tour: Project) -> Callable[[int], uuid.UUID]:
    from backend.datasets import service as datasets

    def make(count: int) -> uuid.UUID:
        with transaction() as session:
            items = [replace(item, labels=[]) for item in loop.pairs(count)]
            return datasets.create_from_items(session, tour, "Pairs", items).id

    return make


def test_removed_while_labelling(
    owner: Client, annotator: Client, make_client: MakeClient, unlabelled: Callable[[int], uuid.UUID]
) -> None:
    """What was judged stays, what was held is free at once, and the next submit says what happened."""
    dataset = unlabelled(3)
    held = cards(annotator, dataset)
    assert judge(annotator, held[0])[0] == 201
    other = make_client(Role.annotator)
    assert len(cards(other, dataset)) == 0

    assert owner.delete(f"{MEMBERS}/{annotator.user.id}").status_code == 204
    assert judge(annotator, held[1]) == (403, "Not in this project")
    assert annotator.post(f"/api/v1/leases/{held[1]['lease']}/renew").status_code == 403
    assert {card["item_id"] for card in cards(other, dataset)} == {card["item_id"] for card in held[1:]}
    with transaction() as session:
        assert session.scalar(select(func.count()).where(Label.annotator_id == annotator.user.id)) == 1


def test_removed_in_the_middle_of_a_burst(
    owner: Client, annotator: Client, unlabelled: Callable[[int], uuid.UUID]
) -> None:
    """Every submit is either stored whole or refused whole; nothing is leased to the one who is out."""
    held = cards(annotator, unlabelled(24), 20)
    url = f"{MEMBERS}/{annotator.user.id}"
    with ThreadPoolExecutor(5) as pool:
        before = list(pool.map(lambda card: judge(annotator, card), held[:8]))
        submitted = [pool.submit(judge, annotator, card) for card in held[8:14]]
        removed = pool.submit(owner.delete, url)
        submitted += [pool.submit(judge, annotator, card) for card in held[14:]]
    answers = [*before, *(one.result() for one in submitted)]

    assert removed.result().status_code == 204
    assert {status for status, _ in answers} <= {201, 403}
    stored = sum(status == 201 for status, _ in answers)
    own = Lease.annotator_id == annotator.user.id, Lease.expires_at > func.now()
    with transaction() as session:
        assert session.scalar(select(func.count()).where(Label.annotator_id == annotator.user.id)) == stored
        assert session.scalar(select(func.count()).select_from(Lease).where(*own)) == 0


def test_removal_waits_for_what_is_being_done(owner: Client, annotator: Client, tour: Project) -> None:
    """A change that has begun is finished before its author is out."""
    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            members.place(session, annotator.user, None, None, lock=True)
            removed = pool.submit(owner.delete, f"{MEMBERS}/{annotator.user.id}")
            with pytest.raises(TimeoutError):
                removed.result(timeout=0.5)
        assert removed.result(timeout=10).status_code == 204
    with transaction() as session:
        assert session.scalar(select(Membership.id).where(Membership.user_id == annotator.user.id)) is None


def test_a_removed_member_loses_arena_and_tokens(
    owner: Client, make_client: MakeClient, anonymous: Client, tour: Project
) -> None:
    """A token of the project is revoked, so that it opens nothing after a return either."""
    member = make_client(Role.researcher)
    made = member.post("/api/v1/me/tokens", json={"name": "ci", "project_id": str(tour.id)}).json()
    headers = {"authorization": f"Bearer {made['token']}"}
    assert anonymous.get("/api/v1/runs", headers=headers).status_code == 200

    assert owner.delete(f"{MEMBERS}/{member.user.id}").status_code == 204
    assert member.get("/api/v1/arena/battles").status_code == 403
    assert anonymous.get("/api/v1/runs", headers=headers).status_code == 401
