"""Gradio handlers call the API as the person who clicked, and errors reach that person as sentences."""

from collections.abc import Callable
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.testclient import TestClient

from backend.accounts.models import Role
from frontend.client import api

Visit = Callable[..., TestClient]


def clicked(web: FastAPI, client: TestClient, **changed: str) -> gr.Request:
    """What Gradio hands to a handler for a click in `client`'s browser."""
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
    headers = {"host": "localhost", "origin": "http://localhost", "cookie": cookies, **changed}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    mounted: Any = web.router.routes[-1]
    scope = {"type": "http", "headers": raw, "app": mounted.app.gradio}
    return gr.Request(request=Request(scope))


@pytest.mark.anyio
async def test_a_handler_acts_as_the_person(web: FastAPI, visit: Visit) -> None:
    """The cookie goes along: the API sees the same person."""
    async with api(clicked(web, visit(Role.researcher, "rita"))) as call:
        assert (await call.get("/me"))["name"] == "rita"


@pytest.mark.anyio
async def test_signed_out_is_an_error_with_a_remedy(web: FastAPI, visit: Visit) -> None:
    """Without a session the person is told to sign in."""
    with pytest.raises(gr.Error) as caught:
        async with api(clicked(web, visit(None))) as call:
            await call.get("/me")

    assert "Sign in" in caught.value.message


@pytest.mark.anyio
async def test_the_api_guards_itself_behind_gradio_too(web: FastAPI, visit: Visit) -> None:
    """A handler reached from another origin, or by a role without rights, gets nothing more than HTTP would give."""
    person = visit(Role.annotator)
    with pytest.raises(gr.Error):
        async with api(clicked(web, person)) as call:
            await call.get("/users")
    with pytest.raises(gr.Error):
        async with api(clicked(web, person, origin="https://evil.example")) as call:
            await call.post("/me/tokens", {"name": "x"})


@pytest.mark.anyio
async def test_messages_are_text(web: FastAPI, visit: Visit) -> None:
    """Gradio shows errors as HTML: what the API quotes back is escaped."""
    with pytest.raises(gr.Error) as caught:
        async with api(clicked(web, visit(Role.researcher))) as call:
            await call.get("/objectives/<img src=x onerror=alert(1)>/curve")

    assert "<img" not in caught.value.message
    assert "&lt;img" in caught.value.message
