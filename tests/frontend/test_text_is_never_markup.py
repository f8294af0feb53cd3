"""Holds the rule that text of people and models never becomes markup outside the one renderer."""

import ast
import re
from pathlib import Path

FRONTEND = Path(__file__).parents[2] / "frontend"
MODULES = sorted((FRONTEND / "assets").glob("*.js"))
SOURCES = sorted(FRONTEND.rglob("*.py"))
TEMPLATES = sorted((FRONTEND / "templates").glob("*.html"))

MARKUP = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|setHTML\w*|DOMParser|srcdoc|document\.write\w*)\b"
    r"|\b(eval|Function)\s*\("
)
IMPORT = re.compile(
    r"""^\s*(?:import|export)\b[^"'`;]*?\bfrom\s*["']([^"']+)|\bimport\(\s*["'`]([^"'`]+)""", re.MULTILINE
)
THE_ONE_PLACE = ("dom.js", "element.innerHTML = rendered;")
REFUSAL = 'name === "innerHTML" || name === "outerHTML" || name === "srcdoc"'
# Gradio components that turn a value into markup, or load what it names.
SETTING_MARKUP = {"HTML", "Markdown", "Chatbot", "Dataframe", "HighlightedText", "Label", "DownloadButton", "Image"}


def code_of(path: Path) -> list[str]:
    """Lines without comments that fill them."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("//")]


def test_browser_modules_insert_markup_in_one_place_only() -> None:
    """`html()` of dom.js is the only way from a string to elements."""
    found = [
        (path.name, line.split(" //")[0].strip())
        for path in MODULES
        for line in code_of(path)
        if MARKUP.search(line) and REFUSAL not in line
    ]

    assert found == [THE_ONE_PLACE]


def test_html_is_given_rendered_fields_only() -> None:
    """What goes into `html()` is a field named `html`, or a variable of that name: what the server's renderer wrote."""
    for path in MODULES:
        for line in code_of(path):
            for argument in re.findall(r"(?<![\w.])html\(([^),]+)", line):
                if "function html" in line:
                    continue
                assert re.fullmatch(r"(?:[\w.?\[\]]+\.)?(?:\w*[hH]tml|rendered)", argument.strip()), (
                    f"{path.name}: {line}"
                )


def test_modules_import_relatively() -> None:
    """An absolute import would be a second copy of the module, with a state of its own, and outlive its version."""
    for path in MODULES:
        for static, dynamic in IMPORT.findall("\n".join(code_of(path))):
            assert (static or dynamic).startswith("./"), f"{path.name} imports {static or dynamic}"


def test_pages_give_no_text_to_components_that_set_markup() -> None:
    """Python pages use `gr.HTML` only through `component`, and no component that reads Markdown or loads images."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called = node.func
            if isinstance(called.value, ast.Name) and called.value.id == "gr" and called.attr in SETTING_MARKUP:
                assert (path.name, called.attr) == ("page.py", "HTML"), f"{path}: gr.{called.attr} shows markup"
                assert not any(keyword.arg in {"value", None} for keyword in node.keywords), f"{path}: a value is given"


def test_nothing_is_fetched_from_elsewhere() -> None:
    """No page, style or script names another host; links to papers are made from data."""
    allowed = {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1998/Math/MathML",
        "https://arxiv.org/abs/${arxiv}",
        "https://api.example.com",  # shown in an empty field
    }
    for path in [*MODULES, *TEMPLATES, *sorted((FRONTEND / "assets").glob("*.css"))]:
        for address in re.findall(r"""https?://[^\s"'`)]+""", path.read_text(encoding="utf-8")):
            assert address in allowed, f"{path.name} names {address}"
