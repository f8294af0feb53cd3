"""The door: hosts, origins, sizes and headers."""

import pytest
from starlette.websockets import WebSocketDisconnect

from tests.conftest import ORIGIN, Client

BODY = {"name": "ci"}


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:7860", ""])
def test_unknown_hosts(admin: Client, host: str) -> None:
    """A name that merely resolves to this server is refused (DNS rebinding)."""
    assert admin.get("/api/v1/me", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1:7860", "[::1]:7860", "[::1]", "LOCALHOST"])
def test_known_hosts(admin: Client, host: str) -> None:
    assert admin.get("/api/v1/me", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9", "http://localhost.evil"])
def test_cross_origin(admin: Client, origin: str) -> None:
    """A page of another site cannot act with the visitor's cookie."""
    answer = admin.post("/api/v1/me/tokens", json=BODY, headers={"origin": origin})

    assert answer.status_code == 403
    assert admin.get("/api/v1/me/tokens").json()["items"] == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_simple_requests(admin: Client, content_type: str) -> None:
    """The body types a form of another site can send are not read as JSON either."""
    headers = {"content-type": content_type}
    answer = admin.post("/api/v1/me/tokens", content='{"name": "ci"}', headers=headers)

    assert answer.status_code == 422


def test_cookie_without_origin(admin: Client) -> None:
    """A cookie alone does not act: the browser must say where the request came from."""
    del admin.headers["origin"]
    assert admin.post("/api/v1/me/tokens", json=BODY).status_code == 403
    assert admin.post("/api/v1/me/tokens", json=BODY, headers={"origin": ORIGIN}).status_code == 201


def test_headers(anonymous: Client) -> None:
    """Every answer carries the policy, refusals too."""
    for answer in (anonymous.get("/health/live"), anonymous.get("/x", headers={"host": "evil.example"})):
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_large_body(admin: Client) -> None:
    """A body over the limit is refused before it is read."""
    answer = admin.post("/api/v1/me/tokens", content=b"x" * (5 << 20), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_large_body_of_unknown_size(admin: Client) -> None:
    """A body that comes in pieces without a length is refused like one that announces its size."""
    headers = {"content-type": "application/json"}
    pieces = (b"x" * (1 << 20) for _ in range(5))
    answer = admin.post("/api/v1/me/tokens", content=pieces, headers=headers)

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.json()["title"] == "Too large"
    assert answer.json()["remedy"]

    small = admin.post("/api/v1/me/tokens", content=iter([b'{"name"', b': "ci"}']), headers=headers)
    assert small.status_code == 201


def test_unknown_route_is_a_problem_document(admin: Client) -> None:
    answer = admin.get("/api/v1/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_websockets(admin: Client) -> None:
    """No WebSocket opens: the checks of hosts and origins are for requests only."""
    with pytest.raises(WebSocketDisconnect), admin.websocket_connect("/gradio_api/anything"):
        pass
