"""The client and the API's own description say the same."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from backend.app import API
from backend.settings import Settings
from plumbline.client import Client, schemas
from plumbline.client.noun import Noun
from tests import client_schemas
from tests.conftest import application
from tests.samples import FORMATS, sample

ID = FORMATS["uuid"]
HEAVY = ("torch", "gradio", "celery", "sqlalchemy", "fastapi", "numpy", "backend", "alignment", "frontend", "workers")


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    """The API's description."""
    return application(Settings(_env_file=None)).openapi()


def test_the_models_are_those_of_the_api(api: dict[str, Any]) -> None:
    """Write them anew with `python -m tests.client_schemas` when the API has changed."""
    assert client_schemas.render(api) == client_schemas.TARGET.read_text("utf-8")


def test_the_description_has_names_of_ours(api: dict[str, Any]) -> None:
    """Two models of one name would get the paths of their modules as names, in the reference and in clients."""
    assert [name for name in api["components"]["schemas"] if "__" in name] == []


def test_the_client_is_light() -> None:
    """A script starts without the parts of a server: no torch, pages, queue, database or web framework."""
    code = "import sys; from plumbline import Client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "plumbline.client" in done.stdout.split()
    assert [name for name in HEAVY if name in done.stdout.split()] == []


class Described:
    """Answers each request as the API's description says, and refuses what it does not describe."""

    def __init__(self, api: dict[str, Any]) -> None:
        self.parts = api["components"]["schemas"]
        self.operations = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"), method.upper(), operation)
            for path, operations in api["paths"].items()
            for method, operation in operations.items()
        ]
        self.asked: set[str] = set()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        found = [
            operation
            for path, method, operation in self.operations
            if method == request.method and path.match(request.url.path)
        ]
        assert found, f"{request.method} {request.url.path} is not in the API"
        operation = next((one for one in found if "{" not in one["operationId"]), found[0])
        self.asked.add(operation["operationId"])
        self._check(request, operation)
        status, answer = next((int(code), one) for code, one in operation["responses"].items() if code.startswith("2"))
        content = next(iter(answer.get("content", {}).items()), None)
        if content is None or content[0] != "application/json":
            return httpx2.Response(status, content=b"x" if content else b"")
        return httpx2.Response(status, json=self._ended(sample(content[1]["schema"], self.parts)))

    def _check(self, request: httpx2.Request, operation: dict[str, Any]) -> None:
        known = {parameter["name"]: parameter for parameter in operation.get("parameters", ())}
        assert set(request.url.params) <= known.keys()
        assert "idempotency-key" not in request.headers or "idempotency-key" in known
        if request.headers.get("content-type") == "application/json":
            body = json.loads(request.read())
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            schema = self.parts[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            fields = schema.get("properties")
            assert fields is None or set(body) <= fields.keys()
            assert set(schema.get("required", ())) <= set(body)

    def _ended(self, body: Any) -> Any:
        """Lists end and work has succeeded, so that whoever waits goes on."""
        if isinstance(body, dict):
            for name, value in (("next_cursor", None), ("state", "succeeded"), ("checkpoint_id", ID)):
                if name in body:
                    body[name] = value
            body.pop("next_cursor", None)
        return body


def card(kind: type[BaseModel]) -> Any:
    schema = kind.model_json_schema()
    return kind.model_validate(sample(schema, schema["$defs"]))


# Something for every argument of a method, by its name; what is not here is a row.
VALUES: dict[str, Any] = {
    "rows": [{"prompt": "a"}], "name": "A name", "split": "train", "hub_id": "a/b", "config": "main",
    "conversion": {"name": "pairs_to_thumbs"},
    "rule": "best_worst", "policy": {"sources": "people_first"}, "n": 2, "holding": [ID], "strength": 2,
    "seconds": 1.0, "rationale": "clearer", "client_id": None, "base_url": "http://x/v1", "model": "m",
    "chat_template": "{{ messages }}", "folder": "a", "objective": {"name": "dpo", "beta": 0.1},
    "contestants": [ID, ID], "judge": {"name": "people"}, "prompt": "Hello", "checkpoints": (ID, ID),
    "sampling": {"top_p": 0.5}, "kind": "merged", "repo_id": "a/b", "secret": "hub", "format": "native",
    "private": True, "level": 0.9, "texts": ["Hello"], "points": 100, "names": ["loss"], "project": ID,
    "suggestions": [{"item_id": ID, "value": {"strength": 1}, "margin": 0.4}], "task": ID, "by": "a model",
    "labels": [{"item_id": ID, "annotator": "j", "value": {"strength": 1}}], "source": "judge", "only": None,
    "items": [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "thumb": True}],
    "both_bad": "leave_out", "role": "researcher", "days": 3, "spec": {"seed": 1, "duration": {"epochs": 1}},
    "more": {"texts": ["Hello"], "seed": 1}, "settings": {"again": True}, "search": "a", "limit": 3,
    "follow": False, "said": {"strength": 1}, "read_only": True, "mine": True,
    "question": {"kind": "thumb"}, "changes": {"overlap": 2, "deadline": None}, "state": "open",
    "aspects": {"helpful": [1, 5]}, "wants": {"overlap": 3}, "text": "And then?", "ranking": [[1], [0, 2]], "best": 1,
    "cluster": "prompt", "margin": 0.03, "harness": {"tasks": ["arc_easy"]}, "categories": ["Facts"],
}  # fmt: skip


def methods(client: Client) -> Iterator[tuple[str, Any]]:
    """Every public method of every noun."""
    for noun, part in vars(client).items():
        if isinstance(part, Noun):
            for name, method in inspect.getmembers(part, inspect.ismethod):
                if not name.startswith("_"):
                    yield f"{noun}.{name}", method


def arguments(method: Any, known: dict[str, Any]) -> dict[str, Any]:
    """Something for each argument of a method."""
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            given |= known[name]
        elif name in known or parameter.default is parameter.empty:
            given[name] = known.get(name, ID)
    return given


def test_every_method_asks_for_what_there_is_and_reads_what_comes(api: dict[str, Any], tmp_path: Path) -> None:
    """Paths, parameters, bodies and keys are in the description, and its answers fit what the methods return."""
    described = Described(api)
    client = Client("http://localhost", "plb_x", poll_seconds=0, transport=httpx2.MockTransport(described))
    (tmp_path / "rows.jsonl").write_text("{}\n")
    known, called = {**VALUES, "path": tmp_path / "rows.jsonl", "to": tmp_path / "out"}, 0
    for name, method in methods(client):
        known["card"] = card(schemas.MatchCard if name.startswith("evaluations") else schemas.Card)
        answer = method(**arguments(method, known))
        if isinstance(answer, Iterator):
            list(answer)
        called += 1
    assert called >= 94
    assert len(described.asked) > 70
    assert API in client._line.http.base_url.path
