"""Every route of the API, fed what its schema allows and does not allow, never fails inside."""

import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation.meta import CoveragePhaseData
from schemathesis.hooks import HookContext
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.accounts import service as accounts
from backend.accounts.models import Identity, Role, User
from backend.accuracy.models import Accuracy
from backend.app import API
from backend.checkpoints.models import Checkpoint, Fetch
from backend.datasets.models import Dataset, Import, Item, Upload
from backend.db import ProjectRow, transaction
from backend.evaluations import arena, arena_votes, votes
from backend.evaluations import service as evaluations
from backend.evaluations.arena_schemas import BattleIn, VoteIn
from backend.evaluations.models import Evaluation, Match, TokenScores
from backend.evaluations.schemas import EvaluationIn, VerdictIn
from backend.exports.models import Dtype, Export, ExportKind, Push
from backend.labels import leases
from backend.labels import service as labels
from backend.projects import invitations
from backend.projects import service as projects
from backend.projects.models import Project
from backend.projects.schemas import InvitationIn
from backend.prompt_checks.models import PromptCheck
from backend.quality.models import Reliability
from backend.regressions.models import Regression
from backend.runs import readings
from backend.runs.models import Run, RunEvent
from backend.settings import Settings
from backend.suggestions.models import SuggestionJob
from backend.tasks import service as tasks
from backend.webhooks import service as webhooks
from backend.webhooks.schemas import WebhookIn
from backend.work import State
from plumbline.embedded import Embedded
from tests import loop
from tests.backend.checkpoints.conftest import config, weights
from tests.conftest import application
from tests.people import add_person

CHECKS: list[CheckFunction] = [not_a_server_error, content_type_conformance, response_schema_conformance]
PATIENCE = 120  # seconds: how long an answer takes is not what is asked
ANSWER = {"content": "A quiet place.", "tokens": 4, "ended": True}
Ids = dict[str, str | list[str]]

settled = SchemathesisConfig()
settled.projects.default.phases.coverage.unexpected_methods = {"TRACE"}
app = application(Settings(allowed_hosts=("testserver",), _env_file=None))
schema = schemathesis.openapi.from_asgi(f"{API}/openapi.json", app, config=settled)
met: set[tuple[Any, ...]] = set()


@schema.hook
def filter_case(context: HookContext, case: schemathesis.Case[Any]) -> bool:
    """Whether a case that was worked out beforehand says something that those before it did not: the same mistake at
    the same place of another alternative of a body does not, and alternatives repeat each other hundreds of times."""
    meta = case.meta
    if meta is None or not isinstance(meta.phase.data, CoveragePhaseData):
        return True
    told = meta.phase.data
    place = re.sub(r"/(anyOf|oneOf)/\d+", "", told.location or "")
    kind = (case.operation.label, told.scenario, told.parameter_location, told.parameter, place, told.description)
    new = kind not in met
    met.add(kind)
    return new


class World(NamedTuple):
    """An admin's token, by the name that paths and bodies use the id of one row of everything, and their project."""

    token: str
    ids: Ids
    project: str

    @property
    def headers(self) -> dict[str, str]:
        """What names the caller and the project: fuzzing makes others, which may come first."""
        return {"authorization": f"Bearer {self.token}", "plumbline-project": self.project}


