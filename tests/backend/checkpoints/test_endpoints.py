"""Endpoints as checkpoints: tried when they are registered, refused clearly, never a way into the private network."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select

from backend.accounts.models import Role
from backend.addresses import Allowance
from backend.checkpoints import endpoints
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.projects.models import Project
from backend.settings import Settings
from tests.conftest import Client
from tests.endpoint import MODEL, Habits, serving

SOME = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def habits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Habits]:
    """A server on this machine that an admin allows."""
    with serving(Habits()) as found:
        monkeypatch.setattr(settings, "allowed_addresses", (Allowance.parse("127.0.0.1"),))
        yield found


def register(client: Client, habits: Habits, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/endpoints", json={"base_url": habits.url, "model": MODEL} | body)
    return dict(answer.json()) | {"code": answer.status_code}


def change(client: Client, habits: Habits, made: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = client.put(f"/api/v1/endpoints/{made['id']}", json={"base_url": habits.url, "model": MODEL} | body)
    return dict(answer.json()) | {"code": answer.status_code}


def evaluate(client: Client, first: str, second: str, judge: dict[str, Any]) -> None:
    """Queue an evaluation of two checkpoints."""
    body = {"name": "x", "contestants": [first, second], "prompts": {"texts": ["a"]}, "judge": judge}
    made = client.post("/api/v1/evaluations", json=body)
    assert made.status_code == 202, made.text


def test_rights(
    anonymous: Client,
    annotator: Client,
    researcher: Client,
    make_client: Callable[..., Client],
    habits: Habits,
) -> None:
    """Signed out 401, annotators 403, another project's endpoint 404."""
    made = register(researcher, habits)
    with transaction() as session:
        project = Project(name="Elsewhere")
        session.add(project)
    stranger = make_client(Role.researcher, project=project)

    for client, code in ((anonymous, 401), (annotator, 403)):
        assert register(client, habits)["code"] == code
        assert client.post("/api/v1/endpoints/models", json={"base_url": habits.url}).status_code == code
        assert client.post(f"/api/v1/checkpoints/{made['id']}/test").status_code == code
        assert change(client, habits, made)["code"] == code
        assert client.delete(f"/api/v1/endpoints/{made['id']}").status_code == code
    assert change(stranger, habits, made)["code"] == 404
    assert stranger.delete(f"/api/v1/endpoints/{made['id']}").status_code == 404
    assert stranger.post(f"/api/v1/checkpoints/{made['id']}/test").status_code == 404


def test_registered(researcher: Client, habits: Habits) -> None:
    """It lists its models and answers once, then it is a checkpoint that needs neither weights nor template."""
    listed = researcher.post("/api/v1/endpoints/models", json={"base_url": habits.url + "/"}).json()["items"]
    made = register(researcher, habits, concurrency=2)

    assert listed == [{"model": MODEL, "max_tokens": 512}]
    assert (made["code"], made["source"], made["name"], made["max_tokens"]) == (201, "endpoint", MODEL, 512)
    assert (made["available"], made["chat_template"], made["parameters"]) == (True, "not needed", 0)
    assert made["endpoint"] == {
        "base_url": habits.url,
        "model": MODEL,
        "secret": None,
        "concurrency": 2,
        "timeout_seconds": 120,
        "input_price": None,
        "output_price": None,
        "requests_per_minute": None,
    }
    assert [body["model"] for body in habits.asked] == [MODEL]
    assert register(researcher, habits)["code"] == 409
    assert register(researcher, habits, base_url=habits.url + "/")["code"] == 409


def test_its_key(researcher: Client, make_client: Callable[..., Client], habits: Habits) -> None:
    """The key is a secret of the project that is set for this very address; the answer never shows it."""
    habits.key = "key-of-the-endpoint"
    owner = make_client(Role.owner)
    assert "wants a key" in register(researcher, habits)["detail"]
    for name, origin in (("right", habits.url), ("wrong", "http://127.0.0.1:1")):
        secret = {"kind": "endpoint", "value": habits.key, "origin": origin}
        assert owner.put(f"/api/v1/secrets/{name}", json=secret).status_code == 200
    habits.keys.clear()
    refused = register(researcher, habits, secret="wrong")
    assert (refused["code"], refused["field"], habits.keys) == (422, "secret", [])

    made = register(researcher, habits, secret="right")
    assert made["code"] == 201
    assert habits.key not in str(made)
    assert set(habits.keys) == {f"Bearer {habits.key}"}


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"models": ["tiny-chats", "other"]}, "model", "does not list"),
        ({"key": "needed"}, "secret", "wants a key"),
        ({"fails": [(403, {})]}, "secret", "wants a key (403)"),
        ({"fails": [(500, {})]}, "base_url", "fails (500)"),
        ({"fails": [(302, {"Location": "http://169.254.169.254/"})]}, "base_url", "Redirects are not followed"),
        ({"raw": b"<html>"}, "base_url", "not the OpenAI chat protocol"),
        ({"raw": b"[" * 100_000}, "base_url", "not the OpenAI chat protocol"),
        ({"raw": b'{"choices": []}'}, "base_url", "not the OpenAI chat protocol"),
        ({"raw": b'{"choices": [{"message": 5}]}'}, "base_url", "not the OpenAI chat protocol"),
        ({"refuses": "hello"}, "model", "maximum context length"),
        ({"endless": True}, "base_url", "no end"),
    ],
)
def test_refused(researcher: Client, habits: Habits, change: dict[str, Any], field: str, words: str) -> None:
    """Whatever is wrong is told at the field at fault with what to do, and nothing is registered."""
    for name, value in change.items():
        setattr(habits, name, value)
    made = register(researcher, habits)

    assert (made["code"], made["field"]) == (422, field), made
    assert words in made["detail"]
    assert made["remedy"]
    with transaction() as session:
        assert session.scalars(select(Checkpoint)).all() == []


