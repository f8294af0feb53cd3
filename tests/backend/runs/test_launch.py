"""POST /api/v1/runs and /runs/preflight: what may be launched, and what is refused with the field at fault."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from sqlalchemy import func, select

from alignment.training.spec import Spec
from backend import queue
from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Dataset, Snapshot
from backend.db import transaction
from backend.runs import service
from backend.runs.models import Metric, Run, RunEvent
from backend.runs.schemas import BESIDE_THE_SPEC, RunIn
from backend.work import State
from tests import loop
from tests.backend.runs.conftest import Body, Launched, change
from tests.conftest import Client

SOME = "00000000-0000-7000-8000-000000000000"
READ = ["/runs", f"/runs/{SOME}", f"/runs/{SOME}/metrics", f"/runs/{SOME}/events"]
WRITE = ["/runs", "/runs/preflight", f"/runs/{SOME}/cancel", f"/runs/{SOME}/resume"]


@pytest.mark.parametrize("path", READ)
def test_who_may_read(anonymous: Client, annotator: Client, path: str) -> None:
    """Runs are for researchers."""
    assert anonymous.get(f"/api/v1{path}").status_code == 401
    assert annotator.get(f"/api/v1{path}").status_code == 403


@pytest.mark.parametrize("path", WRITE)
def test_who_may_write(anonymous: Client, annotator: Client, path: str, body: Body) -> None:
    """Launching and cancelling too."""
    assert anonymous.post(f"/api/v1{path}", json=body()).status_code == 401
    assert annotator.post(f"/api/v1{path}", json=body()).status_code == 403


def test_missing(researcher: Client) -> None:
    """An id of nothing is 404."""
    for path in READ[1:]:
        assert researcher.get(f"/api/v1{path}").status_code == 404
    assert researcher.post(f"/api/v1/runs/{SOME}/cancel").status_code == 404


def test_api_takes_what_training_takes() -> None:
    """RunIn is the training spec with ids where that has paths: no hyperparameter is missing or differs."""
    ours, theirs = RunIn.model_fields, Spec.model_fields

    assert set(ours) - BESIDE_THE_SPEC == set(theirs) - {"checkpoint", "reference", "third", "snapshots"}
    for name in set(ours) - BESIDE_THE_SPEC:
        assert ours[name].annotation == theirs[name].annotation, name
        assert ours[name].default == theirs[name].default, name
        assert ours[name].description == theirs[name].description, name


def test_launch(researcher: Client, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data is frozen, the run queued, and the bell rung once both are committed."""
    rung: list[tuple[str, int]] = []

    def ring(bell: str) -> None:
        with transaction() as session:
            rung.append((bell, session.scalar(select(func.count()).select_from(Run)) or 0))

    monkeypatch.setattr(queue, "ring_now", ring)
    answer = researcher.post("/api/v1/runs", json=body())

    assert answer.status_code == 202
    run = answer.json()
    assert (run["state"], run["total"], run["objective"]) == ("queued", 4, "dpo")
    assert rung == [("train", 1)]
    whole = researcher.get(f"/api/v1/runs/{run['id']}").json()
    assert whole["position"] == 1
    assert whole["spec"]["objective"] == {"name": "dpo", "beta": 0.1}
    assert "learning_rate: 0.001" in whole["yaml"]
    assert len(whole["snapshot_hash"]) == 64


def test_same_data_same_snapshot(launched: Launched) -> None:
    """Runs on unchanged data share a snapshot."""
    assert launched()["snapshot_id"] == launched()["snapshot_id"]


def test_snapshot_instead_of_dataset(researcher: Client, launched: Launched, body: Body) -> None:
    """A frozen snapshot can be trained on again, whatever has happened to its dataset."""
    first = launched()
    again = body(snapshot_id=first["snapshot_id"])
    del again["dataset_id"]

    assert researcher.post("/api/v1/runs", json=again).json()["snapshot_id"] == first["snapshot_id"]


