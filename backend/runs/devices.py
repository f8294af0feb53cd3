"""On how many devices a run can train: what this machine has, and those whose workers are alive."""

import os
from functools import lru_cache

import redis
from sqlalchemy import ColumnElement, func

from backend import presence
from backend.errors import Invalid
from backend.presence import Machine, Worker
from backend.presets.machine import gpus
from backend.runs.models import Run
from backend.runs.schemas import RunIn


class TooManyDevices(Invalid):
    title = "No worker has so many devices"


@lru_cache(maxsize=1)
def here() -> Machine:
    """What this machine has; of its GPUs those that CUDA_VISIBLE_DEVICES leaves."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = len(gpus())
    if shown is not None:
        found = min(found, len([name for name in shown.split(",") if name.strip() not in ("", "-1")]))
    return Machine(found, os.cpu_count() or 1)


def largest(redis_url: str | None) -> Machine | None:
    """The machine with most devices of those whose workers train and are alive; None when nobody knows of any."""
    found = [worker.machine for worker in _trainers(redis_url)]
    return max(found, key=lambda machine: (machine.gpus, machine.processors), default=None)


def able(redis_url: str | None, count: int) -> list[Machine]:
    """The machines of living workers that could take a run on so many devices."""
    return [worker.machine for worker in _trainers(redis_url) if worker.machine.devices >= count]


def only_here(redis_url: str | None) -> bool:
    """Whether it is known that a worker of this machine will train: there are some, and none elsewhere."""
    return {worker.host for worker in _trainers(redis_url)} == {presence.host()}


def _trainers(redis_url: str | None) -> list[Worker]:
    """The workers that train and are alive, as far as somebody knows of any."""
    if redis_url is None:
        return []
    try:
        with presence.connect(redis_url) as client:
            return [worker for worker in presence.workers(client) if "train" in worker.queues]
    except redis.RedisError:
        return []


def refuse_too_many(body: RunIn, machine: Machine | None) -> None:
    """Raise TooManyDevices when the run asks for more than the largest machine has; elsewhere, training itself does."""
    if machine is None or body.where != "worker" or body.devices <= machine.devices:
        return
    kind = "GPU" if machine.gpus else "processor"
    most = f"{machine.devices} {kind}{'' if machine.devices == 1 else 's'}"
    raise TooManyDevices(
        f"The run asks for {body.devices} devices, and the largest worker has {most}.",
        field="devices",
        remedy=f"Ask for {machine.devices} or fewer, or start a worker where there are more.",
    )


def fitting(machine: Machine) -> ColumnElement[bool]:
    """Which runs ask for no more devices than the machine has."""
    return func.coalesce(Run.spec["devices"].as_integer(), 1) <= machine.devices
