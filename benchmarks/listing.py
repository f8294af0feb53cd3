"""Lists and the labelling queue: what a page takes with a thousand rows, with a hundred thousand and with a million."""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from statistics import quantiles
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text
from starlette.testclient import TestClient

from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.app import create_app
from backend.db import transaction
from backend.deps import PROJECT_HEADER
from backend.labels import tallies
from backend.projects import members
from backend.projects.models import Project
from backend.settings import get_settings
from benchmarks.figure import Figure
from benchmarks.inside import inside

SIZES = tuple(int(size) for size in os.environ.get("PLUMBLINE_BENCH_SIZES", "1000,100000,1000000").split(","))
REQUESTS = 60
FLAT, FLAT_MS = 2.0, 10.0  # times what the smallest takes, or so much more
BOUNDED_MS = 500.0  # where a page looks at a fixed number of rows: 20,000 of a search, 5,000 for the lengths
SENTENCE = "The river runs past an old mill where two herons wait for fish in the early light of a cold day."
FILL = (
    # A dataset of n pairs, each judged by a file, the first half by a person too, and a snapshot of all of them.
    "INSERT INTO items (project_id, dataset_id, position, split, prompt, prompt_hash, content_hash, responses, facts)"
    " SELECT :project, :dataset, g, CASE g % 20 WHEN 0 THEN 'test' WHEN 1 THEN 'validation' ELSE 'train' END,"
    " jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'Question ' || g || '. ' || :sentence)),"
    " md5('p' || g), md5('c' || g), jsonb_build_array("
    " jsonb_build_object('role', 'assistant', 'content', 'a ' || g || ' ' || :sentence),"
    " jsonb_build_object('role', 'assistant', 'content', 'b ' || g || ' ' || :sentence)), '{}'"
    " FROM generate_series(0, :n - 1) AS g",
    "INSERT INTO labels (project_id, item_id, dataset_id, source, value)"
    " SELECT :project, id, :dataset, 'import', '{\"strength\": 1}' FROM items WHERE dataset_id = :dataset"
    " ORDER BY position",
    "INSERT INTO labels (project_id, item_id, dataset_id, annotator_id, source, value)"
    " SELECT :project, id, :dataset, :other, 'person', '{\"strength\": 2}' FROM items WHERE dataset_id = :dataset"
    " AND position < :n / 2 ORDER BY position",
    "INSERT INTO snapshots (id, project_id, dataset_id, hash, kind, policy, counts, path)"
    " VALUES (:snapshot, :project, :dataset, md5(:n || ''), 'paired', '{}', '{}', '-')",
    "INSERT INTO snapshot_labels (snapshot_id, label_id)"
    " SELECT :snapshot, id FROM labels WHERE dataset_id = :dataset AND source = 'import'",
    # n of what a project has many of.
    "INSERT INTO datasets (project_id, name, kind, description, toy, splits)"
    " SELECT :crowd, 'Set ' || g, 'paired', '', false, '{}' FROM generate_series(1, :n) AS g",
    "INSERT INTO checkpoints (id, project_id, name, source, path, adapter, architecture, parameters, toy, own_template,"
    " pinned) VALUES (:checkpoint, :crowd, 'Base', 'toy', '/nowhere', false, 'x', 1, true, true, false)",
    "INSERT INTO runs (project_id, name, kind, spec, objective, checkpoint_id, snapshot_id, state, stop_requested,"
    " done, total, devices, events_offset, place) SELECT :crowd, 'Run ' || g, 'preference', '{}', 'dpo', :checkpoint,"
    " :snapshot, CASE WHEN g % 100 = 0 THEN 'failed' ELSE 'succeeded' END, false, 1, 1, 1, 0, 'worker'"
    " FROM generate_series(1, :n) AS g",
    "INSERT INTO audit_events (project_id, user_id, action, noun, noun_id, detail)"
    " SELECT :crowd, :other, CASE WHEN g % 1000 = 0 THEN 'delete' ELSE 'export' END, 'dataset', :dataset, '{}'"
    " FROM generate_series(1, :n) AS g",
)


class World(NamedTuple):
    """What was made for one size: a project with a large dataset, one with many rows, and a client for each."""

    n: int
    ids: dict[str, uuid.UUID]
    large: TestClient
    crowd: TestClient
    marks: dict[str, dict[str, str]]  # by table: the cursors of a page in the middle and of a late one


class Case(NamedTuple):
    """A thing to measure: its name, how it is asked once, and the most it may take where it looks at so many rows."""

    name: str
    ask: Callable[[World], object]
    most_ms: float | None = None


def measure() -> list[Figure]:
    """Pages of the real routes in one process, size by size; every size's rows lie in the same tables."""
    with inside() as here:
        app = create_app(get_settings().model_copy(update={"allowed_hosts": ("testserver",)}))
        worlds = [fill(here.engine, app, n) for n in SIZES]
        with here.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        return [figure for case in cases() for figure in compared(case, worlds)]


def fill(engine: Engine, app: Any, n: int) -> World:
    """Rows of one size, made by the database."""
    ids = {name: uuid.uuid4() for name in ("dataset", "snapshot", "checkpoint")}
    with transaction(engine) as session:
        people = [User(name=f"{name}{n}", password_hash="-") for name in ("bench", "other")]  # noqa: S106
        places = [Project(name=f"{name} {n}") for name in ("Large", "Crowd")]
        session.add_all([*people, *places])
        session.flush()
        for place in places:
            members.join(session, place.id, people[0], Role.owner)
        token = accounts.add_token(session, people[0], "bench")[1]
        ids |= {"other": people[1].id, "project": places[0].id, "crowd": places[1].id}
        connection = session.connection()
        connection.execute(
            text(
                "INSERT INTO datasets (id, project_id, name, kind, description, toy, splits)"
                " VALUES (:dataset, :project, 'Large', 'paired', '', false, '{}')"
            ),
            ids,
        )
        for statement in FILL:
            connection.execute(text(statement), ids | {"n": n, "sentence": SENTENCE})
        tallies.recount(session, [ids["dataset"]])
        marks = {name: cursors(connection, query, ids, n) for name, query in MARKED.items()}
    headers = {"authorization": f"Bearer {token}"}
    large, crowd = (TestClient(app, headers=headers | {PROJECT_HEADER: str(place.id)}) for place in places)
    return World(n, ids, large, crowd, marks)


