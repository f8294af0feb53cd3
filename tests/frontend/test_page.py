"""Pages are found by themselves, and a component's props cannot leave their literal."""

import json
import re
from typing import Any

import gradio as gr
import pytest

from frontend.app import build
from frontend.frame import NAVIGATION
from frontend.page import Page, component, discover
from frontend.static import ASSETS


def test_home_comes_first_and_addresses_differ() -> None:
    """Gradio's main page is Home; no two files claim the same address."""
    pages = [module.PAGE for module in discover()]

    assert pages[0].address == "/"
    assert len({page.address for page in pages}) == len(pages)


def test_pages_belong_to_the_navigation() -> None:
    """Every page lights an entry that exists (the account is reached by the person's own menu)."""
    entries = {label for label, _, _ in NAVIGATION} | {""}

    for module in discover():
        assert module.PAGE.nav in entries, module.PAGE.path


def test_early_modules_exist() -> None:
    """A module that a page asks for early is a file."""
    for module in discover():
        for name in module.PAGE.modules:
            assert (ASSETS / f"{name}.js").is_file(), f"{module.PAGE.path}: {name}"


@pytest.mark.anyio
async def test_the_queue_of_events_rests() -> None:
    """No page sends events through Gradio's queue, which may therefore look into it seldom; its own habit is to do so
    a thousand times a second."""
    blocks = build(discover())

    assert not blocks.fns
    assert blocks._queue.sleep_when_free >= 1
    assert blocks._queue.progress_update_sleep_when_free >= 1


@pytest.mark.anyio
async def test_props_stay_inside_their_literal() -> None:
    """Props arrive as they are, and no string in them can close a script or a template."""
    props: dict[str, Any] = {"text": "</script>'\"`${alert(1)}{{value}}\u2028", "n": 3, "flag": True, "none": None}
    with gr.Blocks():
        made = component("label-card", **props)
    script = made.js_on_load or ""

    literal = re.search(r'mount\("label-card", element, (\{.*\}), \{ trigger', script, re.DOTALL)
    assert literal is not None
    assert json.loads(literal.group(1)) == props
    assert "<" not in script
    assert "${" not in made.html_template


@pytest.mark.parametrize("name", ["../x", "a/b", 'x"', "", "X", "1"])
def test_a_component_has_a_module_name(name: str) -> None:
    """Only plain names become part of a script."""
    with pytest.raises(ValueError, match="module name"):
        component(name)


def test_a_page_with_a_slash_is_never_routed() -> None:
    """Gradio knows no slashes in routes; every page keeps to one part."""
    assert all("/" not in module.PAGE.path for module in discover())
    assert Page(path="run", title="Run", nav="Runs").address == "/run"
