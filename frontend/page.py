"""What a page is, how pages are found, and how a browser component is put on one.

A page is one file, `frontend/pages/<name>.py`, and nothing else has to be edited to add one:

    from frontend.page import Page, component

    PAGE = Page(path="run", title="Run", nav="Runs", modules=("run",))

    def build() -> None:
        component("run", every_seconds=1)

`build` runs inside the page's own Gradio Blocks, so ordinary Gradio components may stand beside ours. The frame
around it (navigation, page title, user, theme, help) is drawn by `frontend.frame` and is already there when the
page arrives; `build` draws only what is below the title.

`component("run", …)` is a `gr.HTML` that imports `assets/run.js` as an ES module and calls

    export function mount(element, props, gradio) { … }

once, with an empty element, the keyword arguments, and `gradio = {trigger, server, watch}` for the rare component
that talks to a Python handler. Modules import each other relatively (`import { api } from "./api.js"`), never by
an absolute address: a second address is a second copy of the module. What they share:

    ./api.js     get, post, patch, put, del (JSON, problem details as ApiError, Idempotency-Key, lost connection, 401)
    ./dom.js     h() builds elements from text, html() inserts the server's rendered HTML, tables, dialogs, toasts
    ./format.js  numbers, times, durations, sizes as the interface writes them
    ./keys.js    keyboard shortcuts with the help overlay
    ./live.js    polling by cursor, with backoff, paused while the page is hidden
    ./charts.js  Plotly: one color per run everywhere, bands, smoothing, dark mode
    ./frame.js   the title and the actions at the top of the page, the signed-in user

Props are written by us at start, never by a user; what belongs to the address (`?id=`) a module reads itself.
"""

import importlib
import json
import pkgutil
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Protocol, cast

import gradio as gr

from frontend import pages

Role = Literal["admin", "owner", "researcher", "annotator", "nobody"]  # the last: in no project
RESEARCH: frozenset[Role] = frozenset({"admin", "owner", "researcher"})
EVERYONE: frozenset[Role] = frozenset({"admin", "owner", "researcher", "annotator"})
OWNERS: frozenset[Role] = frozenset({"admin", "owner"})
ANYBODY: frozenset[Role] = EVERYONE | {"nobody"}
ADMINS: frozenset[Role] = frozenset({"admin"})

_MODULE_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, kw_only=True)
class Page:
    """One address of the workbench.

    `path` is the address without its slash ("" is Home) and holds no further slash. `nav` names the entry of the
    navigation that is lit while the page is open. A page with a `tab` is one of the tabs under that entry, in
    `order`. `modules` are fetched early, beside the page, each with its style sheet `assets/<module>.css` if there is
    one. Roles outside `roles` get a page that says so.
    """

    path: str
    title: str
    nav: str
    tab: str | None = None
    order: int = 100
    roles: frozenset[Role] = RESEARCH
    modules: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The page's path as links write it."""
        return f"/{self.path}"


class PageModule(Protocol):
    """A file of `frontend/pages/`."""

    PAGE: Page

    def build(self) -> None:
        """Draw the page inside the current Blocks."""


def discover() -> list[PageModule]:
    """Every page file, Home first, then by order and title."""
    modules = [_load(info.name) for info in pkgutil.iter_modules(pages.__path__)]
    return sorted(modules, key=lambda module: (module.PAGE.path != "", module.PAGE.order, module.PAGE.title))


def component(name: str, /, *, element_id: str | None = None, **props: Any) -> gr.HTML:
    """Put the browser component `assets/<name>.js` on the page; `props` must be JSON."""
    if not _MODULE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no module name: lower case letters, digits and hyphens")
    # The literal ends up inside a script; `<` is escaped so that no prop can close a tag around it.
    literal = json.dumps(props).replace("<", "\\u003c")
    return gr.HTML(
        html_template='<div class="pl-mount" aria-busy="true"><div class="pl-skeleton"></div></div>',
        js_on_load=f'window.plumbline.mount("{name}", element, {literal}, {{ trigger, server, watch, props }});',
        apply_default_css=False,
        elem_id=element_id,
        elem_classes=["pl-component"],
    )


def _load(name: str) -> PageModule:
    module: ModuleType = importlib.import_module(f"{pages.__name__}.{name}")
    if not isinstance(getattr(module, "PAGE", None), Page) or not callable(getattr(module, "build", None)):
        raise TypeError(f"{module.__name__} must define PAGE (a Page) and build()")
    return cast(PageModule, module)
