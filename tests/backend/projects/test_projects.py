"""Projects: made, named, archived and deleted by whom they belong to."""

import uuid

import pytest

from backend.accounts.models import Role
from backend.projects.models import Project
from tests.backend.projects.conftest import MakeClient, in_project
from tests.conftest import Client

PROJECTS = "/api/v1/projects"


def test_signed_out(anonymous: Client, tour: Project) -> None:
    for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{tour.id}"), ("PATCH", f"/{tour.id}")):
        assert anonymous.request(method, PROJECTS + path, json={"name": "X"}).status_code == 401
    assert anonymous.delete(f"{PROJECTS}/{tour.id}?name=Tour").status_code == 401


def test_a_lesser_role_and_a_stranger(
    researcher: Client, annotator: Client, owner: Client, beta: Project, tour: Project
) -> None:
    """Members read; only owners change; of somebody else's project nobody learns that it is there."""
    for client in (researcher, annotator):
        assert client.post(PROJECTS, json={"name": "Mine"}).status_code == 403
        assert client.get(f"{PROJECTS}/{tour.id}").status_code == 200
        assert client.patch(f"{PROJECTS}/{tour.id}", json={"name": "Mine"}).status_code == 403
        assert client.delete(f"{PROJECTS}/{tour.id}?name=Tour").status_code == 403
    for project_id in (beta.id, uuid.uuid4()):
        assert owner.get(f"{PROJECTS}/{project_id}").status_code == 404
        assert owner.patch(f"{PROJECTS}/{project_id}", json={"name": "Mine"}).status_code == 404
        assert owner.delete(f"{PROJECTS}/{project_id}?name=Beta").status_code == 404


def test_make_and_work_in_it(owner: Client) -> None:
    """Whoever makes a project owns it; it is empty, and Home says so without an error."""
    made = owner.post(PROJECTS, json={"name": "  Second  "})
    assert made.status_code == 201
    assert made.json()["name"] == "Second"
    there = in_project(made.json()["id"])

    home = owner.get("/api/v1/home", headers=there)
    assert home.status_code == 200
    assert (home.json()["datasets"], home.json()["checkpoints"]) == (0, 0)
    assert [one["role"] for one in owner.get("/api/v1/members", headers=there).json()["items"]] == ["owner"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_bad_names(owner: Client, tour: Project, name: str) -> None:
    assert owner.post(PROJECTS, json={"name": name}).status_code == 422
    assert owner.patch(f"{PROJECTS}/{tour.id}", json={"name": name}).status_code == 422


def test_names_of_others_are_free(owner: Client, admin: Client, beta: Project, tour: Project) -> None:
    """Two projects that a person sees differ in name; a name that only others know is free, so nothing is told."""
    assert owner.post(PROJECTS, json={"name": "tour"}).status_code == 409
    assert admin.post(PROJECTS, json={"name": "Beta"}).status_code == 409
    made = owner.post(PROJECTS, json={"name": "Beta"})
    assert made.status_code == 201
    assert owner.patch(f"{PROJECTS}/{made.json()['id']}", json={"name": "TOUR"}).status_code == 409
    assert owner.patch(f"{PROJECTS}/{tour.id}", json={"name": "TOUR"}).json()["name"] == "TOUR"


def test_an_archived_project_is_read_only(owner: Client, make_client: MakeClient, tour: Project) -> None:
    """Everything is still there to read, nothing changes, and it opens again."""
    member = make_client(Role.researcher)
    assert owner.patch(f"{PROJECTS}/{tour.id}", json={"archived": True}).json()["archived_at"]

    assert member.get("/api/v1/datasets").status_code == 200
    assert member.post("/api/v1/imports", json={}).status_code == 409
    refused = owner.post("/api/v1/invitations", json={"hint": "ada", "role": "annotator"})
    assert refused.status_code == 409
    assert refused.json()["title"] == "Project archived"
    assert owner.patch(f"/api/v1/members/{member.user.id}", json={"role": "owner"}).status_code == 409
    assert member.get("/api/v1/me").json()["project"]["archived"] is True
    upload = member.post("/api/v1/uploads?filename=a.jsonl", content=b"{}\n")
    assert upload.status_code == 409

    assert owner.patch(f"{PROJECTS}/{tour.id}", json={"archived": False}).json()["archived_at"] is None
    assert owner.post("/api/v1/invitations", json={"hint": "ada", "role": "annotator"}).status_code == 201


def test_an_open_project_comes_before_an_archived_one(owner: Client, tour: Project) -> None:
    second = owner.post(PROJECTS, json={"name": "Second"}).json()
    assert owner.get("/api/v1/me").json()["project"]["name"] == "Tour"
    owner.patch(f"{PROJECTS}/{tour.id}", json={"archived": True})
    assert owner.get("/api/v1/me").json()["project"]["id"] == second["id"]


def test_deleting_wants_the_name(owner: Client, make_client: MakeClient, tour: Project) -> None:
    """The name, exactly; afterwards the project is gone for everybody, its owner too."""
    member = make_client(Role.researcher)
    for wrong in ("tour", "Tour ", ""):
        assert owner.delete(f"{PROJECTS}/{tour.id}", params={"name": wrong}).status_code == 422
    assert owner.get("/api/v1/datasets").status_code == 200

    assert owner.delete(f"{PROJECTS}/{tour.id}", params={"name": "Tour"}).status_code == 202
    assert owner.get("/api/v1/me").json()["projects"] == []
    assert member.get("/api/v1/datasets", headers=in_project(tour)).status_code == 403
    assert owner.delete(f"{PROJECTS}/{tour.id}", params={"name": "Tour"}).status_code == 404
