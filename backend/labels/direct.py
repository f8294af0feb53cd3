"""The quick way of what people wait for on every card: from the cookie to the answer in one thread."""

import re
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from backend.db import transaction
from backend.deps import turn
from backend.errors import Invalid
from backend.labels.caller import DAY_MINUTES, member, midnight
from backend.storable import require

OFFSET = re.compile(r"-?[0-9]{1,4}")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Asked(NamedTuple):
    """What a request says, checked."""

    item_id: uuid.UUID
    body: BaseModel
    ahead: int


class Direct(APIRoute):
    """A route `(item_id, body, caller, session)` whose requests of ordinary people by a browser are done in one thread.

    Solving dependencies costs as much as storing a label, and each of them that asks the database is a thread more.
    Whatever is unusual (a token, an admin, anything that is refused before it is done) goes the way of all other
    routes, and is answered there.
    """

    def get_route_handler(self) -> Handler:
        """The handler of both ways."""
        usual = super().get_route_handler()
        wanted = self.endpoint.__annotations__["body"]

        async def handle(request: Request) -> Response:
            asked = await _read(request, wanted)
            if asked is not None:
                async with turn():
                    done: Response | None = await run_in_threadpool(self._do, request, asked)
                if done is not None:
                    return done
            return await usual(request)

        return handle

    def _do(self, request: Request, asked: Asked) -> Response | None:
        """What the endpoint answers; None where the caller must be looked at more closely."""
        with transaction() as session:
            caller = member(session, request, midnight(asked.ahead))
            if caller is None:
                return None
            answer: Response = self.endpoint(asked.item_id, asked.body, caller, session)
            return answer


async def _read(request: Request, wanted: type[BaseModel]) -> Asked | None:
    """What the request says; None for one that is not plainly right."""
    if request.headers.get("content-type") != "application/json" or request.url.query:
        return None
    ahead = request.headers.get("x-utc-offset", "0")
    if OFFSET.fullmatch(ahead) is None or abs(int(ahead)) > DAY_MINUTES:
        return None
    try:
        body = await request.json()
        require(body)
        return Asked(uuid.UUID(request.path_params["item_id"]), wanted.model_validate(body), int(ahead))
    except (ValueError, RecursionError, ValidationError, Invalid, ClientDisconnect):
        return None
