"""The worker's Celery application: what each task name runs, and when beat rings.

    celery -A workers.celery_app worker …        (`plumbline worker light|train` calls the same)

A task carries no arguments and decides nothing: it looks at the queue in the database. The module that does the work
is imported when its task first arrives, so that a worker is up in a second and only those that need torch load it.
"""

from importlib import import_module
from typing import Any

from celery import Celery, platforms, signals

from alignment.training.machine import share
from backend import trace
from backend.queue import QUEUES, get_celery
from workers import presence, shutdown

RING_SECONDS = 5.0
SWEEP_SECONDS = 15.0
RETENTION_SECONDS = 600.0  # how often it is asked whose rules are due; each project's are once a day


def make_app() -> Celery:
    """The application with every task of `QUEUES` and the beat schedule."""
    app = get_celery()
    for name in QUEUES:
        _register(app, name)
    app.conf.update(
        beat_schedule={
            "ring": {"task": "plumbline.ring", "schedule": RING_SECONDS, "options": {"expires": RING_SECONDS}},
            "sweep": {"task": "plumbline.sweep", "schedule": SWEEP_SECONDS, "options": {"expires": SWEEP_SECONDS}},
            "retention": {
                "task": "plumbline.retention",
                "schedule": RETENTION_SECONDS,
                "options": {"expires": RETENTION_SECONDS},
            },
        },
        # Intervals of seconds need no memory of earlier days, so beat keeps no file that a crash could spoil.
        beat_scheduler="celery.beat:Scheduler",
        beat_max_loop_interval=RING_SECONDS,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_max_retries=None,
        timezone="UTC",
    )
    return app


def _register(app: Celery, name: str) -> None:
    """Afterwards the task `name` (`plumbline.x`) runs `work()` of `workers/tasks/x.py`."""
    module = f"workers.tasks.{name.removeprefix('plumbline.')}"

    @app.task(name=name, ignore_result=True)  # type: ignore[untyped-decorator]
    def task() -> None:
        trace.forget()
        import_module(module).work()


@signals.beat_embedded_init.connect  # type: ignore[untyped-decorator]
def _tie_beat(**_: object) -> None:
    """Beat dies with the worker it belongs to, as the processes of the pool do."""
    platforms.set_pdeathsig("SIGKILL")


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def _be_modest(**_: object) -> None:
    """What the pool's processes compute later takes no more of the machine than it needs: others run beside it."""
    share()


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _tell_tasks(**_: object) -> None:
    shutdown.ask()


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _be_seen(sender: Any, **_: object) -> None:
    presence.begin(sender.controller)


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
def _be_gone(**_: object) -> None:
    presence.end()


app = make_app()