def test_busy(researcher: Client, habits: Habits) -> None:
    """429 is told with the time to wait."""
    habits.fails = [(429, {"Retry_After": "30"})]
    made = register(researcher, habits)

    assert (made["code"], "30 seconds" in made["detail"]) == (429, True)


def test_slow(researcher: Client, habits: Habits, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing is given up after the limit."""
    monkeypatch.setattr(endpoints, "TEST_SECONDS", 0.2)
    habits.pause = 1.0

    assert "silent" in register(researcher, habits)["detail"]


def test_without_a_list(researcher: Client, habits: Habits) -> None:
    """A server that lists no models can be registered all the same: it answers."""
    habits.models = None

    assert register(researcher, habits)["code"] == 201


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.1:{port}/v1",
        "http://localhost:{port}/v1",
        "http://[::ffff:127.0.0.1]:{port}/v1",
        "http://2130706433:{port}/v1",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/v1",
        "http://[::1]:{port}/v1",
    ],
)
def test_private_addresses(
    researcher: Client, habits: Habits, settings: Settings, monkeypatch: pytest.MonkeyPatch, base_url: str
) -> None:
    """Without an admin's leave nothing in a private network is asked, however its address is written."""
    monkeypatch.setattr(settings, "allowed_addresses", ())
    url = base_url.replace("{port}", habits.url.rpartition(":")[2].removesuffix("/v1"))
    made = register(researcher, habits, base_url=url)

    assert (made["code"], made["field"]) == (422, "base_url")
    assert "private network" in made["detail"]
    assert "PLUMBLINE_ALLOWED_ADDRESSES" in made["remedy"]
    assert (habits.asked, habits.keys) == ([], [])


@pytest.mark.parametrize(
    "body",
    [
        {"base_url": "ftp://host/v1"},
        {"base_url": "http://user:word@host/v1"},
        {"base_url": ""},
        {"model": ""},
        {"model": "a\nb"},
        {"concurrency": 0},
        {"concurrency": 65},
        {"timeout_seconds": 0},
        {"secret": "../x"},
        {"key": "sk-123"},
    ],
)
def test_bodies(researcher: Client, habits: Habits, body: dict[str, Any]) -> None:
    """Bad addresses, names and numbers are refused at the door; a key cannot be sent in the clear."""
    assert register(researcher, habits, **body)["code"] == 422
    assert habits.asked == []


def test_not_where_weights_are_needed(researcher: Client, habits: Habits) -> None:
    """An endpoint is refused as the base of a run, as its reference, and for export, with the reason."""
    made = register(researcher, habits)
    body = {"name": "x", "checkpoint_id": made["id"], "objective": {"name": "dpo"}, "dataset_id": SOME}
    found = researcher.post("/api/v1/runs/preflight", json=body).json()["errors"]
    assert any(one["field"] == "checkpoint_id" and "endpoint" in one["detail"] for one in found)

    exported = researcher.post("/api/v1/exports", json={"checkpoint_id": made["id"], "kind": "merged"})
    assert (exported.status_code, "endpoint" in exported.json()["detail"]) == (422, True)


def test_tried_again(researcher: Client, habits: Habits) -> None:
    """A registered endpoint can be asked whether it still answers; a checkpoint of weights cannot."""
    made = register(researcher, habits)
    tried = researcher.post(f"/api/v1/checkpoints/{made['id']}/test").json()
    assert (tried["answer"], tried["listed"]) == (habits.answer, True)

    habits.fails = [(503, {})]
    assert "fails (503)" in researcher.post(f"/api/v1/checkpoints/{made['id']}/test").json()["detail"]


def test_changed(researcher: Client, make_client: Callable[..., Client], habits: Habits) -> None:
    """Settings are changed after a try with the new ones; the log says what was and is, and no key."""
    made = register(researcher, habits)
    habits.key = "key-of-the-endpoint"
    owner = make_client(Role.owner)
    assert owner.put(
        "/api/v1/secrets/fresh", json={"kind": "endpoint", "value": habits.key, "origin": habits.url}
    ).is_success
    habits.models = ["other", MODEL]
    new = change(researcher, habits, made, secret="fresh", model="other", name="Another", timeout_seconds=9)

    assert (new["code"], new["name"], new["endpoint"]["model"], new["endpoint"]["secret"]) == (
        200,
        "Another",
        "other",
        "fresh",
    )
    assert new["endpoint"]["timeout_seconds"] == 9
    assert habits.asked[-1]["model"] == "other"
    assert register(researcher, habits, secret="fresh", model="other")["code"] == 409
    assert register(researcher, habits, secret="fresh")["code"] == 201
    (event,) = owner.get("/api/v1/audit", params={"action": "change", "noun": "endpoint"}).json()["items"]
    assert event["detail"]["model"] == {"was": MODEL, "is": "other"}
    assert event["detail"]["secret"] == {"was": None, "is": "fresh"}
    assert habits.key not in str(event)


def test_changed_without_a_try(researcher: Client, habits: Habits) -> None:
    """A name and limits need no answer of the server, which may be down just now."""
    made = register(researcher, habits)
    habits.fails = [(500, {})] * 5
    new = change(researcher, habits, made, name="Slow one", concurrency=1)

    assert (new["code"], new["name"], new["endpoint"]["concurrency"]) == (200, "Slow one", 1)
    assert change(researcher, habits, made)["name"] == "Slow one"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"model": "missing"}, 422, "model"),
        ({"base_url": "http://10.0.0.1/v1"}, 422, "base_url"),
        ({"base_url": "ftp://host"}, 422, "base_url"),
        ({"secret": "unknown"}, 422, "secret"),
        ({"concurrency": 0}, 422, "concurrency"),
        ({"model": "second"}, 409, "model"),
        ({"key": "sk-123"}, 422, "key"),
    ],
)
def test_a_change_that_is_refused(
    researcher: Client, habits: Habits, body: dict[str, Any], code: int, field: str
) -> None:
    """What is wrong is told at its field, and the endpoint stays as it was."""
    habits.models = [MODEL, "second"]
    made = register(researcher, habits)
    register(researcher, habits, model="second")
    refused = change(researcher, habits, made, **body)

    assert (refused["code"], refused["field"]) == (code, field), refused
    assert researcher.get(f"/api/v1/checkpoints/{made['id']}").json()["endpoint"] == made["endpoint"]


