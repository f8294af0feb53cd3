"""The API's description of itself: complete, and its examples hold."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator

from backend.app import API
from backend.errors import PROBLEM
from backend.reference.describing import JSON, operations
from backend.reference.words import BODIES
from backend.settings import Settings
from tests.conftest import application


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return application(Settings(_env_file=None))


@pytest.fixture(scope="module")
def api(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def problems(api: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with an instance of a schema of the API's."""
    validator = Draft202012Validator({**schema, "components": api["components"]})
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(value)]


def test_every_operation_says_what_it_does(api: dict[str, Any]) -> None:
    """A summary that fits a line, a description, a tag, and its refusals."""
    for name, operation in operations(api, API):
        assert 5 < len(operation["summary"]) < 120, name
        assert len(operation["description"]) > 5, name
        assert len(operation["tags"]) == 1, name
        assert {"4XX", "5XX"} <= operation["responses"].keys(), name


def shown(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every place where an operation must show an example, with what is there."""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        if media == JSON:
            yield "request", content
    for status, answer in operation["responses"].items():
        for media, content in answer.get("content", {}).items():
            if (media == JSON and status.startswith("2")) or media == PROBLEM:
                yield status, content


def test_every_example_fits_its_schema(api: dict[str, Any]) -> None:
    """Of requests, answers and refusals; none is missing."""
    wrong = {
        f"{name} {place}": found
        for name, operation in operations(api, API)
        for place, content in shown(operation)
        if (found := ["missing"] if "example" not in content else problems(api, content["schema"], content["example"]))
    }
    assert wrong == {}


def routes(router: Any) -> Iterator[APIRoute]:
    """Every route of a router and of those that it includes."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from routes(route.original_router)


def test_every_request_shown_would_be_understood(app: FastAPI, api: dict[str, Any]) -> None:
    """The server's own checks, which know more than the schema, take the examples of bodies."""
    bodies = {
        name: operation["requestBody"]["content"][JSON]["example"]
        for name, operation in operations(api, API)
        if JSON in operation.get("requestBody", {}).get("content", {})
    }
    seen = set()
    for route in routes(app):
        for method in route.methods or ():
            name = f"{method} {route.path.removeprefix(API)}"
            if route.body_field is not None and name in bodies:
                _, errors = route.body_field.validate(bodies[name], {}, loc=("body",))
                assert not errors, (name, errors)
                seen.add(name)
    assert seen == bodies.keys()
    assert BODIES.keys() <= bodies.keys()
