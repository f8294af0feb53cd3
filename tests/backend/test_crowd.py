"""Many requests at once: they wait for each other, and none for ever."""

import asyncio

import httpx2

from backend.accounts import service as accounts
from backend.accounts.models import Role
from backend.db import CONNECTIONS, transaction
from backend.deps import COOKIE
from backend.settings import get_settings
from tests.conftest import ORIGIN, application
from tests.people import add_person


def test_more_requests_than_connections_all_end(clean: None) -> None:
    """Four times as many as there are connections come in the same moment, and each is answered as if it were alone.

    Those who have a connection must find a thread to go on in, however many wait for one.
    """
    with transaction() as session:
        person = add_person(session, Role.annotator)
        token = accounts.open_session(session, person)

    async def ask() -> list[int]:
        transport = httpx2.ASGITransport(application(get_settings()))
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN, cookies={COOKIE: token}) as client:
            found = await asyncio.gather(*(client.get("/api/v1/progress") for _ in range(4 * CONNECTIONS)))
        return [answer.status_code for answer in found]

    assert asyncio.run(ask()) == [200] * (4 * CONNECTIONS)