def test_once(researcher: Client, body: Body) -> None:
    """A request that is sent twice with its key launches one run."""
    sent = body()
    first, again = (
        researcher.post("/api/v1/runs", json=sent, headers={"idempotency-key": "one"}).json() for _ in range(2)
    )

    assert first["id"] == again["id"]
    assert len(researcher.get("/api/v1/runs").json()["items"]) == 1


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"objective": {"name": "dpoo"}}, "objective", "did you mean 'dpo'"),
    ({"objective": {"name": "dpo", "betta": 1}}, "objective.betta", "did you mean 'beta'"),
    ({"objective": {"name": "dpo", "beta": -1}}, "objective.beta", "Must be above 0."),
    ({"objective": {"name": "dpo", "beta": "inf"}}, "objective.beta", "finite"),
    ({"objective": {}}, "objective", "dpo"),
    (
        {"objective": {"name": "sum", "terms": [{"objective": {"name": "lcpo", "base": {"name": "dpo", "betta": 1}}}]}},
        "objective.terms.0.objective.base.betta",
        "did you mean 'beta'",
    ),
    ({"objective": {"name": "beta_dpo"}, "batch": {"examples_per_step": 1}}, "batch.examples_per_step", "batches of 2"),
    ({"optimizer": {"learning_rate": 7}}, "optimizer.learning_rate", "Must be at most 1."),
    ({"optimizer": {"learnin_rate": 1}}, "optimizer.learnin_rate", "did you mean 'learning_rate'"),
    ({"tuning": {"kind": "lora", "rank": 0}}, "tuning", "Must be at least 1."),
    ({"tuning": {"kind": "qlora"}}, "tuning", "The kind must be one of full, lora."),
    ({"batch": {"examples_per_step": 0}}, "batch.examples_per_step", "Must be at least 1."),
    ({"batch": {"examples_per_step": 1e400}}, "batch.examples_per_step", ""),
    ({"duration": {"epochs": 1, "steps": 1}}, "duration", "either"),
    ({"duration": {}}, "duration", "either"),
    ({"seed": -1}, "seed", "Must be at least 0."),
    ({"precision": "fp8"}, "precision", "bf16"),
    ({"devices": 65}, "devices", "64"),
    ({"parallel": "deepspeed"}, "parallel", "fsdp"),
    ({"name": "   "}, "name", "not be empty"),
    ({"checkpiont_id": "x"}, "checkpiont_id", "did you mean 'checkpoint_id'"),
    ({"checkpoint_id": "nonsense"}, "checkpoint_id", "Must be an id."),
    ({"kind": "sft"}, "objective", "DPO trains runs of kind preference"),
    ({"dataset_id": None}, "", "dataset_id"),
]


@pytest.mark.parametrize(("changes", "field", "words"), BAD)
def test_refused(researcher: Client, body: Body, changes: dict[str, Any], field: str, words: str) -> None:
    """A wrong spec names its field, in the pre-flight as in the launch, and leaves nothing behind."""
    sent = {key: value for key, value in body(**changes).items() if value is not None}
    if "inf" in str(sent["batch"]):
        sent["batch"] = {"examples_per_step": 10**400}
    answer = researcher.post("/api/v1/runs", json=sent)
    told = researcher.post("/api/v1/runs/preflight", json=sent)

    assert answer.status_code == 422
    assert words in answer.text
    assert (answer.json()["field"] or "").startswith(field)
    assert told.status_code == 200
    assert (told.json()["errors"][0]["field"] or "").startswith(field)
    assert words in told.json()["errors"][0]["detail"]
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(Run)) == 0
        assert session.scalar(select(func.count()).select_from(Snapshot)) == 0


def test_too_few(researcher: Client, body: Body) -> None:
    """Fewer training pairs than one step takes: both numbers and what to do are said, before anything is frozen too."""
    sent = body(batch={"examples_per_step": 64})
    answer = researcher.post("/api/v1/runs", json=sent)
    told = researcher.post("/api/v1/runs/preflight", json=sent).json()

    assert answer.status_code == 422
    assert "one step takes 64" in answer.json()["detail"]
    assert "examples per step" in answer.json()["remedy"]
    assert answer.json()["field"] == told["errors"][0]["field"] == "batch.examples_per_step"
    assert "one step takes 64" in told["errors"][0]["detail"]


