"""Puts the pages on the API's application: one call, `mount(app)`."""

import asyncio
import os
import warnings
from collections.abc import Callable, Sequence

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Mount, Route

from frontend import static
from frontend.client import API, connect
from frontend.guard import Guard, Person, WhoIs
from frontend.page import PageModule, discover
from frontend.theme import theme

QUEUE_SECONDS = 1.0
# Plural nouns, as the API writes them, lead to the pages that show one of each.
_CANONICAL = {"runs": "run", "datasets": "dataset", "checkpoints": "checkpoint", "evaluations": "evaluation"}


def mount(app: FastAPI) -> FastAPI:
    """Afterwards `app` also serves the pages, our static files, the sign-in page and the short addresses.

    Call it last: Gradio takes every address that is not taken yet.
    """
    app.router.routes.extend(
        [*static.routes(), Route("/sign-in", _sign_in), Route("/invitation", _invitation), *_redirects()]
    )
    modules = discover()
    with warnings.catch_warnings():
        # Said for every application of several pages, also when server-side rendering was never asked for.
        warnings.filterwarnings("ignore", message="SSR mode is not supported")
        _within_a_loop(lambda: _mount(app, modules))
    mounted = app.router.routes[-1]
    if not isinstance(mounted, Mount):
        raise TypeError("Gradio was expected to mount itself last")
    mounted.app = Guard(mounted.app, {module.PAGE.address: module.PAGE for module in modules}, _who_is(app))
    return app


def _within_a_loop(work: Callable[[], None]) -> None:
    """Do `work` while an event loop runs; without one Gradio would open loops and never close them."""

    async def working() -> None:
        work()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(working())
    else:
        work()


def _mount(app: FastAPI, modules: Sequence[PageModule]) -> None:
    gr.mount_gradio_app(
        app,
        build(modules),
        path="/",
        footer_links=[],
        run_history=False,
        auth_dependency=_name_of,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        theme=theme(),
    )


def build(modules: Sequence[PageModule]) -> gr.Blocks:
    """All pages as one Gradio application; the first module is Home."""
    # Nothing about a private workbench is reported anywhere.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    home, *others = modules
    blocks: gr.Blocks = gr.Blocks(title="Plumbline", analytics_enabled=False, fill_width=True)
    with blocks:
        home.build()
    for module in others:
        with blocks.route(module.PAGE.title, module.PAGE.path, show_in_navbar=False):
            module.build()
    _let_rest(blocks)
    return blocks


def _let_rest(blocks: gr.Blocks) -> None:
    """No page sends events through Gradio's queue: it looks into it once a second, and not a thousand times, which
    takes a twentieth of a processor of a server that nobody uses."""
    queue = blocks._queue
    queue.sleep_when_free = queue.progress_update_sleep_when_free = QUEUE_SECONDS


def _who_is(app: FastAPI) -> WhoIs:
    async def who_is(request: Request) -> Person | None:
        """The signed-in person, asked of the API itself so that there is one rule for sessions."""
        if "cookie" not in request.headers:
            return None
        async with connect(app, request.headers) as client:
            response = await client.get(f"{API}/me")
        if response.status_code != 200:
            return None
        body = response.json()
        project = body["project"]
        role = project["role"] if project else "nobody"
        person: Person = {key: body[key] for key in ("id", "name", "admin", "network", "project", "projects")} | {
            "role": role
        }
        request.scope["plumbline_person"] = person
        return person

    return who_is


def _name_of(request: Request) -> str | None:
    """What Gradio calls the user; the guard in front of it has already asked who this is."""
    person = request.scope.get("plumbline_person")
    return person["name"] if person else None


async def _sign_in(_: Request) -> HTMLResponse:
    page = static.template("sign-in").substitute(assets=f"/ui/{static.version()}")
    return HTMLResponse(page, headers={"Cache-Control": "no-store"})


async def _invitation(_: Request) -> HTMLResponse:
    page = static.template("invitation").substitute(assets=f"/ui/{static.version()}")
    # The link is a secret: no address that is asked for from here is told where from.
    return HTMLResponse(page, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


def _redirects() -> list[Route]:
    def route(plural: str, page: str) -> Route:
        async def redirect(request: Request) -> RedirectResponse:
            return RedirectResponse(f"/{page}?id={request.path_params['id']}", 307)

        return Route(f"/{plural}/{{id:uuid}}", redirect)

    return [route(plural, page) for plural, page in _CANONICAL.items()]
