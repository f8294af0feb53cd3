"""The report, the judge's card, the grid and its filters: over a hundred thousand matches of ten thousand prompts."""

import os
import uuid

from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.app import create_app
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.deps import PROJECT_HEADER
from backend.evaluations.models import Evaluation
from backend.projects import members
from backend.projects.models import Project
from backend.settings import get_settings
from benchmarks.agreement import timed
from benchmarks.figure import Figure
from benchmarks.inside import inside

PROMPTS = int(os.environ.get("PLUMBLINE_BENCH_PROMPTS", "10000"))
CONTESTANTS = 5  # ten matches a prompt
PROMISED = 2.0
WORDS = "The river runs past an old mill where two herons wait for fish in the early light of a cold day. "
FILL = (
    "INSERT INTO matches (project_id, evaluation_id, position, prompt, prompt_hash, category, checkpoint_a,"
    " checkpoint_b, response_a, response_b, sampling, seed, state, stop_requested, done, total)"
    " SELECT :project, :evaluation, g, jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'Why ' || g)),"
    " md5('p' || g), 'kind ' || g % 7, a.id, b.id,"
    " jsonb_build_object('content', g || repeat(:words, 2 + g % 5), 'tokens', 90, 'ended', true),"
    " jsonb_build_object('content', g || repeat(:words, 2 + g % 3), 'tokens', 90, 'ended', true),"
    " '{}', 0, 'succeeded', false, 0, 0 FROM generate_series(0, :prompts - 1) AS g"
    " CROSS JOIN checkpoints AS a JOIN checkpoints AS b ON a.id < b.id ORDER BY g, a.id, b.id",
    "INSERT INTO verdicts (project_id, match_id, source, judge, swapped, probability, text)"
    " SELECT :project, matches.id, 'judge', 'llm', swapped, round(random()), repeat(:words, 3)"
    " FROM matches, (VALUES (false), (true)) AS orders (swapped)",
    "INSERT INTO verdicts (project_id, match_id, source, swapped, probability, value)"
    " SELECT :project, id, 'person', false, 1, '{\"strength\": 2}' FROM matches WHERE position % 50 = 0",
)
ASKED = {
    "the report": "/report",
    "the judge's report card": "/judge",
    "grid, first rows": "/grid/rows?limit=50",
    "grid, rows 9,000 on": "/grid/rows?limit=50&cursor=8999",
    "grid's outline": "/grid",
    "outline, B lost to A": "/grid?outcome=lost&contestant={b}&against={a}",
    "outline, changed with the side order": "/grid?outcome=contradicted",
    "outline, people said otherwise": "/grid?outcome=differs",
    "outline, one answer twice as long": "/grid?min_ratio=2",
    "outline, 50 words apart": "/grid?min_words=50",
    "outline, a text that nothing holds": "/grid?text=zebra quartz",
    "list, a filter that nothing meets": "/matches?outcome=failed",
}


def measure() -> list[Figure]:
    """Requests of the real routes in one process."""
    with inside() as here:
        return figures(*fill(here.engine))


def fill(engine: Engine) -> tuple[dict[str, uuid.UUID], TestClient]:
    """An evaluation whose every match was judged both ways, and every fiftieth prompt's by a person."""
    with transaction(engine) as session:
        lead = User(name="lead", password_hash="-")  # noqa: S106
        project = Project(name="Large")
        session.add_all([lead, project])
        session.flush()
        members.join(session, project.id, lead, Role.owner)
        token = accounts.add_token(session, lead, "bench")[1]
        rows = [Checkpoint(project_id=project.id, name=str(n), source=Source.folder, path=str(n)) for n in range(5)]
        for row in rows:
            row.architecture, row.parameters, row.max_tokens = "LlamaForCausalLM", 1, 128
            session.add(row)
            session.flush()
        evaluation = Evaluation(project_id=project.id, name="Large", contestants=[str(row.id) for row in rows], seed=0)
        evaluation.prompts, evaluation.judge, evaluation.sampling = {"count": PROMPTS}, {"name": "llm"}, {}
        session.add(evaluation)
        session.flush()
        ids = {"project": project.id, "evaluation": evaluation.id, "a": rows[0].id, "b": rows[1].id}
        for statement in FILL:
            session.execute(text(statement), ids | {"prompts": PROMPTS, "words": WORDS})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    app = create_app(get_settings().model_copy(update={"allowed_hosts": ("testserver",)}))
    headers = {"authorization": f"Bearer {token}", PROJECT_HEADER: str(ids["project"])}
    return ids, TestClient(app, headers=headers)


def figures(ids: dict[str, uuid.UUID], client: TestClient) -> list[Figure]:
    """What each request takes, as the page sends it."""
    found = []
    matches = PROMPTS * CONTESTANTS * (CONTESTANTS - 1) // 2
    for name, path in ASKED.items():
        address = f"/api/v1/evaluations/{ids['evaluation']}{path.format_map(ids)}"
        seconds = timed(lambda address=address: client.get(address).raise_for_status())  # type: ignore[misc]
        note = f"{matches:,} matches on {PROMPTS:,} prompts, {CONTESTANTS} contestants; median of 5"
        found.append(Figure(name, seconds, "s", f"≤ {PROMISED:g} s", seconds <= PROMISED, note))
    return found
