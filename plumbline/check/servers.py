"""Checks of database, broker, workers and storage."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import redis
from sqlalchemy import text

from backend import presence, storage
from backend.db import known, newest
from backend.errors import AppError
from backend.queue import QUEUES
from plumbline.check.said import Level, Said, ok, problem, warning
from plumbline.check.scene import Scene

POSTGRES = 18
SKEW_WARNING, SKEW_PROBLEM = 2.0, 20.0  # heartbeats count as stopped after 60 s


def database(scene: Scene) -> Said:
    """That Postgres answers, and is new enough."""
    if scene.connection is None:
        return scene.database
    number = int(scene.connection.scalar(text("SHOW server_version_num")) or 0)
    encoding = scene.connection.scalar(text("SHOW server_encoding"))
    if number < POSTGRES * 10_000:
        return problem(f"It is PostgreSQL {number // 10_000}, and {POSTGRES} is needed.", "Upgrade the server.")
    if encoding != "UTF8":
        return problem(f"The database is encoded as {encoding}.", "Make one with ENCODING 'UTF8'.")
    return ok(f"{scene.database.found.removesuffix('.')}: PostgreSQL {number // 10_000}.{number % 10_000}.")


def schema(scene: Scene) -> Said | None:
    """That the tables are those of this program."""
    if scene.connection is None:
        return None
    found, private = scene.schema, scene.settings.database_url is None
    if found == newest():
        return ok(f"The schema is the newest ({found}).")
    if found is not None and not known(found):
        return problem(
            f"The schema ({found}) was made by a newer Plumbline; this one knows up to {newest()}.",
            "Start that version, or a newer one.",
        )
    what = f"The schema is {found}, and the newest is {newest()}." if found else "The database is empty."
    if private and scene.running is None:
        return warning(what, "Nothing to do: the next start brings it up to date.")
    return problem(what, "Stop web and workers, make a backup, and run `plumbline migrate`.")


def clock(scene: Scene) -> Said | None:
    """That this machine and the database agree on the time: heartbeats and sign-ins are judged by it."""
    if scene.connection is None:
        return None
    before = time.time()
    told = scene.connection.scalar(text("SELECT clock_timestamp()"))
    after = time.time()
    apart = abs(cast(datetime, told).astimezone(UTC).timestamp() - (before + after) / 2) - (after - before) / 2
    if apart < SKEW_WARNING:
        return ok("The clocks of this machine and of the database agree.")
    found = f"The clocks of this machine and of the database are {apart:,.0f} seconds apart."
    remedy = "Let NTP set the clocks of all machines."
    return problem(found, remedy) if apart > SKEW_PROBLEM else warning(found, remedy)


def broker(scene: Scene) -> Said:
    """That Valkey or Redis answers and never throws a message away to make room."""
    if scene.redis is None:
        return scene.broker
    try:
        facts = scene.redis.info()
    except redis.RedisError:
        return warning("Redis answers, but does not say what it is.", "Allow this user the command INFO.")
    name = "Valkey" if "valkey_version" in facts else "Redis"
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        return warning(
            f"{name} may drop messages when its memory is full (maxmemory-policy is {policy}).",
            "Set maxmemory-policy to noeviction.",
        )
    return ok(f"{scene.broker.found.removesuffix('.')}: {name} {facts.get('valkey_version', facts['redis_version'])}.")


def workers(scene: Scene) -> Said | None:
    """That every queue has a worker, and one of them carries the beat."""
    if scene.redis is None or not scene.deployed:
        return None
    try:
        alive = presence.workers(scene.redis)
    except redis.RedisError:
        return problem("The workers cannot be asked for.", "Look at Redis, then check again.")
    served = {queue for worker in alive for queue in worker.queues}
    idle = sorted(set(QUEUES.values()) - served)
    beats = sum(worker.beat for worker in alive)
    found = f"{len(alive)} alive"
    if "light" in idle:
        return problem(
            f"No worker serves the queue light ({found}): imports and exports wait.",
            "Start `plumbline worker light --beat`, and look at logs/worker-light.log.",
        )
    if not beats:
        return problem(
            "No worker carries the beat: work whose message was lost waits for ever.",
            "Start one light worker with --beat.",
        )
    if idle:
        return warning(
            f"No worker serves {' and '.join(idle)} ({found}): that work waits.",
            f"Start `plumbline worker {idle[0]}` where it should be done.",
        )
    if beats > 1:
        return warning(f"{beats} workers carry the beat; one is enough.", "Start the others without --beat.")
    return ok(f"{found}; every queue is served ({', '.join(sorted(served))}), and one carries the beat.")


def files(scene: Scene) -> Said:
    """That large files can be stored."""
    where = scene.settings.storage
    if not where:
        return ok("Large files lie in the data folder.")
    if "://" not in where and not Path(where).is_dir():
        return warning("The folder that PLUMBLINE_STORAGE names does not exist.", "Make or mount it on this machine.")
    try:
        storage.get_storage().check()
    except AppError as error:
        return Said(Level.problem, error.detail, error.remedy or "Look at PLUMBLINE_STORAGE.")
    return ok("The storage that PLUMBLINE_STORAGE names takes, gives back and forgets files.")
