"""The doorbell: Celery's application, task names, and ringing after a commit."""

from functools import lru_cache
from typing import Any, Literal

import structlog
from celery import Celery
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy import event
from sqlalchemy.orm import Session

from backend.settings import get_settings

Bell = Literal[
    "train",
    "imports",
    "evaluate",
    "arena",
    "accuracies",
    "fetch",
    "export",
    "push",
    "webhooks",
    "reliabilities",
    "token_scores",
    "contaminations",
    "suggest",
]
QUEUES: dict[str, str] = {
    "plumbline.train": "train",
    "plumbline.imports": "light",
    "plumbline.evaluate": "generate",
    "plumbline.arena": "generate",
    "plumbline.token_scores": "generate",
    "plumbline.suggest": "generate",
    "plumbline.accuracies": "generate",
    "plumbline.contaminations": "light",
    "plumbline.fetch": "light",
    "plumbline.export": "light",
    "plumbline.push": "light",
    "plumbline.webhooks": "light",
    "plumbline.reliabilities": "light",
    "plumbline.retention": "light",
    "plumbline.ring": "light",
    "plumbline.sweep": "light",
}
log = structlog.get_logger()


def broker_url(redis_url: str) -> str:
    """Celery's spelling of a Redis URL; a unix socket is `redis+socket://` there."""
    return "redis+socket://" + redis_url.removeprefix("unix://") if redis_url.startswith("unix://") else redis_url


@lru_cache
def get_celery() -> Celery:
    """The Celery application; messages carry nothing, so nothing is serialized and no result is kept."""
    url = get_settings().redis_url
    app = Celery("plumbline", broker=broker_url(url) if url else None)
    app.conf.update(
        task_routes={name: {"queue": queue} for name, queue in QUEUES.items()},
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"socket_timeout": 5, "socket_connect_timeout": 5},
        task_publish_retry=False,
    )
    return app


def ring(session: Session, bell: Bell) -> None:
    """After `session` commits, a worker looks at its queue. Lost or doubled rings do no harm."""
    session.info.setdefault("bells", set()).add(bell)


def ring_now(bell: Bell) -> None:
    """Ring outside a transaction; a broker that is away is logged, and beat rings again later."""
    name = f"plumbline.{bell}"
    try:
        get_celery().send_task(name, queue=QUEUES[name], ignore_result=True)
    except (BrokerError, OSError) as error:
        log.warning("doorbell not rung", bell=bell, cause=type(error).__name__)


@event.listens_for(Session, "after_commit")
def _after_commit(session: Session) -> None:
    if session.in_nested_transaction():  # the hook also fires for savepoints
        return
    bells: set[Any] = session.info.pop("bells", set())
    for bell in sorted(bells):
        ring_now(bell)


@event.listens_for(Session, "after_rollback")
def _after_rollback(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop("bells", None)
