"""Routes of training elsewhere: one token opens one run and nothing else, and whatever it sends is a stranger's."""

import gzip
import hashlib
import json
import shutil
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from backend import storage
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.runs.models import Metric, ReportToken, Run, RunEvent
from backend.settings import Settings
from backend.work import State, now
from tests.backend.checkpoints.conftest import weights
from tests.backend.runs.conftest import Launched, base, body, change, dataset, launched  # noqa: F401
from tests.conftest import Client
from workers.tasks import sweep

ME = str(uuid.uuid4())
HASH = "0" * 64


class Reporter:
    """A program elsewhere that has a token for a run."""

    def __init__(self, client: Client, run_id: str, token: str) -> None:
        self.client, self.run, self.token, self.offset = client, run_id, token, 0
        self.headers = {"authorization": f"Bearer {token}", "plumbline-reporter": ME}

    def ask(self, method: str, path: str, **request: Any) -> Any:
        headers = {**self.headers, **request.pop("headers", {})}
        return self.client.request(method, f"/api/v1/report/{self.run}/{path}", headers=headers, **request)

    def start(self) -> Any:
        return self.ask("POST", "start", json={"reporter": ME, "host": "gpu-7", "device": "One"})

    def tell(self, *events: dict[str, Any], offset: int | None = None) -> Any:
        content = "".join(json.dumps(event) + "\n" for event in events).encode()
        answer = self.ask("POST", f"events?offset={self.offset if offset is None else offset}", content=content)
        if answer.status_code == 200:
            self.offset = answer.json()["offset"]
        return answer

    def send(self, step: int, files: dict[str, bytes], **lies: Any) -> Any:
        """Declare, send and store a checkpoint; the first answer that is no success, else the last."""
        listed = [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} | lies
            for name, data in files.items()
        ]
        answer = self.ask("PUT", f"checkpoints/{step}", json={"files": listed})
        for name, data in files.items():
            if answer.is_success:
                answer = self.ask("POST", f"checkpoints/{step}/files/{name}?offset=0", content=data)
        return self.ask("POST", f"checkpoints/{step}/stored") if answer.is_success else answer


@pytest.fixture
def waiting(launched: Launched) -> dict[str, Any]:  # noqa: F811
    return launched(where="report")


@pytest.fixture
def allow(researcher: Client, anonymous: Client) -> Callable[[str], Reporter]:
    def allow(run_id: str) -> Reporter:
        answer = researcher.post(f"/api/v1/runs/{run_id}/reporter", json={})
        assert answer.status_code == 201, answer.text
        return Reporter(anonymous, run_id, answer.json()["token"])

    return allow


@pytest.fixture
def reporter(waiting: dict[str, Any], allow: Callable[[str], Reporter]) -> Reporter:
    found = allow(waiting["id"])
    assert found.start().status_code == 200
    return found


@pytest.fixture
def product(base: Checkpoint) -> dict[str, bytes]:  # noqa: F811
    return {path.name: path.read_bytes() for path in Path(base.path).iterdir()}


def row(run_id: str) -> Run:
    with transaction() as session:
        return session.get_one(Run, uuid.UUID(run_id))


def step(number: int, **values: float) -> dict[str, Any]:
    return {"type": "step", "time": 1.0, "step": number, "total_steps": 9, "values": values or {"loss": 1.0}}


@pytest.mark.parametrize(
    ("method", "path"),
    [("post", "/runs/{}/reporter"), ("get", "/runs/{}/reporter"), ("delete", "/runs/{}/reporter")],
)
def test_who_may_give_out_tokens(
    anonymous: Client, annotator: Client, researcher: Client, method: str, path: str
) -> None:
    """Signed out 401, an annotator 403, and a run that is not there 404."""
    address = "/api/v1" + path.format(uuid.uuid4())
    more: dict[str, Any] = {"json": {}} if method == "post" else {}
    assert getattr(anonymous, method)(address, **more).status_code == 401
    assert getattr(annotator, method)(address, **more).status_code == 403
    assert getattr(researcher, method)(address, **more).status_code == 404


ROUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "start", {"json": {"reporter": ME}}),
    ("GET", "snapshot/manifest.json", {}),
    ("GET", "weights/checkpoint/0/config.json", {}),
    ("POST", "events?offset=0", {}),
    ("PUT", "checkpoints/2", {"json": {"files": [{"name": "a.json", "size": 1, "sha256": HASH}]}}),
    ("POST", "checkpoints/2/files/a.json?offset=0", {"content": b"x"}),
    ("POST", "checkpoints/2/stored", {}),
    ("POST", "end", {"json": {}}),
]


def test_no_good_token(
    reporter: Reporter,
    researcher: Client,
    allow: Callable[[str], Reporter],
    launched: Launched,  # noqa: F811
) -> None:
    """Without a token, with a wrong, expired or revoked one, or as a person: 401. Another run's, or after the end: 403.
    So on every route of reporters."""

    def statuses(client: Client, **headers: str) -> set[int]:
        given = {"plumbline-reporter": ME, **headers}
        address = f"/api/v1/report/{reporter.run}"
        return {
            client.request(method, f"{address}/{path}", headers=given, **request).status_code
            for method, path, request in ROUTES
        }

    stranger = reporter.client
    good = f"Bearer {reporter.token}"
    other = allow(launched(where="report", name="Other")["id"])
    assert statuses(stranger) == {401}
    assert statuses(stranger, authorization="Bearer plr_" + "x" * 43) == {401}
    assert statuses(researcher) == {401}
    assert statuses(stranger, authorization=f"Bearer {other.token}") == {403}
    with transaction() as session:
        expired = update(ReportToken).where(ReportToken.run_id == uuid.UUID(reporter.run))
        session.execute(expired.values(expires_at=now() - timedelta(seconds=1)))
    assert statuses(stranger, authorization=good) == {401}
    fresh = f"Bearer {allow(reporter.run).token}"
    assert statuses(stranger, authorization=good) == {401}
    change(reporter.run, state=State.cancelled)
    assert statuses(stranger, authorization=fresh) == {403}
    researcher.delete(f"/api/v1/runs/{reporter.run}/reporter")
    assert statuses(stranger, authorization=fresh) == {401}


def test_opens_nothing_else(reporter: Reporter, anonymous: Client) -> None:
    """The token of a reporter is no API token."""
    schema = anonymous.get("/api/v1/openapi.json").json()["paths"]
    asked = 0
    for path, methods in schema.items():
        if path.startswith("/api/v1/report/") or path == "/api/v1/session":
            continue
        for method in set(methods) & {"get", "delete"}:
            address = path
            while "{" in address:
                before, _, rest = address.partition("{")
                address = before + reporter.run + rest.partition("}")[2]
            answer = anonymous.request(method, address, headers=reporter.headers)
            signed_out = anonymous.request(method, address)
            assert answer.status_code == signed_out.status_code, (method, path, answer.status_code)
            asked += 1
    assert asked > 40


def test_token_is_kept_as_a_hash(reporter: Reporter, researcher: Client) -> None:
    """Neither the database nor a later answer holds the token; a new one takes the place of the old."""
    with transaction() as session:
        kept = session.scalars(select(ReportToken)).one()
        assert reporter.token.encode() not in kept.token_hash
    seen = researcher.get(f"/api/v1/runs/{reporter.run}/reporter").json()
    assert (seen["connected"], seen["host"], seen["token"]) == (True, "gpu-7", reporter.token[:10])
    assert reporter.token not in json.dumps(seen)


def test_worker_leaves_it(waiting: dict[str, Any]) -> None:
    """No worker takes a run that is trained elsewhere, and none is rung for it."""
    from backend import work as queued
    from backend.runs.models import Place

    with transaction() as session:
        assert queued.claim(session, Run, Run.place == Place.worker) is None
    assert waiting["place"] == "elsewhere"


