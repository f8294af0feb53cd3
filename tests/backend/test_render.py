"""The one safe renderer against what people and models may write."""

import re
import time
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.render import MAX_CHARACTERS, render

ALLOWED = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
HOSTILE = [
    "<script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<svg onload=alert(1)><animate attributeName=href values="javascript:alert(1)"></svg>',
    "<style>@import 'https://evil.example/x.css';</style>",
    "<base href='https://evil.example/'>",
    "<form action='https://evil.example'><input name=q></form>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<p id=\"__proto__\" style='position:fixed;inset:0' onclick=alert(1)>x</p>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[a](vbscript:x) [b](file:///etc/passwd) [c](blob:https://x/y)",
    "<javascript:alert(1)>",
    "![track](https://evil.example/pixel.png)",
    "![a](data:image/svg+xml;base64,AAAA)",
    '[x](https://a.example "onmouseover=alert(1)")',
    "[x](https://a.example/\"onclick='alert(1)')",
    "```<script>\nalert(1)\n```",
    '```js" onload="alert(1)\nx\n```',
    "`<img src=x onerror=alert(1)>`",
    "[a]: javascript:alert(1)\n\n[a]",
    "<!-- --!><img src=x onerror=alert(1)> -->",
    "<a href='//evil.example'>relative</a> [p](//evil.example)",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<![CDATA[<script>alert(1)</script>]]>",
    "\x00<scr\x00ipt>alert(1)</script>",
    "${alert(1)} {{constructor.constructor('alert(1)')()}}",
    "$<script>alert(1)</script>$ and $$<img src=x onerror=alert(1)>$$",
    '\\(x" onmouseover="alert(1)\\) \\[</code><svg onload=alert(1)>\\]',
    "\\begin{align}</code></p><iframe src=//evil.example>\\end{align}",
    "```math display\n<script>alert(1)</script>\n```",
]


