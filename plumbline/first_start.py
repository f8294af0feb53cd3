"""What a database needs before the program works with it: the newest schema, a project, a first admin, the Tour."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import text

from backend.accounts import service as accounts
from backend.accounts.models import Role
from backend.db import MIGRATION_LOCK, transaction
from backend.projects import members
from backend.projects import service as projects
from backend.settings import Settings
from plumbline import seed
from plumbline.upgrade import upgrade

log = structlog.get_logger()


@dataclass(frozen=True)
class FirstAdmin:
    """The account made at the first start, with its password if that was made up here (it is stored nowhere)."""

    name: str
    password: str | None


def prepare(settings: Settings, tell: Callable[[str], object] = log.warning) -> FirstAdmin | None:
    """Afterwards the database is ready; returns the first admin if there was nobody yet. `tell` hears of an upgrade.

    Safe when several programs start at once: migrations take an advisory lock, the rest is one transaction that
    takes the same.
    """
    if settings.database_url is None:
        raise RuntimeError("The database must be chosen first.")
    upgrade(settings, tell)
    with transaction() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        project = projects.default(session)
        made = accounts.first_admin(session)
        if made is not None:
            members.join(session, project.id, made[0], Role.owner)
            if settings.seed_tour:
                seed.tour(session, project)
    if made is None:
        return None
    user, password = made
    return FirstAdmin(user.name, None if settings.admin_password else password)
