"""A small OpenID Connect provider over real HTTP, with real keys, that can be told to misbehave."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT, SECRET = "plumbline", "provider-client-secret"
KEY = RSAKey.generate_key(2048, {"kid": "one"})
PERSON = {"sub": "subject-1", "email": "Mira@Example.org", "email_verified": True}


class Provider:
    """What the provider says next. `claims` go over the right ones (None takes one out); `forge` makes the token of
    them in another way."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = KEY
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.forge: Callable[[dict[str, Any]], str] | None = None
        self.configuration: dict[str, Any] = {}
        self.away = False
        self.codes: dict[str, dict[str, str]] = {}
        self.requests: list[str] = []

    def authorize(self, url: str) -> dict[str, str]:
        """What the person's browser would bring back after signing in there."""
        query = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return {"code": code, "state": query["state"]}

    def published(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **self.configuration,
        }

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The answer of the token endpoint, as strict as a real one."""
        query = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        expected = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if (
            query is None
            or challenge.rstrip(b"=").decode() != query["code_challenge"]
            or form["redirect_uri"] != query["redirect_uri"]
            or authorization != expected
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        right = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": query["nonce"], **PERSON}
        claims = {key: value for key, value in {**right, **self.claims}.items() if value is not None}
        make = self.forge or (lambda said: jwt.encode(self.header, said, self.key, algorithms=["RS256"]))
        token = make(claims)
        return 200, {"access_token": "access", "token_type": "Bearer", "id_token": token}


@contextmanager
def serving() -> Iterator[Provider]:
    """A provider on a free port."""

    class Handler(BaseHTTPRequestHandler):
        provider: ClassVar[Provider]

        def do_GET(self) -> None:
            self.provider.requests.append(self.path)
            if self.provider.away:
                self.send_error(503)
            elif self.path == "/.well-known/openid-configuration":
                self.answer(200, self.provider.published())
            else:
                keys = KeySet([self.provider.key])
                self.answer(200, dict(keys.as_dict(private=False)))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {key: values[0] for key, values in parse_qs(body).items()}
            self.answer(*self.provider.exchange(form, self.headers.get("authorization", "")))

        def answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = Handler.provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()
