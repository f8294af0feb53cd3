"""GET /api/v1/presets: what fits this machine, what is here already, and a page that never waits for the hub."""

import json
import os
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from alignment.training.kinds import KINDS
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.presets import machine, service
from backend.presets.catalogue import presets
from backend.presets.machine import Found, Gpu, Probe
from backend.presets.schemas import GpuOut, HereOut
from backend.projects import service as projects
from backend.projects.models import Project
from tests.conftest import Client

URL = "/api/v1/presets"
GIB = 1 << 30


@pytest.fixture(autouse=True)
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    """A probe that has not looked, on a machine that is told to ask no hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fresh = Probe()
    monkeypatch.setattr(service, "PROBE", fresh)
    return fresh


def wait_for(probe: Probe) -> Found:
    """What a probe finds in the end."""
    deadline = time.monotonic() + 10
    while (found := probe.read()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def here(gpu_gib: int | None = None, memory_gib: int = 16) -> HereOut:
    gpus = [] if gpu_gib is None else [GpuOut(name="G", memory_bytes=gpu_gib * GIB)]
    return HereOut(gpus=gpus, memory_bytes=memory_gib * GIB, hub=None, hub_address="x", looking=False)


def fits(place: HereOut) -> dict[str, set[str]]:
    """Names of the models that fit, by tuning."""
    return {
        kind: {model.name for model in presets().models if service.fit(model, kind, place).fits}
        for kind in ("full", "lora")
    }


def test_who_may(anonymous: Client, annotator: Client) -> None:
    """Signed out is 401; what the machine has is not an annotator's business."""
    assert anonymous.get(URL).status_code == 401
    assert annotator.get(URL).status_code == 403


def test_another_project_is_not_told(researcher: Client) -> None:
    """A project that the caller is not in answers 403, whether or not it exists."""
    with transaction() as session:
        other = Project(name="Other")
        session.add(other)
        session.flush()
        named = str(other.id)

    for header in (named, "00000000-0000-7000-8000-000000000000", "x' OR 1=1"):
        assert researcher.get(URL, headers={"Plumbline-Project": header}).status_code == 403


def test_what_is_answered(researcher: Client, probe: Probe) -> None:
    """Every model has both ways with a reason, and a machine that may ask no hub says so."""
    first = researcher.get(URL).json()
    wait_for(probe)
    told = researcher.get(URL).json()

    assert first["machine"]["memory_bytes"] > 0
    assert told["machine"]["looking"] is False
    assert told["machine"]["hub"] == "offline"
    assert {one["name"] for one in told["models"]} == {model.name for model in presets().models}
    for model in told["models"]:
        assert [fit["tuning"] for fit in model["fits"]] == ["lora", "full"]
        assert all(fit["reason"].startswith("Takes about") for fit in model["fits"])
        assert model["checkpoint_id"] is None
    assert {one["hub_id"] for one in told["datasets"]} >= {"Anthropic/hh-rlhf", "nvidia/HelpSteer3"}


def test_a_checkpoint_that_is_here_is_named(researcher: Client) -> None:
    """A model that the project has downloaded leads to a run at once; another project's does not."""
    with transaction() as session:
        other = Project(name="Other")
        session.add(other)
        session.flush()
        facts = {"source": Source.hub, "path": "checkpoints/x", "architecture": "Qwen3ForCausalLM", "parameters": 1}
        own = Checkpoint(project_id=projects.default(session).id, name="A", hub_id="Qwen/Qwen3-0.6B", **facts)
        session.add_all([own, Checkpoint(project_id=other.id, name="B", hub_id="Qwen/Qwen3-1.7B", **facts)])
        session.flush()
        expected = str(own.id)

    found = {one["name"]: one["checkpoint_id"] for one in researcher.get(URL).json()["models"]}

    assert found["Qwen3 0.6B"] == expected
    assert found["Qwen3 1.7B"] is None


def test_what_fits() -> None:
    """Small machines get small models, large ones all; what does not fit says what is needed and what is there."""
    laptop, card, large = fits(here()), fits(here(24)), fits(here(140))

    assert laptop["full"] == {"SmolLM2 135M", "SmolLM2 360M", "Qwen3 0.6B"}
    assert "Qwen3 1.7B" in laptop["lora"]
    assert "Qwen3 8B" not in laptop["lora"]
    assert card["full"] >= {"SmolLM2 360M", "Qwen3 0.6B"}
    assert card["lora"] >= {"Llama 3.2 1B", "Gemma 3 1B", "Llama 3.2 3B"}
    assert "Qwen3 8B" not in card["full"] | card["lora"]
    assert "Qwen3 4B" in card["lora"]
    assert large["lora"] == {model.name for model in presets().models}
    assert laptop["full"] <= card["full"] <= large["full"]
    big = next(model for model in presets().models if model.name == "Qwen3 8B")
    assert service.fit(big, "full", here(24)).reason.endswith("the GPU has 25.8 GB.")
    assert "this machine has 17.2 GB" in service.fit(big, "full", here()).reason
    tight = here().model_copy(update={"memory_bytes": int(1.05 * service.fit(big, "lora", here()).memory_bytes)})
    assert not service.fit(big, "lora", tight).fits
    assert "A tenth is left" in service.fit(big, "lora", tight).reason


