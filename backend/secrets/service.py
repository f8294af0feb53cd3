"""Keeping, using and forgetting secrets."""

import uuid
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from backend.accounts.models import User
from backend.audit import service as audit
from backend.errors import Invalid, NotFound
from backend.projects.models import Project
from backend.redaction import hide
from backend.secrets import seal
from backend.secrets.models import Secret, SecretKind
from backend.secrets.schemas import SecretIn, SecretOut, origin
from backend.settings import get_settings
from backend.webhooks import service as webhooks
from backend.work import now

WHERE = "Ask an owner of the project to set it on the Secrets page."


class SecretMissing(Invalid):
    title = "Secret missing"


class SecretNotForThat(Invalid):
    title = "Secret is for something else"


class OriginNeeded(Invalid):
    title = "Address needed"


def reveal(
    session: Session, project_id: uuid.UUID, name: str, *, url: str | None = None, user: User | None = None
) -> str:
    """The value, for use at once; it is stored nowhere else, and this process writes it into no log from now on.

    A hub's token is asked for without `url`. An endpoint's key needs the `url` it is about to be sent to, and is given
    for its own origin only: whoever may use a key could otherwise have it sent to a server of their own.
    `user` is on whose behalf.  Raises SecretMissing, SecretNotForThat, SecretUnreadable, BadSecretKey.
    """
    found = session.scalars(select(Secret).where(Secret.project_id == project_id, Secret.name == name)).first()
    if found is None:
        raise SecretMissing(f"This project has no secret called “{name}”.", field="secret", remedy=WHERE)
    _check_use(found, url)
    ring = seal.keys(get_settings())
    value = seal.unseal(found.sealed, _row(found), ring)
    hide(value)
    if not seal.current(found.sealed, ring):
        found.sealed = seal.seal(value, _row(found), ring)
    found.last_used_at = now()
    audit.record(session, user, project_id, "use", "secret", found.id, {"name": name, "for": found.origin or "hub"})
    return value


def require(session: Session, project_id: uuid.UUID, name: str, *, url: str | None = None) -> None:
    """Raises what `reveal` would about the name and its use, without opening it: for a form, before work is queued."""
    found = session.scalars(select(Secret).where(Secret.project_id == project_id, Secret.name == name)).first()
    if found is None:
        raise SecretMissing(f"This project has no secret called “{name}”.", field="secret", remedy=WHERE)
    _check_use(found, url)


def _check_use(secret: Secret, url: str | None) -> None:
    if url is None:
        if secret.kind is not SecretKind.hub:
            raise SecretNotForThat(
                f"“{secret.name}” is the key of an endpoint, not a hub's token.", field="secret", remedy=WHERE
            )
    elif secret.kind is not SecretKind.endpoint or not _leads_to(url, secret.origin):
        only = secret.origin if secret.kind is SecretKind.endpoint else "the hub"
        raise SecretNotForThat(
            f"“{secret.name}” may be sent to {only} only.",
            field="secret",
            remedy="Ask an owner of the project for a key that is set for this endpoint's address.",
        )


def _leads_to(url: str, allowed: str | None) -> bool:
    try:
        return origin(url) == allowed
    except ValueError:
        return False


def openable(session: Session, ring: Sequence[bytes]) -> tuple[int, int]:
    """How many secrets there are, those of webhooks too, and how many of them the keys do not open."""
    found = session.scalars(select(Secret)).all()
    others, closed = webhooks.openable(session, ring)
    for secret in found:
        try:
            seal.unseal(secret.sealed, _row(secret), ring)
        except seal.SecretUnreadable:
            closed += 1
    return len(found) + others, closed


def _row(secret: Secret) -> str:
    """What a sealed value is bound to: nobody can make it another project's, another name's or another server's."""
    return f"{secret.id} {secret.project_id} {secret.kind} {secret.name} {secret.origin or ''}"


def listed(session: Session, project: Project) -> list[SecretOut]:
    """All of the project's secrets by name, without values."""
    query = select(Secret, User.name).outerjoin(User, User.id == Secret.created_by)
    rows = session.execute(query.where(Secret.project_id == project.id).order_by(Secret.name)).all()
    return [_out(secret, person) for secret, person in rows]


def put(session: Session, project: Project, user: User, name: str, body: SecretIn) -> SecretOut:
    """Set a secret, new or in place of the value it had.  Raises OriginNeeded, BadSecretKey."""
    if (body.kind is SecretKind.endpoint) != (body.origin is not None):
        raise OriginNeeded(
            "The key of an endpoint needs the endpoint's address, a hub's token none.",
            field="origin",
            remedy="It is sent to that address only.",
        )
    value = body.value.get_secret_value()
    hide(value)
    values = {"kind": body.kind, "origin": body.origin, "hint": _hint(value), "set_at": now(), "created_by": user.id}
    key = {"id": uuid7(), "project_id": project.id, "name": name}
    fresh = insert(Secret).values(**key, **values, sealed=b"")
    secret = session.scalars(
        fresh.on_conflict_do_update(index_elements=["project_id", "name"], set_={**values, "last_used_at": None})
        .returning(Secret)
        .execution_options(populate_existing=True)
    ).one()
    secret.sealed = seal.seal(value, _row(secret), seal.keys(get_settings()))
    session.flush()
    told = {"name": name, "kind": str(body.kind), "for": body.origin or "hub"}
    audit.record(session, user, project.id, "set", "secret", secret.id, told)
    return _out(secret, user.name)


def delete(session: Session, project: Project, user: User, name: str) -> None:
    """Forget a secret.  Raises NotFound."""
    found = session.scalars(
        select(Secret).where(Secret.project_id == project.id, Secret.name == name).with_for_update()
    ).first()
    if found is None:
        raise NotFound.of("secret")
    session.delete(found)
    audit.record(session, user, project.id, "delete", "secret", found.id, {"name": name})


def seal_again(session: Session, user: User) -> int:
    """Seal everything under the first key, so that the older ones can be taken away; how many there were to do.

    All or nothing.  Raises SecretUnreadable, BadSecretKey.
    """
    ring = seal.keys(get_settings())
    old = [secret for secret in _all_locked(session) if not seal.current(secret.sealed, ring)]
    for secret in old:
        secret.sealed = seal.seal(seal.unseal(secret.sealed, _row(secret), ring), _row(secret), ring)
    count = len(old) + webhooks.seal_again(session, ring)
    audit.record(session, user, None, "seal_again", "secret", None, {"count": count})
    return count


def _all_locked(session: Session) -> Sequence[Secret]:
    return session.scalars(select(Secret).order_by(Secret.id).with_for_update()).all()


def _hint(value: str) -> str:
    """The end of a value, as far as it gives nothing away: nothing of a short one."""
    return value[-4:] if len(value) >= 16 else ""


def _out(secret: Secret, person: str | None) -> SecretOut:
    return SecretOut.model_validate(secret).model_copy(update={"set_by": person})
