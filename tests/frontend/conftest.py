"""The pages mounted on the API, called without a socket."""

from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from backend.accounts import service as accounts
from backend.accounts.models import Role
from backend.db import transaction
from backend.deps import COOKIE
from plumbline.embedded import Embedded
from tests.people import add_person

ORIGIN = "http://localhost"


@pytest.fixture(scope="session")
def web(servers: Embedded) -> FastAPI:
    """The whole web application; mounting Gradio takes seconds, so once for all."""
    from plumbline.asgi import create

    return create()


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture
def visit(clean: None, web: FastAPI) -> Iterator[Callable[..., TestClient]]:
    """Makes browsers of signed-in people that follow no redirects; `None` for somebody signed out."""
    opened: list[TestClient] = []

    def make(role: Role | None = Role.admin, name: str | None = None) -> TestClient:
        client = TestClient(web, base_url=ORIGIN, headers={"origin": ORIGIN}, follow_redirects=False)
        opened.append(client)
        if role is not None:
            with transaction() as session:
                user = add_person(session, role, name)
                client.cookies.set(COOKIE, accounts.open_session(session, user), domain="localhost.local")
        return client

    yield make
    for client in opened:
        client.close()
