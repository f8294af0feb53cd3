"""Numbers that are read when Prometheus asks: queues, work, workers, training, the pool and the disk.

Each part that does not answer is left out and told by `plumbline_part_up`; the others still come.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence

import redis
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import QueuePool, func, select, text, true
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend import presence
from backend.accuracy.models import Accuracy
from backend.checkpoints.models import Fetch
from backend.datasets.models import Import
from backend.db import get_engine, transaction
from backend.evaluations.models import Battle, Contamination, Evaluation, TokenScores
from backend.exports.models import Export, Push
from backend.quality.models import Reliability
from backend.queue import QUEUES
from backend.runs.models import Metric, Place, Run
from backend.settings import Settings, get_settings
from backend.suggestions.models import SuggestionJob
from backend.work import ACTIVE, State, Work

NOUNS: Mapping[str, type[Work]] = {
    "run": Run,
    "import": Import,
    "fetch": Fetch,
    "export": Export,
    "push": Push,
    "reliability": Reliability,
    "suggestion_job": SuggestionJob,
    "accuracy": Accuracy,
    "evaluation": Evaluation,
    "battle": Battle,
    "token_scores": TokenScores,
    "contamination": Contamination,
}
# Battles of the arena grow without end, and counting all of them takes longer with each.
UNFINISHED_ONLY = {"battle"}
THROUGHPUT = {"tokens": "throughput/tokens_per_second", "examples": "throughput/examples_per_second"}
PATIENCE = "SET LOCAL statement_timeout = '5s'"
Families = Iterator[GaugeMetricFamily]


def register(registry: CollectorRegistry) -> None:
    """Afterwards `registry` reads these numbers whenever it is asked."""
    registry.register(Gauges())


class Gauges(Collector):
    """Reads everything anew at each scrape."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        settings = get_settings()
        up = _family("part_up", "Whether a part answers.", "part")
        yield from _disk(settings)
        for part, read in (("database", _database), ("redis", _redis)):
            try:
                found = list(read(settings))
            except (SQLAlchemyError, redis.RedisError, RuntimeError, OSError):
                found = []
            yield from found
            up.add_metric([part], float(bool(found)))
        yield up


def _family(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"plumbline_{name}", documentation, labels=labels)


def _disk(settings: Settings) -> Families:
    try:
        usage = shutil.disk_usage(settings.data)
    except OSError:
        return
    free = _family("data_disk_free_bytes", "Free space on the disk of the data folder.")
    size = _family("data_disk_size_bytes", "Size of the disk of the data folder.")
    free.add_metric([], usage.free)
    size.add_metric([], usage.total)
    yield from (free, size)


def _database(_: Settings) -> Families:
    yield from _pool()
    with transaction() as session:
        session.execute(text(PATIENCE))
        yield from _work(session)
        yield from _training(session)


def _pool() -> Families:
    pool = get_engine().pool
    if isinstance(pool, QueuePool):
        family = _family("database_connections", "Connections of the web server to the database.", "state")
        family.add_metric(["used"], pool.checkedout())
        family.add_metric(["idle"], pool.checkedin())
        yield family


def _work(session: Session) -> Families:
    rows = _family("work_rows", "Pieces of work by noun and state.", "noun", "state")
    silent = _family("work_silent_seconds", "Longest silence of a worker about a piece of work it has.", "noun")
    waiting = _family("work_waiting_seconds", "How long the oldest queued piece of work has waited.", "noun")
    for noun, table in NOUNS.items():
        counts, silence, wait = _counts(session, noun, table)
        for state in State:
            if state in counts or noun not in UNFINISHED_ONLY or state in (State.queued, *ACTIVE):
                rows.add_metric([noun, state.value], counts.get(state, 0))
        silent.add_metric([noun], silence)
        waiting.add_metric([noun], wait)
    yield from (rows, silent, waiting)


def _counts(session: Session, noun: str, table: type[Work]) -> tuple[dict[State, int], float, float]:
    """Rows by state, the longest silence of active ones, and the longest wait of queued ones in seconds."""
    created = table.__table__.c.created_at  # type: ignore[attr-defined]
    # A run that is trained elsewhere waits for no worker.
    awaited = Run.place == Place.worker if table is Run else true()
    unfinished = table.state.in_((State.queued, *ACTIVE))
    wanted = unfinished if noun in UNFINISHED_ONLY else true()
    counting = select(table.state, func.count().label("n")).where(wanted).group_by(table.state)
    counts = {row.state: row.n for row in session.execute(counting)}
    now = func.clock_timestamp()
    silence = func.max(func.extract("epoch", now - table.heartbeat_at)).filter(table.state.in_(ACTIVE))
    wait = func.max(func.extract("epoch", now - created)).filter(table.state == State.queued, awaited)
    silent, waited = session.execute(select(silence, wait).where(unfinished)).one()
    return counts, max(0.0, float(silent or 0)), max(0.0, float(waited or 0))


def _training(session: Session) -> Families:
    """What the runs that train now do together. A run of its own is no label: there is no end of runs."""
    family = _family("training_per_second", "Tokens and examples that all running runs together train on.", "unit")
    running = session.scalars(select(Run.id).where(Run.state.in_(ACTIVE))).all()
    for unit, name in THROUGHPUT.items():
        newest = (
            session.scalar(
                select(Metric.value)
                .where(Metric.run_id == run_id, Metric.name == name)
                .order_by(Metric.step.desc())
                .limit(1)
            )
            for run_id in running
        )
        family.add_metric([unit], sum(value for value in newest if value is not None))
    yield family


def _redis(settings: Settings) -> Families:
    if settings.redis_url is None:
        return
    with presence.connect(settings.redis_url) as client:
        lengths = {queue: client.llen(queue) for queue in sorted(set(QUEUES.values()))}
        alive = presence.workers(client)
    yield from _queues(lengths, alive)


def _queues(lengths: Mapping[str, int], alive: Sequence[presence.Worker]) -> Families:
    depth = _family("queue_messages", "Doorbells that wait in a queue; the work itself is in work_rows.", "queue")
    serving = _family("workers", "Workers alive that serve a queue.", "queue")
    beating = _family("beats", "Workers alive that carry the beat; one is right.")
    silent = _family("worker_heartbeat_age_seconds", "How long ago a worker last said that it is alive.", "worker")
    for queue, length in lengths.items():
        depth.add_metric([queue], length)
        serving.add_metric([queue], sum(queue in worker.queues for worker in alive))
    beating.add_metric([], sum(worker.beat for worker in alive))
    for worker in alive:
        silent.add_metric([worker.name], worker.silent_seconds)
    yield from (depth, serving, beating, silent)
