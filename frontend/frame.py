"""The frame around every page: head, navigation, title bar. Written into Gradio's HTML before it leaves the server,
so that it is there at once and the same on every page."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from frontend import static
from frontend.page import EVERYONE, RESEARCH, Page, Role

# The loop, in its order. An entry is shown to the roles that may open it.
NAVIGATION: tuple[tuple[str, str, frozenset[Role]], ...] = (
    ("Home", "/", EVERYONE),
    ("Data", "/data", RESEARCH),
    ("Label", "/label", EVERYONE),
    ("Runs", "/runs", RESEARCH),
    ("Compare", "/compare", EVERYONE),
    ("Evaluate", "/evaluate", RESEARCH),
    ("Objectives", "/objectives", RESEARCH),
    ("Team", "/team", RESEARCH),
)

_ICONS = {
    "Home": "M3 8.5 8 4l5 4.5M4.5 7.5V13h7V7.5",
    "Data": "M3 4.5C3 3.4 5.2 3 8 3s5 .4 5 1.5S10.8 6 8 6 3 5.6 3 4.5Zm0 0v7C3 12.6 5.2 13 8 13s5-.4 5-1.5v-7"
    "M3 8c0 1.1 2.2 1.5 5 1.5S13 9.1 13 8",
    "Label": "M2.5 4h4.8v8H2.5zM8.7 4h4.8v8H8.7zM10 8l.9 1 1.5-2",
    "Runs": "M2.5 12.5h11M3.5 10.5 6.5 6l2.5 2 3.8-5",
    "Compare": "M5 3v10M11 3v10M2.8 6 5 3l2.2 3M8.8 10l2.2 3 2.2-3",
    "Evaluate": "M3 13V9.5M6.4 13V6.5M9.7 13V8M13 13V3.5",
    "Objectives": "M8 13.2A5.2 5.2 0 1 0 8 2.8a5.2 5.2 0 0 0 0 10.4Zm0-2.7a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
    "Team": "M6 7.6a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6ZM2 13c0-2.2 1.8-3.6 4-3.6s4 1.4 4 3.6"
    "M10.4 3.4a2.2 2.2 0 0 1 0 4M11.6 9.7c1.5.4 2.5 1.6 2.5 3.3",
}

_HEAD = static.template("head")

_FRAME = static.template("frame")

_OFFLINE = '<span class="pl-badge" title="This server asks nobody outside (PLUMBLINE_OFFLINE)">Offline</span>'

_PLAIN = static.template("message")


def around(html: str, page: Page, person: Mapping[str, Any], pages: Sequence[Page]) -> str:
    """Gradio's page with our head and frame in it."""
    html = _without_remote_metadata(html)
    html = html.replace("</head>", _head(page.title, page, person) + "</head>", 1)
    html = html.replace(
        'control_page_title="true"', 'control_page_title="false" id="pl-main" role="main" tabindex="-1"', 1
    )
    start = html.index("<body")
    end = html.index(">", start) + 1
    return html[:start] + '<body class="pl-framed">' + _frame(page.title, page, person, pages) + html[end:]


def missing(person: Mapping[str, Any], pages: Sequence[Page]) -> str:
    """The page for an address that leads nowhere."""
    return _plain("Nothing here", "This address leads nowhere. It may be an old link or a typing slip.", person, pages)


def forbidden(page: Page, person: Mapping[str, Any], pages: Sequence[Page]) -> str:
    """The page for a person without the rights."""
    text = (
        f"“{page.title}” is for {' and '.join(sorted(f'{role}s' for role in page.roles))}; you are signed in as "
        f"{person['role']}. An admin can change your role under Team."
    )
    return _plain("Not for your role", text, person, pages)


def stranded(person: Mapping[str, Any], pages: Sequence[Page]) -> str:
    """The page for a person whose request is about no project of theirs."""
    if person["projects"]:
        heading = "Not in this project any more"
        text = "You have left the project that you worked in here, or it was deleted. Choose another from the list."
    else:
        heading = "You are in no project"
        text = "Somebody who owns a project can send you the link of an invitation."
        if person["admin"]:
            text = "There is no project. As an admin you can make one: choose “New project…” from the list."
    return _plain(heading, text, person, pages)


