"""Runs on several devices: as many as a living worker has, and taken by a worker that has them."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from alignment.training.estimate import ERROR
from alignment.training.timing import Speed
from backend import presence, work
from backend.checkpoints.models import Checkpoint
from backend.datasets import service as datasets
from backend.db import transaction
from backend.presence import Machine
from backend.projects import service as projects
from backend.runs import devices, estimate
from backend.runs.models import Metric, Run
from backend.settings import Settings
from tests import loop
from tests.backend.runs.conftest import Body, Launched, change
from tests.conftest import Client

SLOW, FAST = (Speed(fp32=((64, speed),), bf16=((64, 2 * speed),)) for speed in (1e3, 1e9))
"""Where a small run takes hours, and where it takes no longer than it takes to begin."""
EIGHT = Machine(gpus=8, processors=64)
PROCESSORS = Machine(processors=2)


@pytest.fixture
def redis(settings: Settings, clean: None) -> Iterator[Any]:
    assert settings.redis_url is not None
    with presence.connect(settings.redis_url) as client:
        yield client


def test_no_more_than_a_worker_has(researcher: Client, body: Body, redis: Any) -> None:
    """A run for more devices than the largest worker has would wait for ever: it is refused, with the number."""
    presence.announce(redis, ("train",), beat=False, machine=EIGHT)

    refused = researcher.post("/api/v1/runs", json=body(devices=9))
    assert refused.status_code == 422
    assert refused.json()["field"] == "devices"
    assert "largest worker has 8 GPUs" in refused.json()["detail"]
    [error] = researcher.post("/api/v1/runs/preflight", json=body(devices=9)).json()["errors"]
    assert (error["field"], error["detail"]) == ("devices", refused.json()["detail"])
    assert researcher.post("/api/v1/runs", json=body(devices=8)).status_code == 202
    assert researcher.post("/api/v1/runs", json=body(devices=9, where="report")).status_code == 202
    assert researcher.get("/api/v1/run-form").json()["gpus"] == 8


def test_a_worker_that_does_not_train_counts_for_nothing(researcher: Client, body: Body, redis: Any) -> None:
    """Where nobody is known who trains, a run may wait for whoever comes."""
    presence.announce(redis, ("light", "generate"), beat=False, machine=PROCESSORS)

    assert researcher.post("/api/v1/runs", json=body(devices=9)).status_code == 202
    assert researcher.get("/api/v1/run-form").json()["gpus"] is None


def test_processors_alone_gain_nothing(researcher: Client, body: Body, redis: Any) -> None:
    """Several processes on a machine without GPUs are allowed, and said to be of no use."""
    presence.announce(redis, ("train",), beat=False, machine=PROCESSORS)

    found = researcher.post("/api/v1/runs/preflight", json=body(devices=2)).json()

    assert found["errors"] == []
    [doubt] = [warning for warning in found["warnings"] if warning["field"] == "devices"]
    assert "no faster than one" in doubt["detail"]


def test_one_device_shares_with_nobody(researcher: Client, body: Body) -> None:
    """How to share is refused where there is nothing to share, by its field."""
    [error] = researcher.post("/api/v1/runs/preflight", json=body(parallel="ddp")).json()["errors"]

    assert error["field"] == "parallel"


def test_a_moving_anchor_is_not_sharded(researcher: Client, body: Body, redis: Any) -> None:
    """Refused by launch and pre-flight, before anything is queued or loaded; where nobody chose, it is launched."""
    presence.announce(redis, ("train",), beat=False, machine=EIGHT)
    items = loop.pairs(60)
    for item in items:
        item.facts["soft_label"] = 0.9
    with transaction() as session:
        dataset = datasets.create_from_items(session, projects.default(session), "Soft labels", items)
    objective = {"name": "adpo_pair_soft", "anchor_decay": 0.9}
    sent = {**body(objective=objective, devices=2), "dataset_id": str(dataset.id)}

    refused = researcher.post("/api/v1/runs", json={**sent, "parallel": "fsdp"})
    [error] = researcher.post("/api/v1/runs/preflight", json={**sent, "parallel": "fsdp"}).json()["errors"]

    assert (refused.status_code, refused.json()["field"], error["field"]) == (422, "parallel", "parallel")
    assert error["detail"] == refused.json()["detail"]
    assert "leave anchor_decay empty" in refused.json()["remedy"]
    assert researcher.post("/api/v1/runs", json=sent).status_code == 202


def test_a_worker_takes_what_fits_its_machine(launched: Launched) -> None:
    """A run for more devices waits for a larger machine, and those behind it do not; older rows ask for one."""
    large, small = launched(devices=4)["id"], launched()["id"]
    with transaction() as session:
        spec = {name: value for name, value in session.get_one(Run, small).spec.items() if name != "devices"}
    change(small, spec=spec)

    def taken(machine: Machine) -> str | None:
        with transaction() as session:
            found = work.claim(session, Run, devices.fitting(machine))
            return None if found is None else str(found.id)

    assert taken(PROCESSORS) == small
    assert taken(PROCESSORS) is None
    assert taken(EIGHT) == large


def test_hidden_gpus_are_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is shown some of the machine's GPUs offers those."""
    monkeypatch.setattr(devices, "gpus", lambda: ("one", "two", "three"))
    for shown, expected in ((None, 3), ("0,2", 2), ("", 0), ("-1", 0), ("0,1,2,3", 3)):
        devices.here.cache_clear()
        if shown is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
        assert devices.here().gpus == expected
    devices.here.cache_clear()