@pytest.fixture(scope="module", autouse=True)
def offline() -> Iterator[None]:
    """No hub outside is asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def world(servers: Embedded, tmp_path_factory: pytest.TempPathFactory) -> World:
    """One row of every noun, made once: fuzzing ids alone would only ever meet 404."""
    with transaction() as session:
        user = add_person(session, Role.admin)
        other = add_person(session, Role.annotator)
        token = accounts.add_token(session, user, "fuzz")[1]
    checkpoints = [_checkpoint(tmp_path_factory.mktemp("model")) for _ in range(2)]
    dataset = loop.add_dataset()
    run = loop.add_run(user, checkpoints[0], dataset)
    with transaction() as session:
        project = projects.default(session)
        readings.record(session, run.id, [readings.Reading("loss", step, 1 / (step + 1), step) for step in range(30)])
        session.execute(update(Run).where(Run.id == run.id).values(events_offset=30))
        session.add(RunEvent(run_id=run.id, kind="log", step=1, payload={"message": "hello"}))
        identity = Identity(user_id=other.id, email=f"{other.name}@example.org")
        session.add(identity)
        session.flush()
        rows: Ids = {"user_id": str(other.id), "token_id": str(accounts.add_token(session, user, "spare")[0].id)}
        rows["identity_id"] = str(identity.id)
        rows |= _data(session, project, user, dataset)
        rows |= _matches(session, project, user, checkpoints)
        rows |= _regression(session, project, run.id, uuid.UUID(str(rows["evaluation_id"])))
        rows |= _exports(session, project, checkpoints[0]) | _spare_project(session, user)
        rows |= _webhook(session, project, user)
        project_id = str(project.id)
    ids = [str(one.id) for one in checkpoints]
    made: Ids = {"run_id": str(run.id), "snapshot_id": str(run.snapshot_id), "checkpoint_id": ids[0]}
    return World(token, rows | made | {"checkpoints": ids, "contestants": ids, "name": "dpo"}, project_id)


def _checkpoint(folder: Path) -> Checkpoint:
    """A checkpoint of headers alone."""
    (folder / "config.json").write_text(config())
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    weights(folder / "model.safetensors")
    return loop.add_checkpoint(folder)


def _data(session: Session, project: Project, user: User, dataset: Dataset) -> Ids:
    """An upload, an import, a download, and an item of `dataset` with a lease and a label."""
    upload = Upload(project_id=project.id, filename="a.jsonl", size=2, sha256="0" * 64, path="nowhere")
    session.add(upload)
    session.flush()
    read = Import(
        project_id=project.id, upload_id=upload.id, dataset_id=dataset.id, name="A", format="trl", state=State.succeeded
    )
    fetch = Fetch(project_id=project.id, name="A", hub_id="a/b", revision="main")
    session.add_all([read, fetch])
    item = session.scalars(select(Item).where(Item.dataset_id == dataset.id).limit(1)).one()
    task = tasks.standing(session, dataset)
    (held,) = leases.hold(session, task, user.id, [item], None)
    label = labels.add_vote(
        session, item, {"strength": 1}, annotator_id=user.id, verdict_id=uuid.uuid4(), swapped=False
    )
    reliability = Reliability(project_id=project.id, dataset_id=dataset.id, task_id=task.id, state=State.succeeded)
    suggesting = SuggestionJob(
        project_id=project.id, task_id=task.id, judge={"name": "rules"}, words="Rules", state=State.succeeded
    )
    accuracy = Accuracy(
        project_id=project.id, dataset_id=dataset.id, judge={"name": "rules"}, state=State.succeeded,
        pairs={"split": None, "limit": 10, "seed": 0},
    )  # fmt: skip
    session.add_all([reliability, suggesting, accuracy])
    session.flush()
    rows: dict[str, ProjectRow] = {
        "reliability_id": reliability,
        "suggestion_job_id": suggesting,
        "accuracy_id": accuracy,
        "upload_id": upload,
        "import_id": read,
        "fetch_id": fetch,
        "item_id": item,
        "task_id": task,
        "label_id": label,
    }
    ids = {name: str(row.id) for name, row in rows.items()}
    return {**ids, "dataset_id": str(dataset.id), "token": str(held.lease.token), "lease": str(held.lease.token)}


def _exports(session: Session, project: Project, checkpoint: Checkpoint) -> Ids:
    """An export that ended, and its upload."""
    own: dict[str, Any] = {"project_id": project.id, "checkpoint_id": checkpoint.id, "state": State.succeeded}
    export = Export(**own, name="A", kind=ExportKind.merged, dtype=Dtype.as_trained)
    session.add(export)
    session.flush()
    push = Push(**own, export_id=export.id, repo_id="a/b", private=True, secret="hub")
    session.add(push)
    session.flush()
    return {"export_id": str(export.id), "push_id": str(push.id)}


def _webhook(session: Session, project: Project, user: User) -> Ids:
    """A webhook, and a message to it."""
    body = WebhookIn(url="https://example.invalid/hook", events=["label.created"])
    webhook, _ = webhooks.add(session, project, user, body)
    return {"webhook_id": str(webhook.id), "delivery_id": str(webhooks.test(session, webhook).id)}


def _spare_project(session: Session, user: User) -> Ids:
    """A project that may be archived, and an invitation into the first."""
    spare = Project(name="Spare")
    session.add(spare)
    body = InvitationIn(hint="Noor", role=Role.annotator)
    invitation, _ = invitations.invite(session, projects.default(session), user, body)
    return {"project_id": str(spare.id), "invitation_id": str(invitation.id)}


def _matches(session: Session, project: Project, user: User, checkpoints: list[Checkpoint]) -> Ids:
    """An evaluation that people judge, with answers and a verdict, and a battle of the arena with a vote."""
    ids = [str(one.id) for one in checkpoints]
    texts = [f"Question {number}?" for number in range(3)]
    wanted = {"name": "A", "contestants": ids, "prompts": {"texts": texts}, "judge": {"name": "people"}}
    evaluation: Evaluation = evaluations.launch(session, project, user, EvaluationIn.model_validate(wanted))
    session.execute(
        update(Match)
        .where(Match.evaluation_id == evaluation.id)
        .values(response_a=ANSWER, response_b=ANSWER | {"content": "No."}, state=State.succeeded)
    )
    judged = session.scalars(select(Match).where(Match.evaluation_id == evaluation.id).limit(1)).one()
    said = VerdictIn.model_validate({"client_id": str(uuid.uuid4()), "value": {"strength": 2}, "seconds": 1})
    verdict = votes.judge(session, project, user, judged.id, said)
    asked = arena.ask(session, project, user, BattleIn.model_validate({"prompt": "Hello", "checkpoints": ids}))
    assert arena.take(session) is asked
    arena.close(session, asked.id, [ANSWER, ANSWER | {"content": "No."}])
    voted = VoteIn.model_validate({"client_id": str(uuid.uuid4()), "value": {"strength": 1}, "seconds": 1})
    arena_votes.vote(session, user, asked, voted)
    reading = TokenScores(project_id=project.id, match_id=judged.id, side="a", reference_id=checkpoints[1].id)
    reading.state = State.succeeded
    check = PromptCheck(
        project_id=project.id, category=f"Of {evaluation.id}", prompt=judged.prompt, prompt_hash=judged.prompt_hash,
        expects={"rules": None, "checks": [], "refuse": True},
    )  # fmt: skip
    session.add_all([reading, check])
    session.flush()
    return {
        "prompt_check_id": str(check.id),
        "evaluation_id": str(evaluation.id),
        "evaluation_match_id": str(judged.id),
        "token_scores_id": str(reading.id),
        "verdict_id": str(verdict.id),
        "match_id": str(judged.id),
        "battle_id": str(asked.id),
    }


def _regression(session: Session, project: Project, run_id: uuid.UUID, evaluation_id: uuid.UUID) -> Ids:
    """A check for regressions that is under way."""
    row = Regression(project_id=project.id, run_id=run_id, evaluation_id=evaluation_id, margin=0.02, level=0.95)
    session.add(row)
    session.flush()
    return {"regression_id": str(row.id)}


def _with_rows(given: Any, ids: Ids) -> Any:
    """What was made up, with ids of rows that exist wherever a well-formed id stood."""
    if not isinstance(given, Mapping):
        return given
    return {key: ids[key] if key in ids and well_formed(key, value) else value for key, value in given.items()}


def well_formed(key: str, value: Any) -> bool:
    if key == "name":  # an objective's, in the path of its curve
        return True
    try:
        return bool([uuid.UUID(one) for one in (value if isinstance(value, list) else [value])])
    except (ValueError, TypeError, AttributeError):
        return False


@schema.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, print_blob=False)
def test_no_server_error(case: schemathesis.Case[Any], world: World) -> None:
    """Whatever is sent, the answer is a result or a problem document, never an internal error."""
    case.path_parameters = _with_rows(case.path_parameters, world.ids)
    case.query = _with_rows(case.query, world.ids)
    case.body = _with_rows(case.body, {key: value for key, value in world.ids.items() if key != "name"})
    case.call_and_validate(checks=CHECKS, headers=world.headers, timeout=PATIENCE)


def test_the_world_is_met(world: World) -> None:
    """The rows that the fuzzing names exist, so that it tries more than what is missing."""
    from starlette.testclient import TestClient

    client = TestClient(schema.app, headers=world.headers)
    for noun in ("dataset", "snapshot", "checkpoint", "run", "evaluation", "import"):
        answer = client.get(f"{API}/{noun}s/{world.ids[f'{noun}_id']}")
        assert answer.status_code == 200, answer.text
    assert client.get(f"{API}/items/{world.ids['item_id']}/labels").json()["items"]
    assert client.get(f"{API}/runs/{world.ids['run_id']}/metrics").json()["series"]
