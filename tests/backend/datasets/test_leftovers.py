"""What is kept for a while and then removed."""

from datetime import timedelta

from sqlalchemy import select, update

from backend.accounts.models import IdempotencyKey
from backend.datasets import imports
from backend.datasets.models import Upload
from backend.db import transaction
from backend.settings import Settings
from backend.work import now
from tests.backend.datasets.conftest import lines, pair, start, upload
from tests.conftest import Client


def test_a_week_later(researcher: Client, settings: Settings) -> None:
    """Uploads that no import used and answers kept for a repeated request go after a week, files too; an imported
    upload, a fresh one and a fresh answer stay."""
    content = lines([pair(1)])
    old, fresh = upload(researcher, content), upload(researcher, content)
    used = start(researcher, content)["upload_id"]
    with transaction() as session:
        for key in ("old", "fresh"):
            session.add(IdempotencyKey(user_id=researcher.user.id, key=key, request_hash="-", body={}))
    past = now() - timedelta(days=7, minutes=1)
    with transaction() as session:
        session.execute(update(Upload).where(Upload.id.in_([old, used])).values(created_at=past))
        session.execute(update(IdempotencyKey).where(IdempotencyKey.key == "old").values(created_at=past))

    with transaction() as session:
        imports.sweep(session)

    with transaction() as session:
        assert {str(one) for one in session.scalars(select(Upload.id))} == {fresh, used}
        assert session.scalars(select(IdempotencyKey.key)).all() == ["fresh"]
    assert {one: (settings.uploads / one).exists() for one in (old, fresh, used)} == {
        old: False, fresh: True, used: True
    }  # fmt: skip
