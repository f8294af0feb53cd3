"""An instance to back up, with something in every place that a backup must look at."""

import uuid

import pytest
from sqlalchemy import text

from backend.db import get_engine
from backend.settings import Settings
from tests.backups import TINY, Objects, place
from tests.rows import fill


@pytest.fixture
def full(clean: None, settings: Settings) -> Objects:
    """An instance with a row in every table; the objects that its rows name, by their keys."""
    checkpoint, upload, inside = f"checkpoints/{uuid.uuid4()}", f"uploads/{uuid.uuid4()}", f"checkpoints/{uuid.uuid4()}"
    held = {checkpoint: TINY, f"snapshots/{'ab' * 32}": {"rows.parquet": b"PAR1"}, inside: TINY, upload: {"": b"{}"}}
    for key, content in held.items():
        place(settings.data / key, content) if "" not in content else place(settings.data, {key: content[""]})
    with get_engine().begin() as connection:
        fill(connection)
        named = {"checkpoint": checkpoint, "upload": str(settings.data / upload), "inside": str(settings.data / inside)}
        connection.execute(text("UPDATE checkpoints SET path = :checkpoint"), named)
        connection.execute(text("UPDATE snapshots SET path = 'snapshots/' || hash"))
        connection.execute(text("UPDATE uploads SET path = :upload, removed_at = NULL"), named)
        connection.execute(text("UPDATE checkpoints SET removed_at = NULL"))
        connection.execute(
            text(
                "INSERT INTO checkpoints SELECT (jsonb_populate_record(c, jsonb_build_object("
                "'id', uuidv7(), 'path', CAST(:inside AS text), 'step', 8))).* FROM checkpoints c"
            ),
            named,
        )
    return held
