"""Pages of lists: every row once in order, whatever is added meanwhile, and no cursor but those that lists give."""

import uuid

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from backend import paging
from backend.datasets.models import Dataset, Kind
from backend.db import transaction
from backend.projects import service as projects
from backend.projects.models import Project
from tests.backend import test_fuzz
from tests.backend.test_fuzz import World

SOME = "0190d7a2-5b5e-7000-8000-00000000abcd"
HOSTILE = {
    "empty": "",
    "blank": " ",
    "word": "x",
    "negative": "-1",
    "plus": "+1",
    "decimal": "1.0",
    "exponent": "1e3",
    "underscored": "1_0",
    "too large a number": "2147483648",
    "long number": "9" * 60,
    "digits of another script": "\u0661",
    "id without hyphens": SOME.replace("-", ""),
    "id in braces": f"{{{SOME}}}",
    "urn": f"urn:uuid:{SOME}",
    "id in digits of another script": SOME.replace("0", "\u0660"),
    "id and a line break": f"{SOME}\n",
    "id and more": f"{SOME}1",
    "two ids": f"{SOME},{SOME}"[:64],
    "NUL": "\0",
    "SQL": "' OR 1=1 --",
    "too long": "a" * 65,
}
world = test_fuzz.world  # the fixture
app = test_fuzz.app


def lists() -> list[str]:
    """Every list of the API that is read page by page."""
    return [
        path
        for path, operations in app.openapi()["paths"].items()
        if "get" in operations and any(one["name"] == "cursor" for one in operations["get"].get("parameters", ()))
    ]


@pytest.mark.parametrize("path", lists())
def test_hostile_cursors(world: World, path: str) -> None:
    """A cursor that no list gave is refused at its field by every list."""
    client = TestClient(app, headers=world.headers)
    address = path.format_map(world.ids)

    for said, cursor in HOSTILE.items():
        answer = client.get(address, params={"cursor": cursor})
        assert (answer.status_code, answer.json()["field"].rpartition(".")[2]) == (422, "cursor"), said


def test_there_are_lists() -> None:
    """The lists are found in the API's description."""
    assert len(lists()) >= 12


@pytest.fixture
def project(clean: None) -> Project:
    with transaction() as session:
        return projects.default(session)


def add(project: Project, *names: str) -> None:
    for name in names:
        with transaction() as session:
            session.add(Dataset(project_id=project.id, name=name, kind=Kind.paired))


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
def test_each_once(project: Project, limit: int, oldest_first: bool) -> None:
    """Whatever the size of a page, each row comes once, in order; a page that is full and the last has no cursor."""
    add(project, *"abcdef")
    seen: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        with transaction() as session:
            query = select(Dataset).where(Dataset.project_id == project.id)
            rows, cursor = paging.page(session, query, Dataset.id, cursor, limit, oldest_first=oldest_first)
        assert 0 < len(rows) <= limit
        seen += [row.name for row in rows]
        pages += 1

    assert seen == (list("abcdef") if oldest_first else list("fedcba"))
    assert pages == -(-6 // limit)


def test_additions_meanwhile(project: Project) -> None:
    """Rows that are added while somebody pages neither show a row twice nor hide one; a removed row's cursor holds."""
    add(project, *"abcd")
    with transaction() as session:
        query = select(Dataset).where(Dataset.project_id == project.id)
        first, cursor = paging.page(session, query, Dataset.id, None, 2)
        session.delete(first[-1])
    add(project, *"ef")
    with transaction() as session:
        second, following = paging.page(session, query, Dataset.id, cursor, 2)

    assert [row.name for row in (*first, *second)] == ["d", "c", "b", "a"]
    assert following is None


def test_empty(project: Project) -> None:
    """A list of nothing is one empty page."""
    with transaction() as session:
        query = select(Dataset).where(Dataset.project_id == project.id)
        assert paging.page(session, query, Dataset.id, None, 5) == ([], None)
        assert paging.page(session, query, Dataset.id, str(uuid.uuid4()), 5) == ([], None)
