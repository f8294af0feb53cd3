"""The program's own parts in the process of a benchmark, on servers that are started for it alone."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import structlog
from sqlalchemy import Engine

from backend.db import get_engine, migrate
from backend.queue import get_celery
from backend.settings import get_settings
from plumbline.embedded import Embedded


class Inside(NamedTuple):
    """Where files lie, and the engine that every part of the program uses."""

    folder: Path
    engine: Engine


@contextmanager
def inside() -> Iterator[Inside]:
    """An empty, migrated database; what an earlier benchmark of this process knew of its servers is forgotten."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder, Embedded(Path(folder)) as servers:
        os.environ |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url, "PLUMBLINE_DATA": folder}
        for known in (get_settings, get_engine, get_celery):
            known.cache_clear()
        migrate(servers.database_url)
        try:
            yield Inside(Path(folder), get_engine())
        finally:
            get_engine().dispose()
