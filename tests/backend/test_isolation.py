"""Nothing leaks from one project into another, by any route: those that there are and those that will be.

Every operation of the API's description is called for a second project, with the ids of rows that exist in the first
one, and again with ids of nothing: both answers are the same, and neither is a success. The caller is in both projects,
an admin, and made all those rows: whatever is refused, the project alone is why. A new noun needs a
row in the fuzz test's world; a parameter without one fails here.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from starlette.testclient import TestClient

from backend.accounts import service as accounts
from backend.accounts.models import Role
from backend.app import API
from backend.db import transaction
from backend.projects import service as projects
from backend.projects.models import Project
from tests.backend import test_fuzz
from tests.backend.test_fuzz import World, well_formed
from tests.people import add_person

# What is about the person or the instance, not about a project, or open to whoever holds a link or a run's token.
NOT_OF_A_PROJECT = (
    "/session",
    "/me",
    "/users",
    "/projects",
    "/invitation/",
    "/report/",
    "/secrets-rotation",
    "/storage/projects",
    "/sso",
)
# Parts of paths that are no ids: a name or number within what is named before it, or within the caller's project.
NO_IDS = {"name", "step", "role", "link"}
# What a body must hold to be looked at, where its description cannot say so.
SENSIBLE = {"value": {"strength": 1}}

config = SchemathesisConfig()
config.projects.default.generation.update(modes=[GenerationMode.POSITIVE])
config.projects.default.phases.coverage.enabled = False
app = test_fuzz.app
schema = schemathesis.openapi.from_asgi(f"{API}/openapi.json", app, config=config)
world = test_fuzz.world  # the fixture
met: dict[str, set[int]] = defaultdict(set)


class Stranger(NamedTuple):
    """An owner of a project of their own, by token, and the first project, in which they are not."""

    token: str
    own: Project
    theirs: Project

    def headers(self, project: Project, token: str | None = None) -> dict[str, str]:
        return {"authorization": f"Bearer {token or self.token}", "plumbline-project": str(project.id)}


@pytest.fixture(scope="module")
def stranger(world: World) -> Stranger:
    with transaction() as session:
        theirs = projects.default(session)
        own = Project(name="Elsewhere")
        session.add(own)
        session.flush()
        outside = add_person(session, Role.owner, project=own)
        return Stranger(accounts.add_token(session, outside, "test")[1], own, theirs)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(app) as opened:
        yield opened


def of_a_project(path: str) -> bool:
    return not path.removeprefix(API).startswith(NOT_OF_A_PROJECT)


def operations() -> list[tuple[str, str]]:
    return [(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods]


@pytest.mark.parametrize(("method", "path"), operations())
def test_who_is_not_inside_is_refused_before_all_else(
    method: str, path: str, client: TestClient, stranger: Stranger
) -> None:
    """Signed out: 401. With the header of a project that one is not in: 403, whatever else is sent."""
    url = path.replace("{", "").replace("}", "")
    if of_a_project(path):
        assert client.request(method, url).status_code == 401
        answer = client.request(method, url, headers=stranger.headers(stranger.theirs))
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/NotAMember")


def ids_of(path: str) -> list[str]:
    """The parameters of a path that are ids of rows."""
    return [part[1:-1] for part in path.split("/") if part.startswith("{") and part[1:-1] not in NO_IDS]


@pytest.mark.parametrize("path", sorted({path for _, path in operations()}))
def test_every_parameter_has_a_row(path: str, client: TestClient, world: World) -> None:
    """What a path names is there for its own project: refusing what does not exist would prove nothing."""
    missing = [name for name in ids_of(path) if name not in world.ids]
    assert not missing, f"Give the fuzz test's world a row for {missing}."
    if not ids_of(path) or "get" not in app.openapi()["paths"][path]:
        return
    url = path.format_map(defaultdict(str, name="a", step="1", role="base", link="0") | world.ids)
    answer = client.get(url, headers={"authorization": f"Bearer {world.token}"})
    assert answer.status_code == 200 or answer.json()["type"] != "/problems/NotFound", answer.text


def swapped(given: Any, ids: Mapping[str, Any]) -> Any:
    """What was made up, with `ids` wherever a well-formed id stood, however deep."""
    if isinstance(given, list):
        return [swapped(one, ids) for one in given]
    if not isinstance(given, Mapping):
        return given
    return {
        key: ids[key] if key in ids and key != "name" and well_formed(key, value) else swapped(value, ids)
        for key, value in given.items()
    }


def named_in(path: str, given: Any, ids: Mapping[str, Any]) -> Any:
    if not isinstance(given, Mapping):
        return given
    return {key: ids[key] if key in ids and key in ids_of(path) else value for key, value in given.items()}


def forced(case: schemathesis.Case[Any]) -> Any:
    """The body with every id that its description knows, also those that were left out, and with sense in it."""
    content = (
        app.openapi()["paths"][case.operation.path][case.operation.method].get("requestBody", {}).get("content", {})
    )
    named = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    known = app.openapi()["components"]["schemas"].get(named, {}).get("properties", {})
    if not isinstance(case.body, Mapping):
        return case.body
    sensible = {key: value for key, value in SENSIBLE.items() if key in known}
    return {
        **case.body,
        **sensible,
        **{key: str(uuid.uuid4()) for key in known if key.endswith("_id") and key != "client_id"},
    }


def nothing(ids: Mapping[str, Any]) -> dict[str, Any]:
    """As many ids, of rows that are nowhere."""
    made = {one: str(uuid.uuid4()) for value in ids.values() for one in (value if isinstance(value, list) else [value])}
    return {
        name: [made[one] for one in value] if isinstance(value, list) else made[value] for name, value in ids.items()
    }


def answer(case: schemathesis.Case[Any], body: Any, ids: Mapping[str, Any], headers: dict[str, str]) -> tuple[int, str]:
    """Status and text of the case called with `ids`, which stand in it as words."""
    asked = case.query, case.body
    case.path_parameters = named_in(case.operation.path, case.path_parameters, ids)
    case.query, case.body = swapped(case.query, ids), swapped(body, ids)
    given = case.call(headers=headers, timeout=test_fuzz.PATIENCE)
    case.query, case.body = asked
    text = given.text
    for name, value in ids.items():
        for one in value if isinstance(value, list) else [value]:
            if name != "name":
                text = text.replace(one, f"<{name}>")
    return given.status_code, text


@schema.parametrize()
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, print_blob=False)
def test_rows_of_another_project_are_as_if_they_were_not(
    case: schemathesis.Case[Any],
    world: World,
    stranger: Stranger,
) -> None:
    """The answer to ids of another project is the answer to ids of nothing, and no success where a path names one."""
    real = {name: value for name, value in world.ids.items() if name != "name"}
    unreal = nothing(real)
    token = world.token if of_a_project(case.operation.path) else stranger.token
    headers = stranger.headers(stranger.own, token)
    operation = f"{case.operation.method.upper()} {case.operation.path}"
    for body in (case.body, forced(case)) if forced(case) != case.body else (case.body,):
        status, text = answer(case, body, real, headers)
        everywhere = (case.query or {}).get("scope") == "instance"  # an admin reads of every project
        assert everywhere or status >= 400 or not any(f"<{name}>" in text for name in real), text
        if (
            swapped(body, unreal) == body
            and swapped(case.query, unreal) == case.query
            and not ids_of(case.operation.path)
        ):
            continue
        met[operation].add(status)
        assert (status, text) == answer(case, body, unreal, headers)
        if ids_of(case.operation.path):
            assert status in {401, 403, 404, 422}, text


def test_every_route_was_really_tried() -> None:
    """Each route that names a row in its path has refused it as not found (or as nobody's but an admin's)."""
    named = [f"{method} {path}" for method, path in operations() if ids_of(path)]
    assert [one for one in named if not met[one] & {401, 403, 404}] == []
