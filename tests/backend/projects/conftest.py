"""A second project beside the default one, and people in it."""

import uuid
from collections.abc import Callable

import pytest

from backend.accounts.models import Role
from backend.db import transaction
from backend.projects import service as projects
from backend.projects.models import Project
from tests.conftest import Client

MakeClient = Callable[..., Client]


@pytest.fixture
def tour(clean: None) -> Project:
    """The default project."""
    with transaction() as session:
        return projects.default(session)


@pytest.fixture
def beta(tour: Project) -> Project:
    """Another project, without people."""
    with transaction() as session:
        made = Project(name="Beta")
        session.add(made)
        session.flush()
        session.refresh(made)
        return made


@pytest.fixture
def owner(make_client: MakeClient) -> Client:
    """An owner of the default project."""
    return make_client(Role.owner)


def in_project(project: Project | uuid.UUID | str) -> dict[str, str]:
    """The header that names a project."""
    return {"plumbline-project": str(project.id if isinstance(project, Project) else project)}