def test_events_become_rows(reporter: Reporter, researcher: Client) -> None:
    """Events are stored once, wherever a batch begins; after a gap nothing is; gzip is the same."""
    assert reporter.tell(step(1), step(2)).json()["state"] in ("starting", "running")
    assert reporter.tell(step(1), step(2), step(3), offset=0).json()["offset"] == reporter.offset
    before = reporter.offset
    assert reporter.tell(step(9), offset=before + 10).json()["offset"] == before
    zipped = gzip.compress((json.dumps(step(4)) + "\n" + '{"type": "st').encode())
    half = reporter.ask("POST", f"events?offset={before}", content=zipped, headers={"content-encoding": "gzip"}).json()
    with transaction() as session:
        steps = session.scalars(select(Metric.step).where(Metric.name == "loss").order_by(Metric.step)).all()
    assert steps == [1, 2, 3, 4]
    assert half["offset"] == before + len(json.dumps(step(4))) + 1
    assert researcher.get(f"/api/v1/runs/{reporter.run}").json()["done"] == 4


HOSTILE_LINES = [
    b"not json",
    b"[]",
    b'{"type": "other"}',
    b'{"type": "step", "step": "1", "values": {}}',
    b'{"type": "step", "step": -1, "values": {}}',
    b'{"type": "step", "step": 99999999999, "values": {}}',
    b'{"type": "step", "step": 1, "values": {"loss": "much"}}',
    b'{"type": "step", "step": 1, "values": {' + b",".join(b'"n%d": 1' % n for n in range(600)) + b"}}",
    b'{"type": "log", "message": "x", "more": ' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"type": "checkpoint", "step": 1, "path": "../../etc", "kind": "pickle"}',
    b"\xff\xfe",
    b"[" * 100_000,
]


def test_hostile_lines(reporter: Reporter) -> None:
    """What is no event is left out with a note, and the events after it are stored."""
    content = b"".join(line + b"\n" for line in HOSTILE_LINES) + json.dumps(step(3)).encode() + b"\n"
    answer = reporter.ask("POST", "events?offset=0", content=content)
    assert answer.json()["offset"] == len(content)
    with transaction() as session:
        assert set(session.scalars(select(Metric.step))) == {3}
        levels = [event.payload["level"] for event in session.scalars(select(RunEvent))]
    assert levels == ["warning"] * len(HOSTILE_LINES)


