"""What is added to the API's description: who may ask, summaries, examples of requests, answers and refusals."""

from collections.abc import Iterator
from typing import Any

from backend.errors import PROBLEM
from backend.reference.examples import example
from backend.reference.words import BODIES

JSON = "application/json"
Schema = dict[str, Any]
INTRODUCTION = """Everything that the pages do, for programs.

**Who asks.** Send an API token, made on the Account page, as `Authorization: Bearer plb_…`. It may do what its person
may, or less. The header `Plumbline-Project` names the project by its id; without it, it is the token's own project or
the person's first.

**Refusals** are problem documents (RFC 9457): `status`, `title`, `detail`, the `field` at fault and the `remedy`.

**Lists** are `{items, next_cursor}`; the next page is asked for with `cursor`. **Long work** answers 202 with a row,
whose `state` one asks for again. **Creating** takes an `Idempotency-Key`: the same request sent twice by one key is
done once.
"""
REFUSALS = {
    "4XX": {
        "type": "/problems/Invalid",
        "title": "Invalid input",
        "status": 422,
        "detail": "objective.beta: Input should be greater than 0.",
        "field": "objective.beta",
        "remedy": "Give a value above 0.",
    },
    "5XX": {
        "type": "/problems/Unavailable",
        "title": "Unavailable",
        "status": 503,
        "detail": "The database or the broker does not answer now.",
        "field": None,
        "remedy": "Wait a moment, then try again.",
    },
}


def describe(api: Schema, prefix: str) -> Schema:
    """The description of what lies under `prefix`: every operation with a summary and with examples."""
    api["info"]["description"] = INTRODUCTION
    api["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    api["security"] = [{"token": []}]
    parts = api["components"]["schemas"]
    for name, operation in operations(api, prefix):
        said = operation.get("description", "")
        if said:
            operation["summary"] = _first_clause(said)
        _show_body(name, operation, parts)
        _show_answers(operation, parts)
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                parameter["example"] = example(parameter["schema"], parts, parameter["name"], whole=False)
    return api


def operations(api: Schema, prefix: str) -> Iterator[tuple[str, Schema]]:
    """Every operation with its name, such as `GET /runs/{run_id}`."""
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path.removeprefix(prefix)}", operation


def _first_clause(text: str) -> str:
    """What is said first, as the line of a list."""
    flat = " ".join(text.split())
    ends = [at for mark in (". ", "; ", ": ") if (at := flat.find(mark)) > 0]
    return flat[: min(ends)] if ends else flat.removesuffix(".")


def _show_body(name: str, operation: Schema, parts: Schema) -> None:
    content = operation.get("requestBody", {}).get("content", {}).get(JSON)
    if content is not None:
        given = BODIES.get(name)
        content["example"] = example(content["schema"], parts, whole=False) if given is None else given


def _show_answers(operation: Schema, parts: Schema) -> None:
    for status, answer in operation["responses"].items():
        content = answer.get("content", {})
        if JSON in content and status.startswith("2"):
            content[JSON]["example"] = example(content[JSON].get("schema", {}), parts, whole=True)
        if PROBLEM in content and status in REFUSALS:
            content[PROBLEM]["example"] = REFUSALS[status]
