"""Markup of a page that is handed on: built as a tree, so that what people wrote can only ever be text in it."""

import re
from xml.etree.ElementTree import Element, tostring

BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Signs that turn what stands around them, and those that no page may hold."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
Child = Element | str | None


def el(tag: str, *children: Child, **attributes: object) -> Element:
    """An element; `class_` is its class, `stroke_width` its stroke-width; attributes that are None are left out."""
    made = Element(tag, {_name(name): plain(str(value)) for name, value in attributes.items() if value is not None})
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif child and last is None:
            made.text = (made.text or "") + plain(child)
        elif child and last is not None:
            last.tail = (last.tail or "") + plain(child)
    return made


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-") if name != "viewBox" else name


def plain(text: str) -> str:
    """The text without signs that turn what stands around them."""
    return BIDI.sub("", text)


def name(text: str) -> Element:
    """What somebody called something, set apart from the direction of the text around it."""
    return el("bdi", text)


def table(heads: list[str], rows: list[list[Child]], caption: str) -> Element:
    """A table whose first column names its rows."""
    head = el("tr", *(el("th", one, scope="col") for one in heads))
    lines = [el("tr", el("th", row[0], scope="row"), *(el("td", cell) for cell in row[1:])) for row in rows]
    return el("div", el("table", el("caption", caption), el("thead", head), el("tbody", *lines)), class_="wide")


def document(title: str, style: str, *body: Child) -> str:
    """A whole page that loads nothing, runs nothing and sends nothing."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        el("style", style),
    )
    page = el("html", head, el("body", el("main", *body)), lang="en")
    return "<!doctype html>\n" + tostring(page, encoding="unicode", method="html")
