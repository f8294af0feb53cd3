"""Applies the rules of what projects keep, each project's once a day; what fails is tried again a day later."""

import structlog

from backend.db import transaction
from backend.errors import AppError
from backend.retention import service
from workers import shutdown

log = structlog.get_logger()


def work() -> None:
    """Afterwards every project whose rules were due keeps what they say, save what could not be removed."""
    while not shutdown.asked():
        with transaction() as session:
            due = service.take(session)
        if due is None:
            return
        apply(due)


def apply(due: service.Due) -> None:
    """Do what the rules of a project say, deed by deed."""
    with transaction() as session:
        deeds = service.deeds(session, due)
    for deed in deeds:
        if shutdown.asked():
            return
        try:
            with transaction() as session:
                deed(session)
        except AppError as error:
            log.warning("not removed by retention", project=str(due.project_id), cause=error.detail)
    if deeds:
        log.info("retention applied", project=str(due.project_id), deeds=len(deeds))
