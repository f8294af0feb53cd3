"""Metrics: who may read them, and that they tell what is there."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.testclient import TestClient

from backend import presence
from backend.accounts.models import Role
from backend.app import create_app
from backend.db import transaction
from backend.operation.endpoints import direct
from backend.runs.models import Metric, Run
from backend.settings import Settings, get_settings
from backend.work import claim
from plumbline.embedded import Embedded
from tests import loop
from tests.backend.checkpoints.conftest import config, weights
from tests.conftest import Client
from tests.people import add_person

TOKEN = "the-token-of-the-metrics"
Near = Callable[..., TestClient]


@pytest.fixture(scope="module")
def application(servers: Embedded) -> FastAPI:
    """The API, made once."""
    return create_app(get_settings())


@pytest.fixture
def near(clean: None, application: FastAPI) -> Iterator[Near]:
    """Makes clients that come from an address, by default this machine's own."""
    opened = []

    def make(address: str = "127.0.0.1", host: str = "localhost:7860") -> TestClient:
        client = TestClient(application, base_url=f"http://{host}", client=(address, 40000))
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def with_token(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[None]:
    """The setting names a token."""
    monkeypatch.setenv("PLUMBLINE_METRICS_TOKEN", TOKEN)
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


def read(client: TestClient) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by its name and the values of its labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples}


def test_without_a_token_only_this_machine_reads(near: Near) -> None:
    """Everybody else is told that there is no such page: not a remote address, not one that looks local only by its
    name, not what came through a proxy whatever that says."""
    assert near().get("/metrics").status_code == 200
    assert near("::1", "[::1]:7860").get("/metrics").status_code == 200
    for client in (near("203.0.113.7"), near("testclient"), near("10.0.0.1", "127.0.0.1")):
        answer = client.get("/metrics")
        assert answer.status_code == 404
        assert "plumbline_" not in answer.text


@pytest.mark.parametrize(
    "header",
    [
        {"x-forwarded-for": "127.0.0.1"},
        {"X-Forwarded-For": "203.0.113.7, 127.0.0.1"},
        {"x-forwarded-host": "localhost"},
        {"x-forwarded-proto": "https"},
        {"forwarded": "for=127.0.0.1"},
        {"x-real-ip": "127.0.0.1"},
        {"via": "1.1 proxy"},
    ],
    ids=lambda header: next(iter(header)),
)
def test_what_a_proxy_sends_is_not_from_this_machine(near: Near, header: dict[str, str]) -> None:
    """A proxy on this machine stands for strangers; a stranger's own header makes nobody local."""
    assert near().get("/metrics", headers=header).status_code == 404
    assert near("203.0.113.7").get("/metrics", headers=header).status_code == 404


@pytest.mark.parametrize("host", ["bench.example.org", "localhost.evil.example", "", "127.0.0.1.nip.io:7860"])
def test_a_name_of_the_outside_is_not_this_machine(host: str) -> None:
    """A proxy that adds no header still passes on the name by which it was asked."""
    scope = {"type": "http", "client": ("127.0.0.1", 4), "headers": [(b"host", host.encode())]}
    assert not direct(Request(scope))
    assert not direct(Request({**scope, "client": None}))


def test_with_a_token_nothing_else_opens(with_token: None, near: Near) -> None:
    """From anywhere with the token, from nowhere without; a prefix, more of it, another scheme and another
    alphabet are as wrong as none, and the answer does not say in what."""
    for client in (near(), near("203.0.113.7")):
        assert client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        wrong = ["", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN]
        wrong += ["Bearer " + "x" * 60_000, "Bearer é"]
        for text in wrong:
            answer = client.get("/metrics", headers=[(b"authorization", text.encode("latin-1"))])
            assert answer.status_code == 401, text[:40]
            assert TOKEN not in answer.text
        assert client.get("/metrics").status_code == 401
    assert near().get(f"/metrics?token={TOKEN}").status_code == 401


def test_a_person_of_the_instance_has_no_special_way(admin: Client) -> None:
    """The page is for programs: an admin who is signed in gets no further than a stranger."""
    assert admin.get("/metrics").status_code == 404


def test_the_numbers(near: Near, settings: Settings, tmp_path: Path) -> None:
    """Work by noun and state, workers and their queues, what running runs do, disk, pool and build are there."""
    (tmp_path / "config.json").write_text(config())
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    weights(tmp_path / "model.safetensors")
    with transaction() as session:
        ada = add_person(session, Role.researcher, "ada")
    base, dataset = loop.add_checkpoint(tmp_path), loop.add_dataset()
    for _ in range(2):
        loop.add_run(ada, base, dataset)
    with transaction() as session:
        run = claim(session, Run)
        assert run is not None
        for step in (1, 2):
            name = "throughput/tokens_per_second"
            session.add(Metric(run_id=run.id, name=name, step=step, value=step * 100.0, at=step))
    assert settings.redis_url is not None
    with presence.connect(settings.redis_url) as redis:
        presence.announce(redis, ("light", "generate"), beat=True)
        redis.lpush("train", "ring", "ring")
    found = read(near())
    assert found["plumbline_work_rows", ("run", "queued")] == 1
    assert found["plumbline_work_rows", ("run", "starting")] == 1
    assert found["plumbline_work_rows", ("import", "failed")] == 0
    assert found["plumbline_training_per_second", ("tokens",)] == 200
    assert found["plumbline_queue_messages", ("train",)] >= 2
    assert (found["plumbline_workers", ("light",)], found["plumbline_workers", ("train",)]) == (1, 0)
    assert found["plumbline_beats", ()] == 1
    assert found["plumbline_worker_heartbeat_age_seconds", (presence.name(),)] < presence.KEPT_SECONDS
    assert found["plumbline_data_disk_free_bytes", ()] > 0
    assert ("plumbline_database_connections", ("used",)) in found
    assert found["plumbline_part_up", ("database",)] == found["plumbline_part_up", ("redis",)] == 1
    assert any(name == "plumbline_build_info" for name, _ in found)
    assert ("plumbline_work_silent_seconds", ("run",)) in found


def test_what_is_away_takes_nothing_else_with_it(
    near: Near, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Redis the scrape still succeeds and says which part is away."""
    monkeypatch.setattr(settings, "redis_url", "redis://127.0.0.1:1/0")
    found = read(near())
    assert (found["plumbline_part_up", ("database",)], found["plumbline_part_up", ("redis",)]) == (1, 0)
    assert not any(name == "plumbline_workers" for name, _ in found)


TABLE = "plumbline_restoring"  # of restores: no metric


def test_the_documentation_names_them_all(near: Near, settings: Settings) -> None:
    """docs/operation.md tells of exactly the metrics that there are; what a histogram is made of goes by its name."""
    page = (Path(__file__).parents[3] / "docs" / "operation.md").read_text()
    assert near().get("/health/live").status_code == 200
    assert settings.redis_url is not None
    with presence.connect(settings.redis_url) as redis:
        presence.announce(redis, ("light",), beat=True)
    told = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in read(near()) if name.startswith("plumbline_")}
    assert set(re.findall(r"plumbline_[a-z_]*[a-z]", page)) - {TABLE} == told