def _plain(heading: str, text: str, person: Mapping[str, Any], pages: Sequence[Page]) -> str:
    page = Page(path="", title=heading, nav="")
    return _PLAIN.substitute(
        head=_head(heading, page, person),
        frame=_frame(heading, page, person, pages),
        heading=escape(heading),
        text=escape(text),
    )


def _head(title: str, page: Page, person: Mapping[str, Any]) -> str:
    assets = f"/ui/{static.version()}"
    modules = ("frame", "api", "dom", "formula", "formula-signs", *page.modules)
    return _HEAD.substitute(
        title=escape(title),
        assets=assets,
        preload="\n".join(_links(assets, modules)),
        person=_script_literal(dict(person)),
        page=_script_literal({"path": page.path, "title": page.title, "nav": page.nav}),
    )


def _links(assets: str, modules: Sequence[str]) -> Iterator[str]:
    """A module is fetched early; its style sheet of the same name, where there is one, is part of the page."""
    for name in modules:
        yield f'<link rel="modulepreload" href="{assets}/{name}.js">'
        if (static.ASSETS / f"{name}.css").exists():
            yield f'<link rel="stylesheet" href="{assets}/{name}.css">'


def _frame(title: str, page: Page, person: Mapping[str, Any], pages: Sequence[Page]) -> str:
    return _FRAME.substitute(
        assets=f"/ui/{static.version()}",
        entries="".join(_entries(page, person, pages)),
        tabs=_tabs(page, person, pages),
        title=escape(title),
        name=escape(person["name"]),
        role=escape(person["role"]),
        projects="".join(_projects(person)),
        network=_OFFLINE if person.get("network") == "offline" else "",
    )


def _entries(page: Page, person: Mapping[str, Any], pages: Sequence[Page]) -> Iterator[str]:
    there = {other.address for other in pages}
    for label, address, roles in NAVIGATION:
        if address in there and person["role"] in roles:
            current = ' aria-current="page"' if page.nav == label else ""
            icon = f'<svg viewBox="0 0 16 16" aria-hidden="true"><path d="{_ICONS[label]}"/></svg>'
            yield f'<li><a href="{address}"{current}>{icon}<span>{label}</span></a></li>'


def _projects(person: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the list of projects, the present one chosen."""
    present = person["project"]["id"] if person["project"] else None
    if present is None:
        yield '<option value="" selected disabled>no project</option>'
    for one in person["projects"]:
        chosen = " selected" if one["id"] == present else ""
        archived = " (archived)" if one["archived"] else ""
        yield f'<option value="{escape(one["id"])}"{chosen}>{escape(one["name"])}{archived}</option>'
    if person["admin"] or any(one["role"] == "owner" for one in person["projects"]):
        yield '<option value="new">New project…</option>'


def _tabs(page: Page, person: Mapping[str, Any], pages: Sequence[Page]) -> str:
    tabs = [other for other in pages if other.tab and other.nav == page.nav and person["role"] in other.roles]
    if page.tab is None or len(tabs) < 2:
        return ""
    links = (
        f'<a href="{other.address}"{" aria-current=page" if other == page else ""}>{escape(other.tab or "")}</a>'
        for other in tabs
    )
    return f'<nav class="pl-tabs" aria-label="{escape(page.nav)}">{"".join(links)}</nav>'


def _script_literal(value: object) -> str:
    """JSON that can stand inside a script element whatever the strings in it say."""
    text = json.dumps(value)
    for unsafe in "<>&\u2028\u2029":
        text = text.replace(unsafe, f"\\u{ord(unsafe):04x}")
    return text


def _without_remote_metadata(html: str) -> str:
    """Drop the social-media tags that point at somebody else's site, and a manifest that is not there."""
    html = html.replace('<link rel="manifest" href="/manifest.json" />', "")
    start, end = html.find('<meta property="og:title"'), html.find("<style>")
    if 0 <= start < end:
        html = html[:start] + html[end:]
    start, end = html.find('<meta property="og:url"'), html.find("<script>window.gradio_config")
    return html[:start] + html[end:] if 0 <= start < end else html
