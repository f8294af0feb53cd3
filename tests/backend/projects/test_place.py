"""Which project a request is about, and what the caller may do there."""

import uuid

import pytest
from sqlalchemy import event

from backend.accounts.models import Role
from backend.db import get_engine, transaction
from backend.deps import PROJECT_COOKIE
from backend.projects import members
from backend.projects.models import Project
from tests.backend.projects.conftest import MakeClient, in_project
from tests.conftest import Client

DATASETS = "/api/v1/datasets"


def names(client: Client, **headers: str) -> str:
    """The project that a request of the client is about."""
    project = client.get("/api/v1/me", headers=headers).json()["project"]
    return project["name"] if project else ""


def test_header_before_cookie_before_first(make_client: MakeClient, beta: Project, tour: Project) -> None:
    """A request is about the project of its header, else of its cookie, else the one joined first."""
    client = make_client(Role.researcher, project=beta)
    with transaction() as session:
        members.join(session, tour.id, client.user, Role.annotator)

    assert names(client) == "Beta"
    assert client.put("/api/v1/me/project", json={"project_id": str(tour.id)}).status_code == 204
    assert names(client) == "Tour"
    assert client.get("/api/v1/me", headers=in_project(beta)).json()["project"]["role"] == "researcher"
    assert client.get("/api/v1/me").json()["project"]["role"] == "annotator"
    assert client.get("/api/v1/runs", headers=in_project(beta)).status_code == 200
    assert client.get("/api/v1/runs").status_code == 403


@pytest.mark.parametrize("named", ["", "nonsense", "00000000-0000-0000-0000-000000000000", "beta"])
def test_strange_and_missing_projects_answer_alike(make_client: MakeClient, beta: Project, named: str) -> None:
    """Nobody learns from the answer whether a project exists."""
    stranger = make_client(Role.owner)
    real = stranger.get(DATASETS, headers=in_project(beta))
    if not named:
        assert real.status_code == 403
        assert real.json()["type"] == "/problems/NotAMember"
        return
    other = stranger.get(DATASETS, headers={"plumbline-project": named})
    assert (other.status_code, other.json()) == (real.status_code, real.json())
    by_cookie = stranger.get(DATASETS, headers={"cookie": f"{PROJECT_COOKIE}={named}; {cookies(stranger)}"})
    assert (by_cookie.status_code, by_cookie.json()) == (real.status_code, real.json())
    assert stranger.put("/api/v1/me/project", json={"project_id": str(beta.id)}).status_code == 403


def cookies(client: Client) -> str:
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)


def test_in_no_project(make_client: MakeClient, tour: Project) -> None:
    """Whoever is in no project gets a sentence, not an error, and may still look after the own account."""
    client = make_client(Role.annotator)
    with transaction() as session:
        members.remove(session, tour, client.user.id)

    assert client.get(DATASETS).status_code == 403
    assert client.get("/api/v1/me").json()["project"] is None
    assert client.get("/api/v1/me/tokens").status_code == 200


def test_an_admin_is_everywhere(admin: Client, beta: Project) -> None:
    """An admin of the instance has every right in every project, without a membership."""
    me = admin.get("/api/v1/me", headers=in_project(beta)).json()

    assert me["project"] == {"id": str(beta.id), "name": "Beta", "role": "admin", "archived": False}
    assert [one["name"] for one in me["projects"]] == ["Tour", "Beta"]
    assert admin.get("/api/v1/invitations", headers=in_project(beta)).status_code == 200


def test_membership_costs_one_query(researcher: Client) -> None:
    """Who asks and where they are is two queries: the session with its person, the project with the role."""
    asked: list[str] = []

    def note(*args: object) -> None:
        asked.append(str(args[2]))

    event.listen(get_engine(), "before_cursor_execute", note)
    try:
        assert researcher.get("/api/v1/judges").status_code == 200
    finally:
        event.remove(get_engine(), "before_cursor_execute", note)

    assert len(asked) == 2, asked


def token(client: Client, **limits: object) -> dict[str, str]:
    made = client.post("/api/v1/me/tokens", json={"name": "ci", **limits})
    assert made.status_code == 201, made.text
    return {"authorization": f"Bearer {made.json()['token']}"}


def test_a_token_of_one_project_cannot_name_another(
    make_client: MakeClient, anonymous: Client, beta: Project, tour: Project
) -> None:
    """Also for somebody who is in both, and an admin."""
    for client in (make_client(Role.researcher), make_client(Role.admin)):
        if not client.user.admin:
            with transaction() as session:
                members.join(session, beta.id, client.user, Role.researcher)
        bound = token(client, project_id=str(beta.id))

        assert names(anonymous, **bound) == "Beta"
        assert anonymous.get("/api/v1/runs", headers=bound).status_code == 200
        assert anonymous.get("/api/v1/runs", headers=bound | in_project(tour)).status_code == 403
        assert [one["name"] for one in anonymous.get("/api/v1/projects", headers=bound).json()["items"]] == ["Beta"]
        assert anonymous.get(f"/api/v1/projects/{tour.id}", headers=bound).status_code == 404


def test_a_token_does_no_more_than_its_role(admin: Client, owner: Client, anonymous: Client) -> None:
    """Whatever its person may do; and it opens nothing of the account and of the instance."""
    for client in (admin, owner):
        limited = token(client, role="annotator")
        assert anonymous.get("/api/v1/home", headers=limited).status_code == 200
        for path in ("/runs", "/invitations", "/users", "/me/tokens"):
            assert anonymous.get(f"/api/v1{path}", headers=limited).status_code == 403, path
        more = anonymous.post("/api/v1/me/tokens", json={"name": "more"}, headers=limited)
        assert more.status_code == 403
        made = anonymous.post("/api/v1/projects", json={"name": "Mine"}, headers=limited)
        assert made.status_code == 403


def test_a_token_for_a_strange_project_is_not_made(owner: Client, beta: Project) -> None:
    for project_id in (beta.id, uuid.uuid4()):
        made = owner.post("/api/v1/me/tokens", json={"name": "ci", "project_id": str(project_id)})
        assert made.status_code == 403
    assert owner.post("/api/v1/me/tokens", json={"name": "ci", "role": "admin"}).status_code == 422
