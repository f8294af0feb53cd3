"""The route that takes what users said of answers; the only one that a token for feedback opens."""

from fastapi import APIRouter

from backend.accounts.limit import spend
from backend.deps import ProjectDep, Researcher, SessionDep
from backend.errors import Invalid, TooMany
from backend.feedback import service
from backend.feedback.schemas import FeedbackIn, FeedbackOut
from backend.settings import get_settings

router = APIRouter(tags=["feedback"])


class TooManyAtOnce(Invalid):
    title = "Too many at once"


@router.post("/feedback", status_code=201)
def take_feedback(body: FeedbackIn, user: Researcher, session: SessionDep, project: ProjectDep) -> FeedbackOut:
    """Store what users said of answers: thumbs as answers with a thumb, edits as pairs. Sent again, it is stored once.

    Users are known by a keyed hash alone.
    """
    most = get_settings().feedback_per_minute
    if len(body.items) > most:
        raise TooManyAtOnce(
            f"A project takes {most:,} pieces of feedback a minute, and these are {len(body.items):,} at once.",
            field="items",
            remedy="Send fewer at once; PLUMBLINE_FEEDBACK_PER_MINUTE allows more.",
        )
    if not spend(most, len(body.items), "feedback", str(project.id)):
        raise TooMany(
            f"A project takes {most:,} pieces of feedback a minute.",
            remedy="Send the rest in a minute; PLUMBLINE_FEEDBACK_PER_MINUTE allows more.",
        )
    return service.take(session, project, user, body)