def test_what_can_never_fit_holds_the_launch_back(
    researcher: Client, body: Body, real: Checkpoint, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the machine of all workers has, even if the estimate were off by its error, is a problem; what is only
    more than is free, or may be taken by a machine that nobody here knows, is a warning, and so it is where nobody
    knows how long the examples are. Both say what to change."""
    batch = {"examples_per_step": 4, "tokens_per_pack": 10_000}
    uncounted, counted = body(batch=batch), body(batch=batch, checkpoint_id=str(real.id))

    def told(share: float, sent: dict[str, Any] = counted) -> dict[str, list[dict[str, Any]]]:
        """The findings about memory, by kind, on a machine with that share of what is needed."""
        needed = researcher.post("/api/v1/runs/preflight", json=sent).json()["estimate"]["memory_bytes"]
        memory = psutil.virtual_memory()._replace(total=int(share * needed))
        with monkeypatch.context() as patched:
            patched.setattr(psutil, "virtual_memory", lambda: memory)
            patched.setattr(estimate, "free_memory", lambda: 1)
            found = researcher.post("/api/v1/runs/preflight", json=sent).json()
        return {
            kind: [one for one in found[kind] if one["field"] == "batch.tokens_per_pack"]
            for kind in ("errors", "warnings")
        }

    unknown = told(0.1)
    presence.announce(redis, ("train",), beat=False, machine=PROCESSORS)
    never, close, full = told(0.1), told(1 / (1 + ERROR) + 0.05), told(0.1, uncounted)
    redis.set(f"{presence.PREFIX}elsewhere:1", redis.get(presence.PREFIX + presence.name()), ex=60)
    elsewhere = told(0.1)

    assert [len(found["errors"]) for found in (unknown, never, close, full, elsewhere)] == [0, 1, 0, 0, 0]
    assert [len(found["warnings"]) for found in (unknown, never, close, full, elsewhere)] == [1, 0, 1, 1, 1]
    assert re.fullmatch(
        r"About [\d.,]+ [MG]B of memory are needed, and this machine has [\d.,]+ [MG]B\.", never["errors"][0]["detail"]
    )
    assert re.search(r"and 0 kB are free\.", close["warnings"][0]["detail"])
    for finding in (never["errors"][0], close["warnings"][0]):
        assert "Lower batch.tokens_per_pack from 10,000" in finding["remedy"]
        assert "LoRA" in finding["remedy"]


def test_a_first_run_is_told_a_time_by_how_fast_machines_compute(
    researcher: Client, body: Body, real: Checkpoint, launched: Launched, redis: Any
) -> None:
    """From the fastest that could take it to the slowest; as soon as a run like it was measured, by that."""

    def told(**changes: Any) -> tuple[Any, Any]:
        sent = body(checkpoint_id=str(real.id), **changes)
        estimate = researcher.post("/api/v1/runs/preflight", json=sent).json()["estimate"]
        return estimate["seconds_by"], estimate["seconds"]

    def announced(name: str, machine: Machine) -> None:
        presence.announce(redis, ("train",), beat=False, machine=machine)
        redis.rename(presence.PREFIX + presence.name(), f"{presence.PREFIX}{name}:1")

    nobody = told()
    announced("small", PROCESSORS._replace(speed=SLOW))
    slow, half, together, elsewhere = told(), told(precision="bf16"), told(devices=2), told(where="report")
    announced("large", EIGHT._replace(speed=FAST))
    both, large = told(), told(devices=4)
    announced("large", EIGHT._replace(speed=SLOW))
    shared = told(devices=4)
    announced("large", EIGHT)
    unknown = told()

    run = launched(checkpoint_id=str(real.id))
    with transaction() as session:
        name = "throughput/examples_per_second"
        session.add(Metric(run_id=uuid.UUID(run["id"]), name=name, step=1, value=8.0, at=0))

    assert nobody == elsewhere == unknown == (None, None)
    assert slow[0] == "speed"
    low, high = slow[1]
    assert (high, low > 600) == (pytest.approx(4 * low), True)
    assert half[1][0] == pytest.approx(low / 2, rel=0.02)
    assert together == slow  # processes share the processors
    assert (both[1][0] < 60, both[1][1]) == (True, high)
    assert large[1][1] < 60
    assert shared[1][0] == pytest.approx(low / 4, rel=0.02)
    assert told() == ("runs", pytest.approx((16 / 8 * 0.5, 16 / 8 * 2.0)))
