"""Getting back in when a password is lost: only for somebody who may run commands on the server."""

import structlog
from sqlalchemy import select

from backend.accounts import service as accounts
from backend.accounts.models import User
from backend.db import transaction
from backend.errors import NotFound
from backend.settings import get_settings
from plumbline.services import borrowed
from plumbline.upgrade import upgrade

log = structlog.get_logger()


class NobodyOfThatName(NotFound):
    """There is no account of that name."""


def reset(name: str) -> str:
    """The new random password of the person called `name`, whose account is open again. Raises NobodyOfThatName."""
    with borrowed(get_settings()):
        upgrade(get_settings(), log.warning)
        with transaction() as session:
            user = session.scalars(select(User).where(User.name == name.strip().lower())).first()
            if user is None:
                names = session.scalars(select(User.name).order_by(User.name)).all()
                known = f"There are: {', '.join(names)}." if names else "There is nobody yet."
                raise NobodyOfThatName(f"There is nobody called {name}.", remedy=known)
            user.active = True
            return accounts.reset_password(session, user)
