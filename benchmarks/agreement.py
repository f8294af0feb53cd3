"""Quality of labels: what the lead's page takes with a hundred thousand labels, its queries included."""

import os
import time
import uuid
from collections.abc import Callable
from statistics import median

from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.app import create_app
from backend.db import transaction
from backend.deps import PROJECT_HEADER
from backend.labels import tallies
from backend.projects import members
from backend.projects.models import Project
from backend.quality import reliabilities
from backend.quality.models import Reliability
from backend.settings import get_settings
from backend.tasks import places
from backend.tasks.models import Task
from benchmarks.figure import Figure
from benchmarks.inside import inside

ITEMS = int(os.environ.get("PLUMBLINE_BENCH_LABELLED", "33334"))
OVERLAP, PEOPLE = 3, 50
TIMES = 5
PROMISED = 2.0
WORDS = "The river runs past an old mill where two herons wait for fish in the early light of a cold day. "
FILL = (
    "INSERT INTO items (project_id, dataset_id, position, split, prompt, prompt_hash, content_hash, responses, facts)"
    ' SELECT :project, :dataset, g, \'train\', \'[{"role": "user", "content": "A question"}]\', md5(\'p\' || g / 4),'
    " md5('c' || g), jsonb_build_array("
    " jsonb_build_object('role', 'assistant', 'content', g % 7 || repeat(:words, 2 + g % 5)),"
    " jsonb_build_object('role', 'assistant', 'content', g % 5 || repeat(:words, 2 + g % 3))), '{}'"
    " FROM generate_series(0, :items - 1) AS g",
    # Whoever labels sees the truth of an item, a number from -3 to 3, through noise of their own.
    "INSERT INTO labels (project_id, item_id, dataset_id, task_id, annotator_id, source, kind, value, seconds, swapped)"
    " SELECT :project, items.id, :dataset, :task, people.id, 'person', 'pair',"
    " jsonb_build_object('strength', greatest(-3, least(3,"
    " round(position % 7 - 3 + 3 * (random() + random() - 1))::int))), 2 + 30 * random(), random() < 0.5"
    " FROM items CROSS JOIN generate_series(0, :overlap - 1) AS vote"
    " JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM users WHERE name LIKE 'crowd%') AS people"
    " ON people.place = (position * 7 + vote * 11) % :people WHERE items.dataset_id = :dataset",
)


def measure() -> list[Figure]:
    """Requests of the real routes in one process; estimates of reliabilities as the worker makes them."""
    with inside() as here:
        ids, client = fill(here.engine)
        return [*pages(ids, client), jobs(here.engine, ids)]


def fill(engine: Engine) -> tuple[dict[str, uuid.UUID], TestClient]:
    """A task of pairs with three labels each by fifty people."""
    ids = {name: uuid.uuid4() for name in ("dataset", "task")}
    with transaction(engine) as session:
        lead = User(name="lead", password_hash="-")  # noqa: S106
        crowd = [User(name=f"crowd{number}", password_hash="-") for number in range(PEOPLE)]  # noqa: S106
        project = Project(name="Large")
        session.add_all([lead, *crowd, project])
        session.flush()
        members.join(session, project.id, lead, Role.owner)
        token = accounts.add_token(session, lead, "bench")[1]
        ids["project"] = project.id
        numbers = {"items": ITEMS, "overlap": OVERLAP, "people": PEOPLE, "words": WORDS}
        for statement in (
            "INSERT INTO datasets (id, project_id, name, kind, description, toy, splits)"
            " VALUES (:dataset, :project, 'Large', 'paired', '', false, '{}')",
            'INSERT INTO tasks (id, project_id, dataset_id, name, question, guidelines, overlap, gold_share, "order",'
            " seed) VALUES (:task, :project, :dataset, 'Large',"
            ' \'{"kind": "pair", "scale": "strength", "both_bad": true}\', \'\', 3, 0, \'sequential\', 0)',
            *FILL,
        ):
            session.connection().execute(text(statement), ids | numbers)
        places.fill(session, session.get_one(Task, ids["task"]))
        tallies.recount(session, [ids["dataset"]])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    app = create_app(get_settings().model_copy(update={"allowed_hosts": ("testserver",)}))
    headers = {"authorization": f"Bearer {token}", PROJECT_HEADER: str(ids["project"])}
    return ids, TestClient(app, headers=headers)


def pages(ids: dict[str, uuid.UUID], client: TestClient) -> list[Figure]:
    """What each request of the page takes."""
    labels = ITEMS * OVERLAP
    found = []
    for name, path in {
        "agreement": "/tasks/{task}/agreement",
        "annotators": "/tasks/{task}/annotators",
        "disagreements": "/tasks/{task}/disagreements",
        "agreement of the dataset": "/datasets/{dataset}/agreement",
        "throughput by day": "/tasks/{task}/throughput?by=day",
        "throughput by hour": "/tasks/{task}/throughput?by=hour",
    }.items():
        address = f"/api/v1{path.format_map(ids)}"
        seconds = timed(lambda address=address: client.get(address).raise_for_status())  # type: ignore[misc]
        note = f"{labels:,} labels, {ITEMS:,} items, {PEOPLE} annotators; median of {TIMES}"
        found.append(Figure(name, seconds, "s", f"≤ {PROMISED:g} s", seconds <= PROMISED, note))
    return found


def timed(ask: Callable[[], object]) -> float:
    """The median of a few times, after one that warms up."""
    ask()
    taken = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - begun)
    return median(taken)


def jobs(engine: Engine, ids: dict[str, uuid.UUID]) -> Figure:
    """What the stored job computes, once."""
    with transaction(engine) as session:
        row = Reliability(project_id=ids["project"], dataset_id=ids["dataset"], task_id=ids["task"])
        read = reliabilities.read(session, row)
        session.expunge_all()
    begun = time.perf_counter()
    found = reliabilities.estimate(*read, lambda _: None)
    seconds = time.perf_counter() - begun
    said = found or {"converged": {}, "iterations": {}}
    note = ", ".join(f"{name}: {count} iterations" for name, count in said["iterations"].items())
    return Figure("reliabilities, a stored job", seconds, "s", "", None, f"{note}; not part of a page")
