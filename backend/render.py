"""The one way in which text from people or models becomes HTML.

Markdown without HTML, then a sanitizer that knows a short list of harmless tags: no images (they would call out), no
styles, no ids, links to http and https only; the one class says that a piece of code is a formula. Pages insert the
result as it is; everything else they show is plain text.
"""

import re
from functools import lru_cache
from html import escape

import nh3
from markdown_it import MarkdownIt

from backend import formulas

# Rendering takes time in proportion to the text; past this it is shown as plain text in full.
MAX_CHARACTERS = 60_000
MAX_NESTING = 20

_TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
# Characters that show nothing and change what is read: bidirectional overrides and isolates, zero-width marks, the
# byte order mark, tag characters. Joiners (U+200C, U+200D) stay: scripts and emoji need them.
_DECEIVING = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Long runs of the characters that open and close inline marks make any Markdown parser look back again and again.
_MARK_RUN = re.compile(r"([*_~`\[\]()!<&\\])\1{39,}")


def render(text: str) -> str:
    """Safe HTML of Markdown `text`; what deceives the eye is written out as its code point."""
    clean = clear(text)
    if len(clean) > MAX_CHARACTERS or _MARK_RUN.search(clean) or _marks(clean) > MAX_CHARACTERS // 10:
        return _preformatted(clean)
    tokens = _markdown().parse(clean)
    # Past its deepest level the parser drops text; nobody may judge a response of which a part is missing.
    if any(token.level >= MAX_NESTING - 2 for token in tokens):
        return _preformatted(clean)
    return nh3.clean(
        _markdown().renderer.render(tokens, _markdown().options, {}),
        tags=_TAGS,
        attributes={"*": set(), "a": {"href"}, "ol": {"start"}},
        allowed_classes={"code": {"math", "display"}},
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        url_relative="deny",
        strip_comments=True,
    )


def plain(text: str) -> str:
    """`text` letter by letter, as one preformatted block; what deceives the eye is written out."""
    return _preformatted(clear(text))


def clear(text: str) -> str:
    """`text` without control characters, what deceives the eye written out as its code point; still no HTML."""
    return _CONTROL.sub("\ufffd", _DECEIVING.sub(_shown, text.replace("\r\n", "\n").replace("\r", "\n")))


def _preformatted(clean: str) -> str:
    return f"<pre>{escape(clean)}</pre>"


@lru_cache
def _markdown() -> MarkdownIt:
    options = {"html": False, "linkify": False, "typographer": False, "breaks": True, "maxNesting": MAX_NESTING}
    parser = MarkdownIt("commonmark", options)
    parser.enable(["table", "strikethrough"]).disable(["image", "html_block", "html_inline", "reference"])
    formulas.install(parser)
    return parser


def _shown(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found.group()):04X}⟩"


def _marks(text: str) -> int:
    return sum(text.count(mark) for mark in "*_[<`>|~!(")
