"""Single parts of the program, each a process: the web server and the workers."""

import logging
import os
import threading
import time
import warnings

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from backend import storage
from backend.logs import configure
from backend.settings import get_settings
from plumbline.services import Trouble, check_port, check_services, require_schema, require_services
from workers import lifeline

SWEEP_SECONDS = 15.0
KEPT_SECONDS = 150
"""A connection at rest: longer than browsers and proxies keep theirs, or they send requests into what just closes."""
log = structlog.get_logger()


def web() -> None:
    """Serve API and pages until told to stop. Raises PortTaken or NoServices."""
    lifeline.hold()
    settings = get_settings()
    require_services(settings)
    check_port(settings)
    require_schema(settings)
    storage.get_storage().check()
    configure("web", settings)
    import uvicorn

    uvicorn.run(
        "plumbline.asgi:create",
        factory=True,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEPT_SECONDS,
        timeout_graceful_shutdown=3,
    )


def worker(queue: str, *, beat: bool, concurrency: int, generate: bool = True) -> None:
    """Work at `queue` until told to stop. Raises NoServices, StorageTrouble."""
    lifeline.hold()
    settings = get_settings()
    require_services(settings)
    require_schema(settings)
    storage.get_storage().check()
    configure(f"worker-{queue}", settings)
    from celery.platforms import SecurityWarning

    from workers.celery_app import app

    # It warns root of pickled messages; ours are JSON without content.
    warnings.simplefilter("ignore", SecurityWarning)

    # One run at a time and no fork before torch for training; a few processes for everything else.
    if queue == "train":
        threading.Thread(target=_sweep_own, daemon=True, name="sweep").start()
    queues = "light,generate" if queue == "light" and generate else queue
    pool = ["--pool=solo"] if queue == "train" else ["--pool=prefork", f"--concurrency={concurrency}"]
    logging.getLogger("celery").setLevel(logging.WARNING)
    app.worker_main(
        [
            *("--quiet", "worker", f"--queues={queues}", "--loglevel=INFO", *pool),
            f"--hostname={queue}-{os.getpid()}@%h",
            *("--without-gossip", "--without-mingle", "--without-heartbeat", *(["--beat"] if beat else [])),
        ]
    )


def _sweep_own() -> None:
    """End, again and again, what a worker that died on this machine has left: no other machine sees its folders."""
    from workers.tasks import sweep

    while True:
        try:
            sweep.own()
        except (OperationalError, InterfaceError):
            log.warning("database away; this machine's runs are looked at later")
        time.sleep(SWEEP_SECONDS)


class Unwell(Trouble):
    """The web server does not answer, or is not ready."""


def health(*, web: bool) -> None:
    """Returns when the servers that every part needs answer, with `web` also our own. Raises Trouble."""
    settings = get_settings()
    require_services(settings)
    check_services(settings)
    if web:
        from plumbline.embedded import holder
        from plumbline.up import answers, bound

        found = bound(settings, holder(settings.data))
        if not answers(found, "/health/ready"):
            raise Unwell(f"The web server does not answer on port {found.port}, or something that it needs is away.")
