"""Checks of what the database holds: secrets that open, people who can come in, projects that have an owner."""

from sqlalchemy import ColumnElement, Exists, Select, exists, select
from sqlalchemy.orm import Session

from backend.accounts.models import Role, User
from backend.accounts.service import hasher
from backend.audit.models import AuditEvent
from backend.projects.models import Membership, Project
from backend.secrets import seal
from backend.secrets import service as secrets
from backend.secrets.models import Secret
from plumbline.check.said import Level, Said, ok, problem, warning
from plumbline.check.scene import Scene


def secret_key(scene: Scene) -> Said:
    """That stored secrets can be opened; a key that is not there is not made."""
    settings = scene.settings
    if settings.secret_key is None and not (settings.data / seal.FILE).exists():
        if scene.rows is not None and scene.rows.scalar(select(exists().select_from(Secret))):
            return problem(
                "Secrets are stored, and the key they were encrypted with is not here.",
                f"Bring back {seal.FILE} of the data folder or PLUMBLINE_SECRET_KEY, or set the secrets again.",
            )
        return ok("There is no key and nothing that needs one; the first secret makes it.")
    try:
        ring = seal.keys(settings)
    except seal.BadSecretKey as bad:
        return Said(Level.problem, bad.detail, bad.remedy)
    if scene.rows is None:
        return ok("The key of stored secrets can be read.")
    with Session(scene.rows) as session:
        count, closed = secrets.openable(session, ring)
    if closed:
        return problem(
            f"{closed} of {count} stored secrets cannot be opened with the key that is here.",
            "Give the old key as well (PLUMBLINE_SECRET_KEY takes several), or set those secrets again.",
        )
    return ok(f"The key opens all {count} stored secrets." if count else "The key of stored secrets can be read.")


def admins(scene: Scene) -> Said | None:
    """That somebody can look after accounts."""
    if scene.rows is None:
        return None
    names = scene.rows.scalars(select(User.name).where(User.admin, User.active).order_by(User.name)).all()
    if not names:
        return problem("No admin's account is open.", "Run `plumbline reset-password NAME` for one of them.")
    return ok(f"{len(names)} {'admin' if len(names) == 1 else 'admins'}: {_some(list(names))}.")


def first_password(scene: Scene) -> Said | None:
    """That the first admin's password is nobody else's knowledge any more."""
    if scene.rows is None:
        return None
    first = scene.rows.execute(
        select(User.id, User.name, User.password_hash).where(User.admin, User.active).order_by(User.id).limit(1)
    ).first()
    if first is None:
        return None
    given = scene.settings.admin_password
    if given is not None and hasher().verify(given, first.password_hash):
        return warning(
            f"The password of {first.name} still stands in PLUMBLINE_ADMIN_PASSWORD.",
            "Change it on the Account page, and take the variable away.",
        )
    changed = exists().where(AuditEvent.noun == "password", AuditEvent.noun_id == first.id)
    if not scene.rows.scalar(select(changed)):
        return warning(
            f"No change of {first.name}'s password is on record since the first start showed it.",
            "Change it on the Account page.",
        )
    return ok(f"{first.name} has another password than at first.")


def projects(scene: Scene) -> Said | None:
    """That every project that is open has somebody to look after it."""
    if scene.rows is None:
        return None
    alone = scene.rows.scalars(_open().where(~_member())).all()
    if alone:
        return warning(
            f"Projects without a member: {_some(list(alone))}.", "Archive them, or, as an admin, add somebody."
        )
    ownerless = scene.rows.scalars(_open().where(~_member(Membership.role == Role.owner))).all()
    if ownerless:
        return warning(f"Projects without an owner: {_some(list(ownerless))}.", "Make a member the owner, as an admin.")
    return ok("Every open project has an owner.")


def _open() -> Select[str]:
    return select(Project.name).where(Project.deleted_at.is_(None), Project.archived_at.is_(None)).order_by(Project.id)


def _member(*more: ColumnElement[bool]) -> Exists:
    return exists().where(Membership.project_id == Project.id, Membership.user_id == User.id, User.active, *more)


def people(scene: Scene) -> Said | None:
    """That whoever can sign in finds something there."""
    if scene.rows is None:
        return None
    nowhere = scene.rows.scalars(
        select(User.name)
        .where(User.active, ~User.admin, ~exists().where(Membership.user_id == User.id))
        .order_by(User.name)
    ).all()
    if nowhere:
        return warning(
            f"People who can sign in and are in no project: {_some(list(nowhere))}.",
            "Add them to a project, or close their accounts.",
        )
    return ok("Everybody who can sign in is in a project.")


def _some(names: list[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
