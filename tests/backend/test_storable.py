"""Text that no database can hold is refused at the door, whatever the route."""

import uuid
from typing import Any

import pytest

from tests.conftest import ORIGIN, Client

API = "/api/v1"
SOMEWHERE = uuid.UUID(int=0)
BODIES: list[tuple[str, dict[str, Any], str]] = [
    ("/session", {"name": "a?", "password": "long enough"}, "name"),
    ("/me/tokens", {"name": "a?"}, "name"),
    ("/checkpoints", {"folder": "a", "name": "a?"}, "name"),
    ("/fetches", {"hub_id": "a/b", "name": "a?"}, "name"),
    ("/runs/preflight", {"tuning": {"targets": ["a", "a?"]}}, "tuning.targets.1"),
    ("/runs", {"name": "a?"}, "name"),
    ("/evaluations", {"judge": {"name": "a?"}}, "judge.name"),
    (f"/items/{SOMEWHERE}/labels", {"value": {"skip": "a?"}}, "value.skip"),
]


@pytest.mark.parametrize("character", ["\\u0000", "\\ud800", "\\udfff x"])
@pytest.mark.parametrize(("path", "body", "field"), BODIES)
def test_bodies(admin: Client, path: str, body: dict[str, Any], field: str, character: str) -> None:
    """A NUL or half a surrogate pair in a JSON body is a 422 that names the field, never a failed query."""
    raw = str(body).replace("'", '"').replace("?", character)
    answer = admin.post(API + path, content=raw, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert answer.json()["remedy"]


def test_keys(admin: Client) -> None:
    """An unknown key is refused in an answer that can be written, also when the key is no Unicode."""
    headers = {"content-type": "application/json"}
    assert admin.post(f"{API}/runs/preflight", content='{"\\ud800": 1}', headers=headers).status_code == 422
    assert admin.post(f"{API}/me/tokens", content='{"\\u0000": 1}', headers=headers).status_code == 422


@pytest.mark.parametrize(
    "address", ["/datasets?search=a%00", f"/runs/{SOMEWHERE}/events?kind=a&kind=%00", "/objectives/%00/curve"]
)
def test_addresses(admin: Client, address: str) -> None:
    """The same in an address."""
    assert admin.get(API + address).status_code == 422


def test_what_can_be_stored(admin: Client) -> None:
    """Whole surrogate pairs, a written-out escape and every other character pass."""
    headers = {"content-type": "application/json", "origin": ORIGIN}
    answer = admin.post(f"{API}/me/tokens", content='{"name": "\\ud83d\\ude00 \\\\u0000 \\u0001"}', headers=headers)

    assert answer.status_code == 201, answer.text
    assert answer.json()["name"] == "😀 \\u0000 \x01"


def test_no_json(admin: Client) -> None:
    """A body that is no JSON, or nested without end, is refused as before."""
    headers = {"content-type": "application/json"}
    for raw in ("{", "[" * 100_000, '"\xff'.encode("latin-1")):
        assert admin.post(f"{API}/me/tokens", content=raw, headers=headers).status_code in {400, 422}
