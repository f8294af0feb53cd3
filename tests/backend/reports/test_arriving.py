"""What a program elsewhere fetches and sends: its inputs, and checkpoints in pieces, whatever is in them."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from backend import storage
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.runs.models import RunEvent
from backend.settings import Settings
from tests.backend.checkpoints.conftest import weights
from tests.backend.reports.conftest import HASH, Launched, Reporter


def test_inputs(reporter: Reporter, base: Checkpoint) -> None:
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
    launched: Launched,
    allow: Callable[[str], Reporter],
    base: Checkpoint,
) -> None:
    """Another checkpoint that the objective asks for is told of by its name, and so are its files."""
    run = launched(where="report", objective={"name": "tgdpo"}, third_ids={"guide": str(base.id)})
    reporter = allow(run["id"])
    started = reporter.start().json()

    assert started["third"]["guide"]["name"] == base.name
    got = reporter.ask("GET", "weights/guide/0/model.safetensors")
    assert got.content == (Path(base.path) / "model.safetensors").read_bytes()
    assert reporter.ask("GET", "weights/teacher/0/model.safetensors").status_code == 404


def test_checkpoint(reporter: Reporter, product: dict[str, bytes], base: Checkpoint) -> None:
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
