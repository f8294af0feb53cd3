"""Whose account somebody's identity at the provider opens."""

import re
import uuid
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.accounts import service as accounts
from backend.accounts.models import Identity, User
from backend.accounts.schemas import Name
from backend.errors import Conflict, NotFound
from backend.identities.provider import Claims, Refused
from backend.settings import Settings
from backend.work import now

EMAIL = re.compile(r"[^\s@\x00]{1,64}@[^\s@\x00]{1,189}")


class EmailExpected(Conflict):
    title = "Email taken"


def arrive(session: Session, claims: Claims, settings: Settings) -> User:
    """The person whom the provider named: known by subject, expected by email, or new if the settings allow that.

    Raises Refused.
    """
    email = _trusted_email(claims, settings)
    identity = _known(session, claims) or _expected(session, claims, email)
    if identity is None:
        if settings.oidc_accounts != "created":
            raise Refused("unknown", "Nobody here is expected under this email address.")
        user = _new(session, email)
        identity = Identity(user=user, email=email, issuer=claims.issuer, subject=claims.subject)
        session.add(identity)
    if not identity.user.active:
        raise Refused("closed", "This account is closed.")
    identity.email, identity.last_used_at = email, now()
    session.flush()
    return identity.user


def link(session: Session, claims: Claims, user: User, settings: Settings) -> None:
    """Afterwards the provider's person may sign in as `user`.  Raises Refused."""
    email = _trusted_email(claims, settings)
    known = _known(session, claims)
    if known is None:
        session.add(Identity(user=user, email=email, issuer=claims.issuer, subject=claims.subject))
    elif known.user_id != user.id:
        raise Refused("taken", "This identity belongs to another account.")
    session.flush()


def expect(session: Session, user: User, email: str) -> Identity:
    """Let whoever comes with this verified email the first time be `user`.  Raises EmailExpected."""
    taken = select(Identity).where(Identity.email == email.lower(), Identity.subject.is_(None))
    if session.scalars(taken).first() is not None:
        raise EmailExpected(
            "Somebody is already expected under this email.", field="email", remedy="Remove that first."
        )
    identity = Identity(user=user, email=email.lower())
    session.add(identity)
    session.flush()
    return identity


def of(session: Session, user: User) -> Sequence[Identity]:
    """A person's identities, oldest first."""
    return session.scalars(select(Identity).where(Identity.user_id == user.id).order_by(Identity.id)).all()


def remove(session: Session, user: User, identity_id: uuid.UUID) -> Identity:
    """Afterwards the identity opens nothing.  Raises NotFound."""
    found = session.get(Identity, identity_id)
    if found is None or found.user_id != user.id:
        raise NotFound.of("identity")
    session.delete(found)
    return found


def _trusted_email(claims: Claims, settings: Settings) -> str:
    if claims.email is None or not claims.email_verified or not EMAIL.fullmatch(claims.email):
        raise Refused("email", "The sign-in provider has not verified an email address of this person.")
    domains = {domain.lower().lstrip("@") for domain in settings.oidc_domains}
    if domains and claims.email.rpartition("@")[2] not in domains:
        raise Refused("domain", "Email addresses of this domain are not let in.")
    return claims.email


def _known(session: Session, claims: Claims) -> Identity | None:
    return session.scalars(
        select(Identity).where(Identity.issuer == claims.issuer, Identity.subject == claims.subject)
    ).first()


def _expected(session: Session, claims: Claims, email: str) -> Identity | None:
    found = session.scalars(
        select(Identity).where(Identity.email == email, Identity.subject.is_(None)).with_for_update(of=Identity)
    ).first()
    if found is not None:
        found.issuer, found.subject = claims.issuer, claims.subject
    return found


def _new(session: Session, email: str) -> User:
    """An account named like the email; nobody knows its password."""
    try:
        name = TypeAdapter(Name).validate_python(email)
        user, _ = accounts.add(session, name)
    except (ValidationError, accounts.NameTaken):
        raise Refused("name", "There is an account of this name already, or it cannot be one.") from None
    return user
