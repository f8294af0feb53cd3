"""A small imitation of a hub that takes uploads: repositories, large files by LFS, commits, and tokens with rights."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WRITE, READ = "hf_may_write", "hf_may_read"
LARGE = (".safetensors", "tokenizer.json")


class UploadsHub(ThreadingHTTPServer):
    """`repos` is what people see; `blobs` what has arrived; `break_at` cuts the connection after so many bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict[str, Any]] = {}
        self.blobs: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.part_bytes: int | None = None
        self.break_at: int | None = None
        self.busy = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, repo_id: str, *, private: bool, files: dict[str, bytes] | None = None) -> None:
        """A repository that is there already."""
        self.repos[repo_id] = {"private": private, "files": dict(files or {})}


class Handler(BaseHTTPRequestHandler):
    server: UploadsHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        repo_id = self.path.partition("?")[0].removeprefix("/api/models/")
        repo = self.server.repos.get(repo_id)
        if repo is None or (repo["private"] and self._token() not in (WRITE, READ)):
            self._answer(404, {}, {"X-Error-Code": "RepoNotFound"})
            return
        files = [{"rfilename": name} for name in repo["files"]]
        self._answer(200, {"id": repo_id, "private": repo["private"], "siblings": files, "tags": []})

    def do_PUT(self) -> None:
        length = int(self.headers["content-length"])
        if self.server.break_at is not None:
            self.rfile.read(min(self.server.break_at, length))
            self.connection.close()
            return
        oid, _, part = self.path.removeprefix("/lfs/").partition("/")
        content = self.rfile.read(length)
        self.server.puts.append(self.path)
        self.server.blobs[f"{oid}/{part}" if part else oid] = content
        self._answer(200, {}, {"ETag": hashlib.sha256(content).hexdigest()})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        if self.server.busy:
            self.server.busy -= 1
            self._answer(429, {"error": "slow down"}, {"Retry-After": "0"})
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif path.startswith("/complete/"):
            self._join(path.removeprefix("/complete/"), json.loads(body))
        elif self._token() != WRITE:
            self._answer(403 if self._token() == READ else 401, {"error": "no"})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith("/preupload/main"):
            self._modes(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif path.endswith("/commit/main"):
            self._commit(path.removeprefix("/api/models/").removesuffix("/commit/main"), body)
        else:
            self._answer(404, {})

    def _token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def _create(self, asked: dict[str, Any]) -> None:
        repo_id = f"{asked['organization']}/{asked['name']}"
        there = repo_id in self.server.repos
        if not there:
            self.server.add(repo_id, private=asked.get("visibility") == "private")
        self._answer(409 if there else 200, {"url": f"{self.server.url}/{repo_id}"})

    def _modes(self, asked: dict[str, Any]) -> None:
        names = [file["path"] for file in asked["files"]]
        modes = [
            {"path": name, "uploadMode": "lfs" if name.endswith(LARGE) else "regular", "shouldIgnore": False}
            for name in names
        ]
        self._answer(200, {"files": modes})

    def _batch(self, asked: dict[str, Any]) -> None:
        found = [self._object(one["oid"], one["size"]) for one in asked["objects"]]
        self._answer(200, {"objects": found, "transfer": "multipart" if self.server.part_bytes else "basic"})

    def _object(self, oid: str, size: int) -> dict[str, Any]:
        if oid in self.server.blobs:
            return {"oid": oid, "size": size}
        part = self.server.part_bytes
        if part is None:
            return {"oid": oid, "size": size, "actions": {"upload": {"href": f"{self.server.url}/lfs/{oid}"}}}
        parts = {str(n + 1): f"{self.server.url}/lfs/{oid}/{n + 1}" for n in range(-(-size // part))}
        upload = {"href": f"{self.server.url}/complete/{oid}", "header": {"chunk_size": str(part)} | parts}
        return {"oid": oid, "size": size, "actions": {"upload": upload}}

    def _join(self, oid: str, asked: dict[str, Any]) -> None:
        parts = [self.server.blobs.pop(f"{oid}/{part['partNumber']}") for part in asked["parts"]]
        self.server.blobs[oid] = b"".join(parts)
        self._answer(200, {})

    def _commit(self, repo_id: str, body: bytes) -> None:
        files = self.server.repos[repo_id]["files"]
        for line in body.splitlines():
            said = json.loads(line)
            value = said["value"]
            if said["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif said["key"] == "lfsFile":
                content = self.server.blobs[value["oid"]]
                assert hashlib.sha256(content).hexdigest() == value["oid"]
                files[value["path"]] = content
            elif said["key"] == "deletedFile":
                del files[value["path"]]
        self._answer(200, {"commitUrl": f"{self.server.url}/{repo_id}/commit/{'d' * 40}", "commitOid": "d" * 40})

    def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (
            {"Content-Length": str(len(content)), "Content-Type": "application/json"} | (headers or {})
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving() -> Iterator[UploadsHub]:
    """The imitation on a free port of this machine."""
    with UploadsHub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
