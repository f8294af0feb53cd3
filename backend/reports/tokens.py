"""Tokens of reporters: each is good for one run, for some hours, until it is revoked or the run has ended."""

import hashlib
import secrets
import uuid
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend import work
from backend.accounts.models import Role, User
from backend.errors import NotAllowed, SignedOut
from backend.projects.models import Membership
from backend.runs.models import Place, ReportToken, Run
from backend.work import State, now

PREFIX = "plr_"
SEEN_EVERY = timedelta(minutes=1)


class TokenRefused(SignedOut):
    title = "Token refused"


class OtherRun(NotAllowed):
    title = "Token of another run"


class RunEnded(NotAllowed):
    title = "The run has ended"


def issue(session: Session, run: Run, user: User, hours: int) -> tuple[ReportToken, str]:
    """A new token for `run`, in place of any that it had; its text is returned this once."""
    revoke(session, run)
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ReportToken(
        run_id=run.id,
        prefix=secret[:10],
        token_hash=_digest(secret),
        expires_at=now() + timedelta(hours=hours),
        created_by=user.id,
    )
    session.add(token)
    session.flush()
    return token, secret


def revoke(session: Session, run: Run) -> None:
    """Afterwards no token of `run` is good."""
    unrevoked = update(ReportToken).where(ReportToken.run_id == run.id, ReportToken.revoked_at.is_(None))
    session.execute(unrevoked.values(revoked_at=now()))


def good(session: Session, run: Run) -> ReportToken | None:
    """The token of `run` that is good now."""
    return session.scalars(
        select(ReportToken).where(
            ReportToken.run_id == run.id, ReportToken.revoked_at.is_(None), ReportToken.expires_at > now()
        )
    ).first()


def admit(session: Session, secret: str | None, run_id: uuid.UUID) -> Run:
    """The run that a token is for.

    Raises TokenRefused (401) for a token that is missing, wrong, expired or revoked, or whose maker may no longer sign
    in; OtherRun (403) and RunEnded (403) for one that is good for nothing here.
    """
    remedy = "Make a new token on the run's page."
    if not secret or not secret.startswith(PREFIX):
        raise TokenRefused("This needs the token of the run's reporter.", remedy)
    found = session.execute(
        select(ReportToken, User)
        .join(User, User.id == ReportToken.created_by)
        .where(ReportToken.token_hash == _digest(secret))
    ).first()
    if found is None or found[0].revoked_at is not None or not found[1].active:
        raise TokenRefused("This token is wrong or was revoked.", remedy)
    token: ReportToken = found[0]
    if token.expires_at <= now():
        raise TokenRefused("This token has expired.", remedy)
    run = session.get_one(Run, token.run_id)
    if not _may_launch(session, found[1], run):
        raise TokenRefused("Whoever made this token may no longer launch runs here.", remedy)
    if run.id != run_id or run.place is not Place.elsewhere:
        raise OtherRun("This token is for another run.", remedy="Use the address that was shown with it.")
    require_open(run)
    if token.last_used_at is None or now() - token.last_used_at > SEEN_EVERY:
        token.last_used_at = now()
    return run


def require_open(run: Run) -> None:
    """Raise RunEnded for a run that nothing more is taken for."""
    if run.state in work.ENDED and not missed(run):
        raise RunEnded(f"The run has ended ({run.state}).", remedy="Launch a new run to train again.")


def missed(run: Run) -> bool:
    """Whether the run was given up only because nothing was heard of it; it may come back."""
    return run.state is State.lost and run.failure == "silent"


def _may_launch(session: Session, user: User, run: Run) -> bool:
    """Whether somebody still has the rights with which a token was made."""
    here = select(Membership.role).where(Membership.project_id == run.project_id, Membership.user_id == user.id)
    return user.admin or session.scalar(here) in (Role.owner, Role.researcher)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
