"""Signing in and out, people, passwords and API tokens."""

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from backend.accounts.models import ApiToken, Role, SignIn, User
from backend.errors import AppError, Conflict, Invalid, NotFound
from backend.settings import get_settings
from backend.work import now

TOKEN_PREFIX = "plb_"  # noqa: S105  (not a secret: it makes leaked tokens recognizable)
SEEN_EVERY = timedelta(minutes=5)
BY_COOKIE = select(SignIn).where(SignIn.token_hash == bindparam("hash"))


class WrongPassword(AppError):
    status, title = 401, "Wrong name or password"


class NameTaken(Conflict):
    title = "Name taken"


class LastAdmin(Conflict):
    title = "Last admin"


class TokenOutlives(Invalid):
    title = "Token would outlive its maker"


@lru_cache
def hasher() -> PasswordHash:
    return PasswordHash((Argon2Hasher(),))


@lru_cache
def _dummy_hash() -> str:
    return hasher().hash("nobody has this password")


def digest(token: str) -> bytes:
    """What is stored of a token: tokens are random and long, so one SHA-256 suffices."""
    return hashlib.sha256(token.encode()).digest()


def named(session: Session, name: str) -> User | None:
    """The person of a name as it is typed at the door."""
    return session.scalars(select(User).where(User.name == name.strip().lower())).first()


def sign_in(session: Session, name: str, password: str) -> tuple[User, str]:
    """A new browser session and its token. An unknown name takes as long as a wrong password."""
    user = named(session, name)
    right, rehash = hasher().verify_and_update(password, user.password_hash if user else _dummy_hash())
    if user is None or not right or not user.active:
        raise WrongPassword("The name or the password is wrong.", remedy="Check both, or ask an admin for a reset.")
    if rehash:
        user.password_hash = rehash
    return user, open_session(session, user)


def open_session(session: Session, user: User) -> str:
    """The token of a new browser session; sessions that have expired go."""
    token = secrets.token_urlsafe(32)
    expires = now() + timedelta(hours=get_settings().session_hours)
    session.execute(delete(SignIn).where(SignIn.expires_at < now()))
    session.add(SignIn(user=user, token_hash=digest(token), expires_at=expires, last_seen_at=now()))
    return token


def sign_out(session: Session, token: str) -> None:
    """Afterwards the cookie's token opens nothing."""
    session.execute(delete(SignIn).where(SignIn.token_hash == digest(token)))


def by_cookie(session: Session, token: str) -> User | None:
    """Whose browser session this is, if it is one and still valid."""
    return in_use(session.scalars(BY_COOKIE, {"hash": digest(token)}).first())


def in_use(found: SignIn | None) -> User | None:
    """Whose browser session it is, if it is still valid."""
    if found is None or found.expires_at < now() or not found.user.active:
        return None
    if now() - found.last_seen_at > SEEN_EVERY:
        found.last_seen_at = now()
    return found.user


def by_token(session: Session, token: str) -> ApiToken | None:
    """The API token, with its person, if it is one that has neither been revoked nor expired."""
    found = session.scalars(select(ApiToken).where(ApiToken.token_hash == digest(token))).first()
    if found is None or found.revoked_at is not None or not found.user.active:
        return None
    if found.expires_at is not None and found.expires_at <= now():
        return None
    if found.last_used_at is None or now() - found.last_used_at > SEEN_EVERY:
        found.last_used_at = now()
    return found


def people(session: Session) -> Sequence[User]:
    return session.scalars(select(User).order_by(User.name)).all()


def add(session: Session, name: str, *, admin: bool = False, password: str | None = None) -> tuple[User, str]:
    """A new person, in no project yet, and the password, which is random unless given."""
    if session.scalars(select(User.id).where(User.name == name)).first():
        raise NameTaken(f"There is already somebody called {name}.", field="name", remedy="Choose another name.")
    password = password or secrets.token_urlsafe(12)
    user = User(name=name, admin=admin, password_hash=hasher().hash(password), active=True)
    session.add(user)
    session.flush()
    return user, password


def first_admin(session: Session) -> tuple[User, str] | None:
    """At the first start: an admin with a password to show once. None when there are people already."""
    if session.scalar(select(func.count()).select_from(User)):
        return None
    settings = get_settings()
    return add(session, settings.admin_name.lower(), admin=True, password=settings.admin_password)


def find(session: Session, user_id: uuid.UUID) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise NotFound.of("person")
    return user


def by_name(session: Session, name: str) -> User:
    """The person of this name.  Raises NotFound."""
    user = session.scalars(select(User).where(User.name == name)).first()
    if user is None:
        raise NotFound.of("person")
    return user


def change(session: Session, user: User, admin: bool | None, active: bool | None) -> User:
    """Make an admin or no longer one, or close or reopen the account. There is always an active admin."""
    if user.admin and user.active and (admin is False or active is False):
        session.scalars(select(User.id).where(User.admin).with_for_update()).all()
        admins = select(func.count()).where(User.admin, User.active, User.id != user.id)
        if not session.scalar(admins):
            raise LastAdmin("This is the only admin.", remedy="Make somebody else an admin first.")
    if admin is not None:
        user.admin = admin
    if active is not None:
        user.active = active
        if not active:
            end_sessions(session, user)
    return user


def set_password(session: Session, user: User, old: str, new: str) -> None:
    """Change one's own password; ends every browser session of the person. API tokens stay: programs go on."""
    if not hasher().verify(old, user.password_hash):
        raise Invalid("The old password is wrong.", field="old", remedy="Type the password you signed in with.")
    user.password_hash = hasher().hash(new)
    end_sessions(session, user)


def reset_password(session: Session, user: User) -> str:
    """A random password for somebody who lost theirs, or whose account another has used; afterwards neither their
    browser sessions nor their API tokens open anything."""
    password = secrets.token_urlsafe(12)
    user.password_hash = hasher().hash(password)
    end_sessions(session, user)
    session.execute(
        update(ApiToken).where(ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None)).values(revoked_at=now())
    )
    return password


def end_sessions(session: Session, user: User) -> None:
    session.execute(delete(SignIn).where(SignIn.user_id == user.id))


def tokens(session: Session, user: User) -> Sequence[ApiToken]:
    return session.scalars(select(ApiToken).where(ApiToken.user_id == user.id).order_by(ApiToken.id.desc())).all()


def add_token(
    session: Session,
    user: User,
    name: str,
    *,
    project_id: uuid.UUID | None = None,
    role: Role | None = None,
    read_only: bool = False,
    only: str | None = None,
    days: int | None = None,
    by: ApiToken | None = None,
) -> tuple[ApiToken, str]:
    """A new API token, with limits if so wanted; the text is returned this once.

    Raises TokenOutlives when it would open things for longer than the token `by` which it is made.
    """
    expires = now() + timedelta(days=days) if days else None
    last = by.expires_at if by else None
    if last is not None and (expires is None or expires > last):
        raise TokenOutlives(
            "The token that makes this one ends before it.", field="days", remedy="Make it on the Account page."
        )
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        user=user,
        name=name,
        project_id=project_id,
        role=role,
        prefix=secret[:10],
        token_hash=digest(secret),
        read_only=read_only,
        only=only,
        expires_at=expires,
    )
    session.add(token)
    session.flush()
    return token, secret


def revoke_token(session: Session, user: User, token_id: uuid.UUID) -> ApiToken:
    """Afterwards the token opens nothing.  Raises NotFound for somebody else's."""
    token = session.get(ApiToken, token_id)
    if token is None or token.user_id != user.id:
        raise NotFound.of("token")
    token.revoked_at = token.revoked_at or now()
    return token
