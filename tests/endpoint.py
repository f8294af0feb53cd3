"""A small imitation of a server that speaks the chat protocol of OpenAI, with its bad days."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "tiny-chat"


@dataclass
class Habits:
    """How the server answers; `url` is its address once it serves."""

    key: str | None = None
    models: list[str] | None = field(default_factory=lambda: [MODEL])
    answer: str = "The sea is wide."
    says: Callable[[dict[str, Any]], str] | None = None  # an answer that depends on what is asked
    tells: Any = None  # log-probabilities, for whoever asks for them
    refuses_logprobs: bool = False
    refuses: str | None = None  # prompts that hold this are refused with 400
    fails: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # answers before it works
    raw: bytes | None = None  # this instead of an answer
    endless: bool = False
    breaks_after: int | None = None  # words of a stream
    pause: float = 0.0
    usage: dict[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 5})
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, habits: Habits) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.habits = habits


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        habits = self.server.habits
        habits.keys.append(self.headers.get("Authorization"))
        if self._refused():
            return
        if self.path != "/v1/models" or habits.models is None:
            self._say(404, {"error": {"message": "not here"}})
        else:
            self._say(200, {"data": [{"id": model, "max_model_len": 512} for model in habits.models]})

    def do_POST(self) -> None:
        habits = self.server.habits
        habits.keys.append(self.headers.get("Authorization"))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        habits.asked.append(body)
        habits.at_once += 1
        habits.most_at_once = max(habits.at_once, habits.most_at_once)
        try:
            time.sleep(habits.pause)
            self._answer(body)
        finally:
            habits.at_once -= 1

    def _refused(self) -> bool:
        habits = self.server.habits
        if habits.key is not None and self.headers.get("Authorization") != f"Bearer {habits.key}":
            self._say(401, {"error": {"message": "bad key"}})
        elif habits.fails:
            status, headers = habits.fails.pop(0)
            self._say(status, {"error": {"message": "not now"}}, **headers)
        else:
            return False
        return True

    def _answer(self, body: dict[str, Any]) -> None:
        habits = self.server.habits
        if self._refused():
            return
        if habits.refuses is not None and habits.refuses in json.dumps(body["messages"]):
            self._say(400, {"error": {"message": "This model's maximum context length is 512 tokens."}})
        elif habits.refuses_logprobs and "logprobs" in body:
            self._say(400, {"error": {"message": "logprobs is not supported"}})
        elif habits.raw is not None:
            self._write(200, habits.raw)
        elif habits.endless:
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 65536)
        elif body.get("stream"):
            self._stream()
        else:
            text = habits.says(body) if habits.says else habits.answer
            choice: dict[str, Any] = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            if body.get("logprobs"):
                choice["logprobs"] = habits.tells
            self._say(200, {"choices": [choice], **({"usage": habits.usage} if habits.usage else {})})

    def _stream(self) -> None:
        habits = self.server.habits
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for place, word in enumerate(habits.answer.split(" ")):
            if place == habits.breaks_after:
                self.wfile.write(b'data: {"choices": [{"delta": {"con')
                return
            delta = {"choices": [{"delta": {"content": word if place == 0 else f" {word}"}, "finish_reason": None}]}
            self.wfile.write(f": keep-alive\n\ndata: {json.dumps(delta)}\n\n".encode())
        for last in ({"choices": [{"delta": {}, "finish_reason": "stop"}]}, {"usage": {"completion_tokens": 5}}):
            self.wfile.write(f"data: {json.dumps(last)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def _say(self, status: int, body: dict[str, Any], **headers: str) -> None:
        self._write(status, json.dumps(body).encode(), **headers)

    def _write(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):  # who asked has left
            self.close_connection = True


@contextmanager
def serving(habits: Habits) -> Iterator[Habits]:
    """The server for as long as the block lasts."""
    with _Server(habits) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        habits.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        try:
            yield habits
        finally:
            server.shutdown()
