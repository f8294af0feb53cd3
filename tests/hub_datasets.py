"""A small imitation of a hub's datasets on this machine, as the library `datasets` asks it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB_ID = "someone/colors"


@dataclass
class Shelf:
    """What the hub serves as the dataset `someone/colors`, and how."""

    files: dict[str, bytes]
    token: str | None = None  # the one it wants
    broken: bool = False  # files break off in the middle
    asked: list[str] = field(default_factory=list)

    def entries(self, folder: str) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name, content in self.files.items():
            if folder and not name.startswith(f"{folder}/"):
                continue
            rest = name.removeprefix(f"{folder}/") if folder else name
            first, _, more = rest.partition("/")
            path = f"{folder}/{first}" if folder else first
            kind = {"type": "directory"} if more else {"type": "file", "size": len(content)}
            found[path] = {"path": path, "oid": "0" * 40, **kind}
        return list(found.values())


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.shelf = shelf


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        shelf, path = self.server.shelf, unquote(urlsplit(self.path).path)
        shelf.asked.append(path)
        if shelf.token is not None and self.headers.get("authorization") != f"Bearer {shelf.token}":
            return self._send(b"", 401, **{"X-Error-Code": "GatedRepo"})
        if path.startswith(f"/api/datasets/{HUB_ID}/revision/"):
            return self._json(self._info())
        if path.startswith(f"/api/datasets/{HUB_ID}/tree/"):
            return self._json(shelf.entries(path.partition("/tree/")[2].partition("/")[2].strip("/")))
        _, found, name = path.partition(f"/datasets/{HUB_ID}/resolve/{COMMIT}/")
        if not found or name not in shelf.files:
            return self._send(b"", 404, **{"X-Error-Code": "EntryNotFound" if found else "RepoNotFound"})
        return self._file(shelf.files[name])

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        names = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]
        files = self.server.shelf.files
        self._json(
            [
                {"type": "file", "path": name, "size": len(files[name]), "oid": "0" * 40}
                for name in names
                if name in files
            ]
        )

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _info(self) -> dict[str, Any]:
        siblings = [{"rfilename": name, "size": len(content)} for name, content in self.server.shelf.files.items()]
        card = {"license": "cc-by-4.0"}
        return {"id": HUB_ID, "sha": COMMIT, "siblings": siblings, "cardData": card, "tags": [], "private": False}

    def _file(self, content: bytes) -> None:
        about = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start, _, end = self.headers.get("range", "").removeprefix("bytes=").partition("-")
        if not start:
            return self._send(content, 200, **about)
        part = content[int(start) : int(end) + 1 if end else None]
        span = f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}"
        return self._send(part, 206, **about, **{"Content-Range": span})

    def _json(self, found: Any) -> None:
        self._send(json.dumps(found).encode(), 200, **{"Content-Type": "application/json"})

    def _send(self, content: bytes, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            cut = self.server.shelf.broken and status == 206
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if self.server.shelf.broken and status == 206:
            self.close_connection = True


@contextmanager
def serving(shelf: Shelf) -> Iterator[str]:
    """The address of the imitation while it serves."""
    with Server(shelf) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
