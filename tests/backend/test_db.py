"""Connections to the database: kept, asked after a rest, and replaced when the server has let them go."""

import pytest
from sqlalchemy import Engine, text

from backend import db
from backend.db import make_engine, transaction
from plumbline.embedded import Embedded

OWN = text("SELECT pg_backend_pid()")
LET_GO = text("SELECT pg_terminate_backend(:pid, 5000)")


def own(engine: Engine) -> int:
    """The server's process behind the connection that comes next."""
    with transaction(engine) as session:
        return int(session.scalar(OWN) or 0)


def test_a_connection_that_the_server_let_go_is_replaced(servers: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart of the server nobody who comes later meets an error; a connection in use all the time is not
    asked each time whether it is there."""
    engine, other = make_engine(servers.database_url), make_engine(servers.database_url)
    try:
        first = own(engine)
        assert own(engine) == first
        with transaction(other) as session:
            assert session.scalar(LET_GO, {"pid": first})
        monkeypatch.setattr(db, "RESTED_SECONDS", 0.0)
        second = own(engine)
        assert second != first
        assert own(engine) == second
    finally:
        engine.dispose()
        other.dispose()
