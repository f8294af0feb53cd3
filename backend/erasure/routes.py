"""Routes of a person's data: the person's own copy, and removing it, which is an admin's."""

import uuid

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from backend.accounts import service as accounts
from backend.audit import service as audit
from backend.datasets import transfers
from backend.db import transaction
from backend.deps import Admin, SessionDep, Whole
from backend.erasure import own, service
from backend.erasure.schemas import ErasedOut, EraseIn, HeldOut

router = APIRouter(tags=["people's data"])
JSON = "application/json"


@router.get("/me/data", response_class=StreamingResponse, responses=transfers.a_file(JSON))
def download_own(user: Whole, session: SessionDep) -> StreamingResponse:
    """Everything that is held of the caller, as a file."""
    audit.record(session, user, None, "export", "person", user.id)
    headers = transfers.attachment("my-data.json") | {"cache-control": "no-store"}
    return StreamingResponse(own.document(transaction, user), media_type=JSON, headers=headers)


@router.get("/users/{user_id}/data")
def preview(user_id: uuid.UUID, _: Admin, session: SessionDep) -> HeldOut:
    """How much there is of a person, and what removing it would not change."""
    return service.held(session, accounts.find(session, user_id))


@router.post("/users/{user_id}/erase")
def erase(user_id: uuid.UUID, body: EraseIn, admin: Admin, session: SessionDep) -> ErasedOut:
    """Remove a person's data for good: who they are always, what they judged and wrote as asked for."""
    return service.erase(session, admin, accounts.find(session, user_id), body)