def test_too_much(reporter: Reporter, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bombs, bodies past the limit, and events without end are refused."""
    bomb = gzip.compress(bytes(64 << 20))
    zipped = {"content-encoding": "gzip"}
    assert reporter.ask("POST", "events?offset=0", content=bomb, headers=zipped).status_code == 413
    assert reporter.ask("POST", "events?offset=0", content=b"no gzip", headers=zipped).status_code == 422
    assert reporter.ask("POST", "events?offset=0", content=bytes(5 << 20)).status_code == 413
    monkeypatch.setattr(settings, "max_report_bytes", 10)
    assert reporter.tell(step(1)).status_code == 413


def test_one_program_only(reporter: Reporter, waiting: dict[str, Any]) -> None:
    """A second program with the same token gets nowhere while the first is heard of."""
    first = dict(reporter.headers)
    reporter.tell(step(1))
    again = reporter.ask("POST", "start", json={"reporter": str(uuid.uuid4()), "host": "thief"})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/AnotherReporter")
    reporter.headers["plumbline-reporter"] = str(uuid.uuid4())
    assert reporter.tell(step(2)).status_code == 409
    reporter.headers = first
    assert reporter.start().json()["offset"] == reporter.offset


def test_cancel_and_end(reporter: Reporter, researcher: Client) -> None:
    """A cancel is told with the next answer; at the end the run is cancelled, and the token good for nothing."""
    reporter.tell(step(1))
    researcher.post(f"/api/v1/runs/{reporter.run}/cancel")
    assert reporter.tell().json()["stop"] is True
    reporter.tell({"type": "done", "cancelled": True})
    assert reporter.ask("POST", "end", json={"exit_code": 0}).json()["state"] == "cancelled"
    assert reporter.tell(step(2)).status_code == 403


def test_silence_and_return(reporter: Reporter) -> None:
    """A program not heard of leaves its run lost; as soon as it reports, the run goes on."""
    reporter.tell(step(1))
    change(reporter.run, heartbeat_at=now() - timedelta(minutes=5))
    with transaction() as session:
        sweep.sweep_run(session, session.get_one(Run, uuid.UUID(reporter.run), with_for_update=True))
    lost = row(reporter.run)
    assert (lost.state, lost.failure) == (State.lost, "silent")
    assert "gpu-7" in (lost.reason or "")
    assert reporter.tell(step(2)).json()["state"] == "running"
    back = row(reporter.run)
    assert (back.state, back.reason, back.failure, back.finished_at, back.done) == (State.running, None, None, None, 2)


def test_inputs(reporter: Reporter, base: Checkpoint) -> None:  # noqa: F811
    """Data and weights can be fetched, in parts too; nothing beside them can."""
    started = reporter.start().json()
    for file in started["snapshot"]["files"]:
        got = reporter.ask("GET", f"snapshot/{file['name']}")
        assert hashlib.sha256(got.content).hexdigest() == file["sha256"]
    assert {file["name"] for file in started["checkpoint"]["links"][0]} == {
        path.name for path in Path(base.path).iterdir()
    }
    whole = reporter.ask("GET", "weights/checkpoint/0/model.safetensors").content
    part = reporter.ask("GET", "weights/checkpoint/0/model.safetensors", headers={"range": "bytes=10-"})
    assert (part.status_code, part.content) == (206, whole[10:])
    for path in (
        "snapshot/..%2f..%2fsecret.key",
        "snapshot/spool.arrow",
        "weights/checkpoint/0/..%2fconfig.json",
        "weights/checkpoint/1/config.json",
        "weights/checkpoint/-1/config.json",
        "weights/reference/0/config.json",
        "weights/other/0/config.json",
    ):
        assert reporter.ask("GET", path).status_code in (404, 422), path
    for word in ("path", str(Path(base.path).parent)):
        assert word not in json.dumps(started)


def test_a_guide_can_be_fetched(
    launched: Launched,  # noqa: F811
    allow: Callable[[str], Reporter],
    base: Checkpoint,  # noqa: F811
) -> None:
    """Another checkpoint that the objective asks for is told of by its name, and so are its files."""
    run = launched(where="report", objective={"name": "tgdpo"}, third_ids={"guide": str(base.id)})
    reporter = allow(run["id"])
    started = reporter.start().json()

    assert started["third"]["guide"]["name"] == base.name
    got = reporter.ask("GET", "weights/guide/0/model.safetensors")
    assert got.content == (Path(base.path) / "model.safetensors").read_bytes()
    assert reporter.ask("GET", "weights/teacher/0/model.safetensors").status_code == 404


def test_checkpoint(reporter: Reporter, product: dict[str, bytes], base: Checkpoint) -> None:  # noqa: F811
    """A checkpoint that was sent whole gets its row with its event, in the storage, with the run's lineage."""
    assert reporter.send(2, product).json()["stored"] is True
    reporter.tell({"type": "checkpoint", "step": 2, "path": "/scratch/x/checkpoints/2", "kind": "full", "metrics": {}})
    with transaction() as session:
        made = session.scalars(select(Checkpoint).where(Checkpoint.run_id == uuid.UUID(reporter.run))).one()
    assert (made.step, made.parent_id) == (2, base.id)
    assert {path.name: path.read_bytes() for path in storage.local(made.path).iterdir()} == product
    reporter.tell({"type": "log", "message": "gone", "removed_checkpoint": "/scratch/x/checkpoints/2"})
    assert not storage.exists(made.path)


def test_checkpoint_in_pieces(reporter: Reporter, product: dict[str, bytes]) -> None:
    """Pieces go on where the server says; one that does not follow changes nothing; a damaged file is sent again."""
    data = product["model.safetensors"]
    file = {"name": "model.safetensors", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def declare() -> Any:
        return reporter.ask("PUT", "checkpoints/3", json={"files": [file]})

    def send(at: int, piece: bytes) -> Any:
        return reporter.ask("POST", f"checkpoints/3/files/model.safetensors?offset={at}", content=piece)

    assert declare().json()["received"] == {"model.safetensors": 0}
    assert send(0, data[:10]).json()["received"] == {"model.safetensors": 10}
    assert send(5, b"xxxxx").json()["received"] == {"model.safetensors": 10}
    assert declare().json()["received"] == {"model.safetensors": 10}
    assert send(10, data[10:] + b"more").status_code == 413
    assert send(10, bytes(len(data) - 10)).status_code == 422
    assert declare().json()["received"] == {"model.safetensors": 0}
    assert reporter.ask("POST", "checkpoints/3/stored").status_code == 422


HOSTILE_NAMES = (
    *("../evil.json", "/etc/passwd.json", "a/b.json", "..json", ".hidden.json", "x.bin", "x.pt", "model.pkl"),
    *("training_args.bin", "modeling.py", "a\x00.json", "README.md", "x" * 130 + ".json", "a b.json", "a\n.json"),
)


def test_hostile_names(reporter: Reporter, product: dict[str, bytes], settings: Settings) -> None:
    """No name leads outside, and nothing is taken that could run code."""
    for name in HOSTILE_NAMES:
        answer = reporter.send(2, {**product, name: b"{}"})
        assert answer.status_code == 422, (name, answer.text)
    assert not (settings.runs / reporter.run / "arriving").exists()


def test_hostile_content(reporter: Reporter, product: dict[str, bytes], tmp_path: Path, settings: Settings) -> None:
    """Code of its own, another model, cut-off weights, JSON that is none, a wrong hash, and too many bytes."""
    config = json.loads(product["config.json"])
    larger = tmp_path / "larger.safetensors"
    weights(larger, {"model.embed_tokens.weight": [64, 4]})
    cases: list[dict[str, bytes]] = [
        {"config.json": json.dumps({**config, "auto_map": {"AutoModel": "evil.Model"}}).encode()},
        {"config.json": json.dumps({**config, "architectures": ["OtherForCausalLM"]}).encode()},
        {"config.json": b"[]"},
        {"config.json": b"{"},
        {"model.safetensors": product["model.safetensors"][:-1]},
        {"model.safetensors": b"\x80\x04\x95pickle"},
        {"model.safetensors": larger.read_bytes()},
        {"model.safetensors": product["model.safetensors"] + b"more"},
        {"adapter_config.json": b'{"base_model_name_or_path": "/etc", "peft_type": "LORA", "auto_mapping": {"x": 1}}'},
        {"adapter_config.json": b'{"base_model_name_or_path": "/etc", "peft_type": "OTHER"}'},
    ]
    for number, case in enumerate(cases):
        answer = reporter.send(number, {**product, **case})
        assert answer.status_code == 422, (case, answer.text)
        assert not storage.exists(f"runs/{reporter.run}/checkpoints/{number}")
        shutil.rmtree(settings.runs / reporter.run / "arriving")  # else there would soon be too many
    assert reporter.send(2, product, sha256=HASH).status_code == 422
    assert reporter.send(2, product, size=1 << 40).status_code == 413
    assert reporter.ask("PUT", "checkpoints/-1", json={"files": []}).status_code == 422


def test_not_sent(reporter: Reporter) -> None:
    """An event alone makes no checkpoint."""
    reporter.tell({"type": "checkpoint", "step": 2, "path": "/a/checkpoints/2", "kind": "full", "metrics": {}})
    with transaction() as session:
        assert session.scalars(select(Checkpoint).where(Checkpoint.run_id == uuid.UUID(reporter.run))).all() == []
        assert session.scalars(select(RunEvent)).one().payload["unfit"]