def test_what_it_said_stays_true(researcher: Client, habits: Habits) -> None:
    """Once it has taken part or judged, it keeps its model and cannot be deleted; where it is reached may change."""
    habits.models = [MODEL, "second", "judge"]
    made, second, judge = (register(researcher, habits, model=model) for model in habits.models)
    evaluate(researcher, made["id"], second["id"], {"name": "llm", "checkpoint": judge["id"]})

    for one in (made, judge):
        refused = change(researcher, habits, one, model="unheard")
        assert (refused["code"], refused["field"], refused["title"]) == (409, "model", "Endpoint in use")
        assert researcher.delete(f"/api/v1/endpoints/{one['id']}").status_code == 409
    moved = change(researcher, habits, judge, model="judge", base_url=habits.url.replace("127.0.0.1", "localhost"))
    assert (moved["code"], "localhost" in moved["endpoint"]["base_url"]) == (200, True)


def test_deleted(researcher: Client, make_client: Callable[..., Client], habits: Habits) -> None:
    """One that nobody used is gone, with an entry in the log; weights are not deleted this way."""
    made = register(researcher, habits)
    with transaction() as session:
        own = {"project_id": session.get_one(Checkpoint, uuid.UUID(made["id"])).project_id, "path": "/nowhere"}
        folder = Checkpoint(**own, source=Source.folder, name="Weights", architecture="x", parameters=1)
        session.add(folder)

    assert researcher.delete(f"/api/v1/endpoints/{made['id']}").status_code == 204
    assert researcher.delete(f"/api/v1/endpoints/{made['id']}").status_code == 404
    assert researcher.delete(f"/api/v1/endpoints/{folder.id}").json()["title"] == "Not an endpoint"
    (event,) = make_client(Role.owner).get("/api/v1/audit", params={"action": "delete"}).json()["items"]
    assert event["detail"] == {"name": MODEL, "base_url": habits.url, "model": MODEL}