def test_too_many_steps(researcher: Client, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs that make more steps than a run may be asked for are refused, before they overflow a column."""
    monkeypatch.setattr(service, "MOST_STEPS", 1000)
    sent = body(duration={"epochs": 10_000})
    answer = researcher.post("/api/v1/runs", json=sent)
    told = researcher.post("/api/v1/runs/preflight", json=sent).json()

    assert (answer.status_code, answer.json()["field"]) == (422, "duration.epochs")
    assert told["errors"][0]["field"] == "duration.epochs"


def test_unlabelled(researcher: Client, body: Body) -> None:
    """A dataset without labels cannot be trained on, and says so."""
    with transaction() as session:
        from backend.datasets import service as datasets
        from backend.projects import service as projects

        items = loop.pairs(20)
        for item in items:
            item.labels = ()
        empty = datasets.create_from_items(session, projects.default(session), "Unlabelled", items)
    answer = researcher.post("/api/v1/runs", json=body(dataset_id=str(empty.id)))

    assert answer.status_code == 422
    assert "No labelled pair" in answer.json()["detail"]


def test_somebody_elses(researcher: Client, body: Body) -> None:
    """Checkpoints, datasets and snapshots of nobody here are 404, naming the field."""
    for field in ("checkpoint_id", "reference_id", "dataset_id"):
        answer = researcher.post("/api/v1/runs", json=body(**{field: SOME}))
        assert answer.status_code == 404, field
        told = researcher.post("/api/v1/runs/preflight", json=body(**{field: SOME})).json()
        assert told["errors"][0]["field"] == field


def test_weights_gone(researcher: Client, body: Body, base: Checkpoint) -> None:
    """A checkpoint whose folder is gone is refused before a worker fails on it."""
    from pathlib import Path

    Path(base.path).rename(Path(base.path).parent / "moved")
    answer = researcher.post("/api/v1/runs", json=body())

    assert answer.status_code == 422
    assert answer.json()["field"] == "checkpoint_id"


def test_a_model_without_a_chat_template_asks_for_one(researcher: Client, body: Body) -> None:
    """Launch and preflight name the field and say where a template is given."""
    with transaction() as session:
        session.get_one(Checkpoint, uuid.UUID(body()["checkpoint_id"])).own_template = False

    refused = researcher.post("/api/v1/runs", json=body())
    told = researcher.post("/api/v1/runs/preflight", json=body()).json()

    assert (refused.status_code, refused.json()["field"]) == (422, "checkpoint_id")
    assert "no chat template" in refused.json()["detail"]
    assert "on its page" in refused.json()["remedy"]
    assert told["errors"][0]["field"] == "checkpoint_id"


def test_preflight(researcher: Client, body: Body, dataset: Dataset) -> None:
    """A good run: no errors, the steps, memory by part, and YAML that the command line takes; nothing is stored."""
    told = researcher.post("/api/v1/runs/preflight", json=body()).json()

    assert told["errors"] == []
    estimate = told["estimate"]
    assert estimate["steps"] == 4
    assert {"weights", "gradients", "optimizer", "program"} <= {part["name"] for part in estimate["memory"]}
    assert estimate["memory_bytes"] == sum(part["bytes"] for part in estimate["memory"])
    assert estimate["seconds"] is None
    assert 40 <= estimate["examples"] <= 60  # splits are drawn by the project
    assert "objective:\n  name: dpo" in told["yaml"]
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(Snapshot)) == 0


def test_time_is_told_by_earlier_runs_like_it(researcher: Client, body: Body, launched: Launched) -> None:
    """Runs of the same objective tell how long one takes, where there are none those of the same kind; never others."""

    def told(**changes: Any) -> Any:
        return researcher.post("/api/v1/runs/preflight", json=body(**changes)).json()["estimate"]["seconds"]

    def measured(rate: float, **changes: Any) -> None:
        run = launched(**changes)
        with transaction() as session:
            name = "throughput/examples_per_second"
            session.add(Metric(run_id=uuid.UUID(run["id"]), name=name, step=1, value=rate, at=0))

    scored = {"kind": "reward_model", "objective": {"name": "bradley_terry"}}
    measured(1000.0, **scored)
    assert told() is None

    measured(8.0, objective={"name": "simpo"})
    assert told() == pytest.approx((16 / 8 * 0.5, 16 / 8 * 2.0))  # four steps of four examples

    measured(2.0)
    assert told() == pytest.approx((16 / 2 * 0.5, 16 / 2 * 2.0))
    assert told(objective={"name": "simpo"}) == pytest.approx((16 / 8 * 0.5, 16 / 8 * 2.0))
    assert told(**scored) == pytest.approx((16 / 1000 * 0.5, 16 / 1000 * 2.0))

    measured(2.0)
    measured(2.0)
    assert told() == pytest.approx((16 / 2 * 0.7, 16 / 2 * 1.5))  # by three, that is surer


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": ""}, "name", "Must not be empty."),
        ({"batch": {"examples_per_step": "x"}}, "batch.examples_per_step", "Must be a whole number."),
        ({"batch": {"examples_per_step": 1.5}}, "batch.examples_per_step", "Must be a whole number."),
        (
            {"batch": {"tokens_per_pack": -5}},
            "batch.tokens_per_pack",
            "Must be a whole number of at least 16, or auto.",
        ),
        ({"batch": {"tokens_per_pack": "x"}}, "batch.tokens_per_pack", "Must be a whole number, or auto."),
        ({"keep": {"state": 0}}, "keep.state", "Must be a whole number of at least 1, or checkpoint or never."),
        ({"optimizer": {"schedule": "x"}}, "optimizer.schedule", "Must be cosine, linear or constant."),
        ({"objective": {"name": "dpo", "beta": ""}}, "objective.beta", "Must be a number."),
        ({"objective": {"name": "dpo", "beta": "nan"}}, "objective.beta", "Must be a finite number."),
    ],
    ids=["name", "letters", "fraction", "bound-or-word", "kind-or-word", "either-word", "words", "nothing", "nan"],
)
def test_a_wrong_value_is_told_in_plain_words(
    researcher: Client, body: Body, changes: dict[str, Any], field: str, words: str
) -> None:
    """Once, at its field, by the pre-flight and by the launch alike."""
    (found,) = researcher.post("/api/v1/runs/preflight", json=body(**changes)).json()["errors"]
    answer = researcher.post("/api/v1/runs", json=body(**changes)).json()

    assert (found["field"], found["detail"]) == (field, words)
    assert answer["detail"].endswith(words)
    assert answer["problems"] == [{"field": field, "detail": words}]


def test_a_key_that_looks_like_a_place_of_ours_hides_nothing(researcher: Client, body: Body) -> None:
    """Each of two problems is told at its own field."""
    answer = researcher.post("/api/v1/runs", json=body(name="", **{"literal[x": 1})).json()
    assert {one["field"] for one in answer["problems"]} == {"name", "literal[x"}


def test_time_holds_what_earlier_runs_took_beside_their_steps(
    researcher: Client, body: Body, launched: Launched
) -> None:
    """Loading, the reference and evaluations: sixteen examples at ten a second, and a minute for the rest."""
    run = launched()
    began = datetime(2026, 1, 1, tzinfo=UTC)
    with transaction() as session:
        session.add(
            Metric(run_id=uuid.UUID(run["id"]), name="throughput/examples_per_second", step=1, value=10.0, at=0)
        )
    before = researcher.post("/api/v1/runs/preflight", json=body()).json()["estimate"]["seconds"]
    took = timedelta(seconds=61.6)
    change(run["id"], state=State.succeeded, done=4, started_at=began, finished_at=began + took)
    after = researcher.post("/api/v1/runs/preflight", json=body()).json()["estimate"]["seconds"]

    assert before == pytest.approx([1.6 * 0.5, 1.6 * 2.0])
    assert after == pytest.approx([61.6 * 0.5, 61.6 * 2.0])


def test_time_beside_the_steps_goes_by_how_often_it_is_taken(
    researcher: Client, body: Body, launched: Launched
) -> None:
    """A short run begins once, as a long one did, and is evaluated as often as it is asked to be; layers that are
    computed again take a third more, in a run after one that kept them."""
    run = launched(duration={"steps": 400}, evaluate={"every_steps": 10, "samples": 1})
    began = datetime(2026, 1, 1, tzinfo=UTC)
    per_step, to_begin, to_evaluate = 0.4, 8.0, 1.5
    took = to_begin + 400 * per_step + 40 * to_evaluate
    with transaction() as session:
        owner = uuid.UUID(run["id"])
        session.add(Metric(run_id=owner, name="throughput/examples_per_second", step=1, value=10.0, at=0))
        kept = {"gradient_checkpointing": False, "message": "gradient checkpointing is off"}
        session.add(RunEvent(run_id=owner, kind="log", payload=kept))
        for step in range(10, 401, 10):
            after = timedelta(seconds=to_begin + step * per_step + step // 10 * to_evaluate)
            session.add(RunEvent(run_id=owner, kind="checkpoint", step=step, payload={}, created_at=began + after))
            session.flush()
    change(run["id"], state=State.succeeded, done=400, started_at=began, finished_at=began + timedelta(seconds=took))

    def told(**changes: Any) -> float:
        """What lies in the middle of the range."""
        sent = body(duration={"steps": 20}, **changes)
        low, high = researcher.post("/api/v1/runs/preflight", json=sent).json()["estimate"]["seconds"]
        assert high == pytest.approx(4 * low)
        return float(high / 2)

    seldom, often = {"every_steps": 100, "samples": 1}, {"every_steps": 5, "samples": 1}
    assert told(evaluate=seldom) == pytest.approx(to_begin + 20 * per_step + to_evaluate)
    assert told(evaluate=often) == pytest.approx(to_begin + 20 * per_step + 4 * to_evaluate)
    again = told(evaluate=seldom, gradient_checkpointing="on")
    assert again == pytest.approx(to_begin + 20 * per_step * 4 / 3 + to_evaluate)


def test_a_composed_objective(researcher: Client, body: Body) -> None:
    """What stands within an objective is stored as it was written, with every field, and told in the YAML."""
    within = [{"weight": 1.0, "objective": {"name": "dpo", "beta": 0.2}}, {"weight": 0.5, "objective": {"name": "nll"}}]
    written = {"name": "sum", "terms": within}
    told = researcher.post("/api/v1/runs/preflight", json=body(objective=written)).json()
    run = researcher.post("/api/v1/runs", json=body(objective=written)).json()

    assert told["errors"] == []
    assert yaml.safe_load(told["yaml"])["objective"]["terms"][0] == within[0]
    assert run["objective"] == "sum"
    stored = researcher.get(f"/api/v1/runs/{run['id']}").json()["spec"]["objective"]
    assert stored["terms"][1] == {"weight": 0.5, "objective": {"name": "nll", "per": "token"}}


def test_preflight_doubts(researcher: Client, body: Body) -> None:
    """What may be meant but seldom is comes as a warning: a context too short."""
    long = body(length={"max_prompt_tokens": 100, "max_response_tokens": 100, "cut_prompt": "right"})
    told = researcher.post("/api/v1/runs/preflight", json=long).json()

    assert "length.max_prompt_tokens" in {finding["field"] for finding in told["warnings"]}
    assert "lose their right side" in " ".join(finding["detail"] for finding in told["warnings"])


def test_hostile_preflight(researcher: Client) -> None:
    """Nonsense of any depth is answered, not obeyed."""
    deep: Any = {}
    for _ in range(200):
        deep = {"base": deep}
    for sent in ({}, {"objective": deep}, {"name": {"$ne": 1}}, {"snapshot_id": ["'; DROP TABLE runs"]}):
        assert researcher.post("/api/v1/runs/preflight", json=sent).status_code == 200
    assert researcher.post("/api/v1/runs/preflight", json=[]).status_code == 422


def test_cancel_queued(researcher: Client, launched: Launched) -> None:
    """A queued run is cancelled at once; asked a second time, it is still cancelled."""
    run = launched()

    assert researcher.post(f"/api/v1/runs/{run['id']}/cancel").json()["state"] == "cancelled"
    assert researcher.post(f"/api/v1/runs/{run['id']}/cancel").json()["state"] == "cancelled"


def test_list(researcher: Client, launched: Launched) -> None:
    """Runs come newest first, page by page, each with its data and checkpoint; filters hold."""
    made = [launched(name=f"Run {number}")["id"] for number in range(3)]
    first = researcher.get("/api/v1/runs", params={"limit": 2}).json()
    rest = researcher.get("/api/v1/runs", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [row["id"] for row in first["items"] + rest["items"]] == made[::-1]
    assert [row["position"] for row in first["items"]] == [3, 2]
    assert rest["next_cursor"] is None
    assert first["items"][0]["checkpoint"] == "Base"
    assert researcher.get("/api/v1/runs", params={"state": "failed"}).json()["items"] == []
    assert researcher.get("/api/v1/runs", params={"state": "nonsense"}).status_code == 422
    assert researcher.get("/api/v1/runs", params={"checkpoint_id": str(uuid.uuid4())}).json()["items"] == []