def test_the_largest_gpu_counts() -> None:
    """A run trains on one GPU: memory of several is not added up."""
    two = here()
    two.gpus = [GpuOut(name="A", memory_bytes=8 * GIB), GpuOut(name="B", memory_bytes=24 * GIB)]

    assert fits(two) == fits(here(24))


class Silent(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        """Answer as a hub does that knows no such page: it is there all the same."""
        self.send_response(404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is written."""


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a hub that answers."""
    with HTTPServer(("127.0.0.1", 0), Silent) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_hub_that_answers(monkeypatch: pytest.MonkeyPatch, hub: str) -> None:
    """Any answer counts; told to stay off-line, the machine does not even ask."""
    monkeypatch.setenv("HF_ENDPOINT", hub)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert machine.hub_state() == "reachable"

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("httpx2.head", lambda *_args, **_more: pytest.fail("A hub was asked."))
    assert machine.hub_state() == "offline"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://", "no address", "http://[", "file:///etc/passwd"])
def test_a_hub_that_is_not_there(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """A closed port and an address that is none are a hub out of reach, not an error."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", address)

    assert machine.hub_state() == "unreachable"


def test_a_silent_hub_keeps_nobody_waiting(researcher: Client, monkeypatch: pytest.MonkeyPatch, probe: Probe) -> None:
    """With a hub that takes the connection and says nothing, the page is answered at once; the look ends by itself."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(machine, "HUB_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as quiet:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{quiet.getsockname()[1]}")
        answers = [researcher.get(URL).json()["machine"] for _ in range(3)]

        assert [one["hub"] for one in answers] == [None] * 3
        assert all(one["looking"] for one in answers)
        assert wait_for(probe).hub == "unreachable"


def program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `nvidia-smi` that does what the shell text says."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo 'NVIDIA H200, 143771'", (Gpu("NVIDIA H200", 143771 << 20),)),
        ("echo 'Odd, name, 8192'; echo B, 1024", (Gpu("Odd, name", 8 * GIB), Gpu("B", GIB))),
        ("exit 9", ()),
        ("echo 'No devices were found'", ()),
        ("echo 'A, [N/A]'", ()),
        (r"printf '\377\376, 5'", ()),
        ("sleep 30", ()),
    ],
)
def test_gpus(text: str, expected: tuple[Gpu, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUs are those that the driver's program lists; one that fails, says nonsense or hangs means none."""
    monkeypatch.setattr(machine, "GPU_SECONDS", 1.0)
    program(tmp_path, text, monkeypatch)

    assert machine.gpus() == expected


def test_the_form_follows_the_model(researcher: Client) -> None:
    """The launch form has a start for each model and tuning, told by architecture and size, for each objective."""
    form = researcher.get("/api/v1/run-form").json()
    own = {one["name"]: one for one in form["presets"] if one["suits"]}

    assert len(own) == 2 * len(presets().models)
    start = own["qwen3-0.6b-lora"]
    assert start["suits"] == {"architecture": "Qwen3ForCausalLM", "parameters": [596049920, 751632384]}
    others = {*KINDS["sft"].losses, *KINDS["reward_model"].losses}
    assert set(start["objectives"]) - others == {"dpo", "cdpo", "ipo_avg", "simpo"}
    assert start["objectives"]["ipo_avg"]["objective"] == {"name": "ipo_avg", "tau": 0.1}
    assert start["values"]["tuning"]["kind"] == "lora"
    assert json.dumps(start["values"])


@pytest.mark.parametrize(("tuning", "sft", "scores"), [("lora", 2e-4, 1e-4), ("full", 2e-5, 1e-5)])
def test_other_kinds_of_run_begin_at_their_own_rate_on_a_known_model(
    researcher: Client, tuning: str, sft: float, scores: float
) -> None:
    """Fine-tuning and reward models move weights further than a preference run: no model's recipe slows them down."""
    form = researcher.get("/api/v1/run-form").json()
    own = [one for one in form["presets"] if one["suits"] and one["name"].endswith(f"-{tuning}")]

    assert own
    for start in own:
        for kind, rate in ((KINDS["sft"], sft), (KINDS["reward_model"], scores)):
            for name in kind.losses:
                assert start["objectives"][name]["optimizer"]["learning_rate"] == rate, (start["name"], name)
                assert start["objectives"][name]["objective"] == {"name": name}