class Checker(HTMLParser):
    """Collects what a browser would be told to do."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(text: str) -> Checker:
    checker = Checker()
    checker.feed(render(text))
    checker.close()
    assert set(checker.tags) <= ALLOWED
    for tag, name, value in checker.attributes:
        assert (tag, name) in {("a", "href"), ("a", "rel"), ("a", "target"), ("ol", "start"), ("code", "class")}
        if name == "class":
            assert value in {"", "math", "math display"}
        if name == "href":
            assert re.match(r"https?://", value or "", re.IGNORECASE)
        if name == "rel":
            assert "noopener" in (value or "")
    return checker


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_harmless(text: str) -> None:
    """Only listed tags come out, only http links, no attribute that runs, styles or loads anything."""
    checked(text)


@given(st.text(alphabet=st.sampled_from(list("<>[]()!`*_~#|&;:=\"'/\\ \n\tabjs-$")), max_size=400))
@settings(max_examples=200, deadline=None)
def test_no_mixture_of_marks_escapes(text: str) -> None:
    """Whatever the order of brackets, quotes and marks, the output keeps to the list."""
    checked(text)


def test_markdown_is_set() -> None:
    """Headings, emphasis, code, lists, tables and links of ordinary answers are kept."""
    text = (
        "# T\n**b** *i* `c` ~~s~~ [l](https://a.example/x)\n\n1. one\n2. two\n\n```\n<b>\n```\n\n|a|b|\n|-|-|\n|1|2|\n"
    )

    html = render(text)

    for part in ("<h1>T</h1>", "<strong>b</strong>", "<em>i</em>", "<code>c</code>", "<s>s</s>", "<li>one</li>"):
        assert part in html
    assert "&lt;b&gt;" in html
    assert "<td>1</td>" in html
    assert 'href="https://a.example/x"' in html


def test_images_become_links_that_load_nothing() -> None:
    """A picture would tell its server who reads; it is shown as an address."""
    html = render("![x](https://evil.example/p.png)")

    assert "<img" not in html
    assert 'href="https://evil.example/p.png"' in html


FORMULAS = {
    "one dollar": ("so $x_1 * y_1$ holds", ["x_1 * y_1"]),
    "parentheses": (r"so \(a^2\) holds", ["a^2"]),
    "brackets over lines": ("so\n\\[\nx = 1\n- 2\n\\]\nholds", ["x = 1\n- 2"]),
    "two dollars in a list": ("- so\n\n  $$\n  x + 1\n  $$", ["x + 1"]),
    "in a line": ("so $$x^2$$ and $n$ hold", ["x^2", "n"]),
    "an environment": ("\\begin{align*}\na &= b\n\\end{align*}", ["\\begin{align*}\na &= b\n\\end{align*}"]),
    "prices": ("It costs $5 and $10, US$5 or 7$ each, $5, or 10$ more.", []),
    "a shell": ("echo $HOME/$USER and `$a$`", []),
    "escaped": (r"\$x\$ is \(see below\)", []),
    "not closed": ("$$\nx = 1\n\nand on \\[ y", []),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_are_told_from_text(name: str) -> None:
    """LaTeX keeps its letters, whatever Markdown would make of them; prices, shell variables and code are none."""
    text, sources = FORMULAS[name]

    found = re.findall(r'<code class="math(?: display)?">(.*?)</code>', render(text), re.DOTALL)

    assert [unescape(one) for one in found] == sources


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\u200b", "\ufeff", "\u200f", "\U000e0041"])
def test_characters_that_deceive_are_shown(character: str) -> None:
    """Overrides of the direction, zero-width and tag characters appear as code points."""
    html = render(f"safe{character}text")

    assert character not in html
    assert f"U+{ord(character):04X}" in html


def test_joined_emoji_and_scripts_stay() -> None:
    """The joiners that families of emoji and Persian need are no deception."""
    assert "👩\u200d🔬" in render("👩\u200d🔬")
    assert "\u0645\u06cc\u200c\u062e" in render("\u0645\u06cc\u200c\u062e")


PATTERNS = {
    "one long line": "x" * 1_000_000,
    "lists in lists": "- " * 30_000 + "end",
    "quotes in quotes": ">" * 50_000 + "end",
    "open brackets": "[" * 50_000 + "end",
    "open links": "[a](" * 1_400 + "end",
    "emphasis": "*a **b _c __d " * 4_000 + "end",
    "backticks": "".join("`" * size + " " for size in range(1, 300)) + "end",
    "wide table": "|a" * 20_000 + "|\n" + "|-" * 20_000 + "|\n" + "|\n" * 1_000 + "end",
    "references": "[a]: b\n" * 8_000 + "end",
    "entities": "&#x41;" * 9_000 + "end",
    "open tags": "<a " * 18_000 + "end",
    "escapes": "\\" * 59_000 + "end",
    "numbered": "1. " * 5_000 + "end",
    "strike": "~~a " * 14_000 + "end",
    "rules": "---\n===\n" * 7_000 + "end",
    "dollars": "$a " * 19_000 + "end",
    "open formulas": "$$a\n" * 14_000 + "end",
    "open environments": "\\begin{align}\n" * 4_200 + "end",
    "open parentheses": "\\(a " * 5_900 + "end",
}


@pytest.mark.parametrize("name", PATTERNS)
def test_time_is_bounded_and_nothing_is_lost(name: str) -> None:
    """Texts made to be slow take under five seconds on a busy machine, and their end is still there."""
    began = time.perf_counter()

    html = render(PATTERNS[name])

    assert time.perf_counter() - began < 5
    assert "end" in html or name == "one long line"


@pytest.mark.parametrize("depth", range(1, 40))
def test_deep_nesting_never_drops_text(depth: int) -> None:
    """Where the parser would give up and drop the rest, the text is shown as it stands."""
    assert "the end" in checked("> " * depth + "the end").text
    assert "the end" in checked("- " * depth + "the end").text


def test_long_text_is_shown_in_full() -> None:
    """Past the limit Markdown is no longer set, but every letter is there."""
    text = "**bold** " * MAX_CHARACTERS

    assert checked(text).text == text