MARKED = {
    "datasets": "SELECT id FROM datasets WHERE project_id = :crowd ORDER BY id DESC",
    "runs": "SELECT id FROM runs WHERE project_id = :crowd ORDER BY id DESC",
    "audit": "SELECT id FROM audit_events WHERE project_id = :crowd ORDER BY id DESC",
    "labels": "SELECT id FROM labels WHERE dataset_id = :dataset ORDER BY id",
    "snapshot": "SELECT label_id FROM snapshot_labels WHERE snapshot_id = :snapshot ORDER BY label_id",
    "items": "SELECT position FROM items WHERE dataset_id = :dataset ORDER BY position",
}


def cursors(connection: Connection, query: str, ids: dict[str, uuid.UUID], n: int) -> dict[str, str]:
    """Cursors that lists would give in the middle and a hundred rows before the end."""
    places = {"middle": n // 2, "late": n - 100}
    return {
        place: str(connection.execute(text(f"{query} OFFSET {offset} LIMIT 1"), ids).scalar_one())
        for place, offset in places.items()
    }


def cases() -> Iterator[Case]:
    """All that pages ask for and that might take longer the more there is."""
    for place in ("first", "middle", "late"):
        yield page(f"items, {place} page", "/datasets/{dataset}/items", "items", place, limit="20")
    yield page("items of the test split", "/datasets/{dataset}/items", limit="20", split="test")
    yield page("items found by a word that all have", "/datasets/{dataset}/items", limit="20", search="herons")
    none = page("items found by a word that none has", "/datasets/{dataset}/items", limit="20", search="xylophone")
    yield none._replace(most_ms=BOUNDED_MS)
    yield page("a dataset with its numbers", "/datasets/{dataset}")._replace(most_ms=BOUNDED_MS)
    yield page("datasets of a project with their numbers", "/datasets")
    yield page("labels of a dataset, first page", "/datasets/{dataset}/labels")
    yield page("labels of a dataset, late page", "/datasets/{dataset}/labels", "labels", "late")
    yield page("labels of a snapshot, late page", "/snapshots/{snapshot}/labels", "snapshot", "late")
    for noun in ("datasets", "runs", "audit"):
        for place in ("first", "middle", "late"):
            yield page(f"{noun}, {place} page", f"/{noun}", noun, place, crowd=True)
    yield page("runs that failed", "/runs", crowd=True, state="failed")
    yield page("audit events of a rare kind", "/audit", crowd=True, action="delete")
    yield page("kinds of audit events", "/audit/kinds", crowd=True)
    yield page("how far a dataset is", "/progress", dataset_id="{dataset}")
    yield page("Home", "/home")
    yield Case("next pair for a newcomer, half of them labelled", next_pair)
    yield Case("a label stored and the next pair leased", store_label)


def page(
    name: str,
    path: str,
    marked: str = "",
    place: str = "first",
    *,
    crowd: bool = False,
    **more: str,
) -> Case:
    """A request of a page after its cursor."""

    def ask(world: World) -> None:
        client = world.crowd if crowd else world.large
        query = more if place == "first" else more | {"cursor": world.marks[marked][place]}
        params = {key: value.format_map(world.ids) for key, value in query.items()}
        client.get(f"/api/v1{path.format_map(world.ids)}", params=params).raise_for_status()

    return Case(name, ask)


def next_pair(world: World) -> dict[str, Any]:
    """The card that is handed out."""
    answer = world.large.post(f"/api/v1/datasets/{world.ids['dataset']}/cards", json={"n": 1})
    card: dict[str, Any] = answer.raise_for_status().json()["cards"][0]
    return card


def store_label(world: World) -> None:
    """Judges what was handed out; the answer is the next pair."""
    card = next_pair(world)
    body = {"client_id": str(uuid.uuid4()), "lease": card["lease"], "value": {"strength": 1}, "seconds": 1.0}
    world.large.post(f"/api/v1/items/{card['item_id']}/labels", json=body).raise_for_status()


def compared(case: Case, worlds: list[World]) -> Iterator[Figure]:
    """The median of each size, the largest against the smallest; sizes take turns, so that all see the same machine."""
    spent: list[list[float]] = [[] for _ in worlds]
    for turn in range(REQUESTS + 5):
        for place, world in enumerate(worlds):
            began = time.perf_counter()
            case.ask(world)
            if turn >= 5:
                spent[place].append((time.perf_counter() - began) * 1000)
    first = quantiles(spent[0], n=2)[0]
    for world, took in zip(worlds, spent, strict=True):
        half, last = quantiles(took, n=2)[0], quantiles(took, n=100, method="inclusive")[-1]
        most = case.most_ms or max(first * FLAT, first + FLAT_MS)
        target = f"at most {most:g} ms" if case.most_ms else f"flat: at most {most:.0f} ms"
        note = f"n = {len(took)}, slowest of a hundred {last:.1f} ms"
        if world is worlds[0]:
            yield Figure(f"{case.name}: {world.n:,}", half, "ms", note=note)
        else:
            yield Figure(f"{case.name}: {world.n:,}", half, "ms", target, half <= most, note)
