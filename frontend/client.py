"""The in-process HTTP client with which Gradio handlers call the API as the person who clicked.

async def rename(name: str, request: gr.Request) -> str:
    async with api(request) as call:
        return (await call.patch("/users/1", {"name": name}))["name"]

A problem answered by the API becomes a `gr.Error` that names what is wrong and what to do. No socket is opened: the
request goes straight into the application, with the caller's cookie, host and origin, so every guard of the API
holds here too. Handlers are async, because Gradio and FastAPI share one pool of threads.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
import httpx2
from fastapi import FastAPI
from starlette.requests import Request

API = "/api/v1"

# What tells the API who is calling and from where; everything else of the original request stays behind.
_PASSED_ON = ("cookie", "host", "origin", "user-agent", "x-forwarded-proto")


class Call:
    """JSON verbs against `/api/v1`; every method returns the decoded answer or raises `gr.Error`."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **query: Any) -> Any:
        """Read `path`; arguments that are None are left out of the query."""
        chosen = {name: value for name, value in query.items() if value is not None}
        return await self._send("GET", path, params=chosen)

    async def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """Create or do something; the key makes a repeated click harmless."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        return await self._send("POST", path, json=body, headers=headers)

    async def patch(self, path: str, body: Any) -> Any:
        """Change some fields."""
        return await self._send("PATCH", path, json=body)

    async def delete(self, path: str) -> None:
        """Remove."""
        await self._send("DELETE", path)

    async def _send(self, method: str, path: str, **options: Any) -> Any:
        response = await self._client.request(method, API + path, **options)
        if response.is_error:
            raise problem(response)
        return response.json() if response.content else None


def problem(response: httpx2.Response) -> gr.Error:
    """The API's problem details as a message for people; never the bare body."""
    details: Mapping[str, Any] = {}
    if "json" in response.headers.get("content-type", ""):
        body = response.json()
        details = body if isinstance(body, dict) else {}
    sentences = [str(details[part]) for part in ("detail", "remedy") if details.get(part)]
    title = str(details.get("title") or f"The server answered {response.status_code}.")
    # Gradio shows messages as HTML: what the API quotes back from a user must not become markup.
    return gr.Error(message=_plain(" ".join(sentences) or title), title=_plain(title), print_exception=False)


@asynccontextmanager
async def api(request: gr.Request) -> AsyncIterator[Call]:
    """A client that acts as the person behind `request`."""
    inner: Request | None = request.request
    if inner is None:
        raise gr.Error("This action needs a browser session. Reload the page.", print_exception=False)
    async with connect(inner.app.state.plumbline_api, inner.headers) as client:
        yield Call(client)


@asynccontextmanager
async def connect(application: FastAPI, headers: Mapping[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client into `application` that carries over the identifying headers of another request."""
    transport = httpx2.ASGITransport(app=application)
    base_url = f"http://{headers.get('host', 'localhost')}"
    passed_on = {name: headers[name] for name in _PASSED_ON if name in headers}
    async with httpx2.AsyncClient(transport=transport, base_url=base_url, headers=passed_on, timeout=60) as client:
        yield client


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
