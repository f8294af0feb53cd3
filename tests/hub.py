"""A small imitation of a model hub on this machine, with the manners of real ones and the bad ones too.

One server speaks as the hub, another as the place where it keeps large files: the hub sends its visitors on to there.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = ".safetensors"


@dataclass
class Asked:
    """One request as it came."""

    server: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Manners:
    """What the hub serves as the model `someone/tiny`, and how."""

    files: dict[str, bytes]
    token: str | None = None  # the one it wants, for every file
    gated: str | bool = False
    forbidden: bool = False  # the token is known and has no right
    stated_sizes: dict[str, int | None] = field(default_factory=dict)
    stated_digests: dict[str, str] = field(default_factory=dict)
    served: dict[str, bytes] = field(default_factory=dict)  # other bytes than those stated
    no_length: bool = False
    ranges: bool = True
    redirects: bool = True
    onward: str | None = None  # where redirects lead instead
    cuts: list[int] = field(default_factory=list)  # answers that break off after so many bytes
    busy: list[str] = field(default_factory=list)  # Retry-After of answers that refuse
    errors: list[int] = field(default_factory=list)
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    asked: list[Asked] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> "Manners":
        return cls({file.name: file.read_bytes() for file in sorted(folder.iterdir())})

    def listing(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.files.items():
            size = self.stated_sizes.get(name, len(content))
            one: dict[str, Any] = {"rfilename": name, "size": size}
            if name.endswith(LARGE):
                digest = self.stated_digests.get(name, hashlib.sha256(content).hexdigest())
                one["lfs"] = {"sha256": digest, "size": size, "pointerSize": 130}
            else:
                blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
                one["blobId"] = self.stated_digests.get(name, blob)
            siblings.append(one)
        return {
            "id": "someone/tiny",
            "sha": COMMIT,
            "siblings": siblings,
            "tags": ["text-generation"],
            "gated": self.gated,
            "private": False,
            "cardData": self.card,
            "config": {"architectures": ["LlamaForCausalLM"]},
            "safetensors": {"total": 12345},
        }


class Server(ThreadingHTTPServer):
    """One of the two servers."""

    daemon_threads = True

    def __init__(self, name: str, manners: Manners) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.manners = name, manners
        self.store: Server | None = None
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        manners, path = self.server.manners, unquote(urlsplit(self.path).path)
        token = self.headers.get("Authorization")
        manners.asked.append(Asked(self.server.name, path, self.headers.get("Range"), token))
        if self.server.name == "store":
            return self._serve(path.rpartition("/")[2])
        if manners.busy:
            return self._refuse(429, **{"Retry-After": manners.busy.pop(0)})
        if manners.errors:
            return self._refuse(manners.errors.pop(0))
        if path.startswith("/api/models/someone/tiny/revision/"):
            if path.rpartition("/")[2] not in ("main", COMMIT):
                return self._refuse(404, **{"X-Error-Code": "RevisionNotFound"})
            return self._send(json.dumps(manners.listing()).encode())
        if path.startswith(f"/someone/tiny/resolve/{COMMIT}/"):
            return self._resolve(path.rpartition("/")[2], token)
        return self._refuse(404, **{"X-Error-Code": "RepoNotFound"})

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _resolve(self, name: str, token: str | None) -> None:
        manners = self.server.manners
        if manners.token is not None and token != f"Bearer {manners.token}":
            code = {"X-Error-Code": "GatedRepo"} if token is None else {"X-Error-Message": "Invalid credentials"}
            return self._refuse(401, **code)
        if manners.forbidden:
            return self._refuse(403, **{"X-Error-Code": "GatedRepo"})
        if name.endswith(LARGE) and manners.redirects:
            assert self.server.store is not None
            return self._refuse(302, Location=manners.onward or f"{self.server.store.url}/large/{name}")
        return self._serve(name)

    def _serve(self, name: str) -> None:
        manners = self.server.manners
        content = manners.served.get(name, manners.files[name])
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self._send(content, start if manners.ranges else 0, ranged=bool(self.headers.get("Range")) and manners.ranges)

    def _send(self, content: bytes, start: int = 0, *, ranged: bool = False) -> None:
        manners = self.server.manners
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if not manners.no_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Connection", "close")
        self.end_headers()
        cut = self.server.name == "store" and manners.cuts
        self.wfile.write(content[start:][: manners.cuts.pop(0)] if cut else content[start:])
        self.close_connection = True

    def _refuse(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(manners: Manners) -> Iterator[str]:
    """The address of a hub with these manners, for as long as the block lasts."""
    with Server("hub", manners) as hub, Server("store", manners) as store:
        hub.store = store
        for server in (hub, store):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield hub.url
        finally:
            for server in (hub, store):
                server.shutdown()
