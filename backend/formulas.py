"""Where LaTeX stands in Markdown: `$…$`, `$$…$$`, `\\(…\\)`, `\\[…\\]` and bare environments become `code.math`.

Only the source is marked here; the page draws it, element by element (`frontend/assets/formula.js`). What only looks
like a formula (prices, variables of a shell) stays text.
"""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MOST = 2_000  # characters of one formula
MOST_LINES = 60

_PAIRS = {"$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_MATHEMATICAL = re.compile(r"[\\^_=+<>|{]")
_ENVIRONMENT = re.compile(r"\\begin\{((?:align|aligned|equation|gather|multline|eqnarray|cases|[bpvBV]?matrix)\*?)\}")


def install(parser: MarkdownIt) -> None:
    """Afterwards `parser` knows formulas, before it reads the same letters as escapes, emphasis or lists."""
    parser.inline.ruler.before("escape", "formula", _inline)
    parser.block.ruler.before(
        "code", "formula_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.add_render_rule("formula", _render)
    parser.add_render_rule("formula_block", _render_block)


def _inline(state: StateInline, silent: bool) -> bool:
    opened = state.src[state.pos : state.pos + 2]
    if opened in _PAIRS:
        end = state.src.find(_PAIRS[opened], state.pos + 2, state.pos + 2 + MOST)
        source, display = state.src[state.pos + 2 : end], opened != "\\("
        if end < 0 or not _meant(source):
            return False
        end += 2
    elif opened[:1] == "$":
        end = _dollar(state.src, state.pos)
        source, display = state.src[state.pos + 1 : end], False
        if end < 0:
            return False
        end += 1
    else:
        return False
    if not silent:
        token = state.push("formula", "code", 0)
        token.content, token.meta = source, {"display": display}
    state.pos = end
    return True


def _dollar(text: str, start: int) -> int:
    """Where the formula that a single dollar opens at `start` has its closing one; -1 where it opens none."""
    if start and text[start - 1].isalnum():
        return -1
    end = start
    while (end := text.find("$", end + 1, start + 1 + MOST)) > 0:
        source, after = text[start + 1 : end], text[end + 1 : end + 2]
        if source.endswith("\\"):
            continue
        closes = source == source.strip() and not after.isalnum() and after != "$"
        return end if closes and _meant(source) else -1
    return -1


def _meant(source: str) -> bool:
    """It says something, and as a formula: by a sign of mathematics, or in one piece."""
    return bool(source.strip()) and (bool(_MATHEMATICAL.search(source)) or not re.search(r"\s", source))


def _block(state: StateBlock, start: int, last: int, silent: bool) -> bool:
    """A formula that begins a line and ends one, whatever its lines between would mean in Markdown."""
    if state.sCount[start] - state.blkIndent >= 4:
        return False
    line = _line(state, start)
    environment = _ENVIRONMENT.match(line)
    opened = environment.group() if environment else line[:2]
    closed = f"\\end{{{environment.group(1)}}}" if environment else _PAIRS.get(opened)
    if closed is None or opened == "\\(":
        return False
    end = _closing_line(state, start, last, closed, len(opened))
    if end is None:
        return False
    lines = [_line(state, number) for number in range(start, end + 1)]
    source = "\n".join(lines).rstrip()[len(opened) : -len(closed)]
    if len(source) > MOST or closed in source or not _meant(source):
        return False
    if not silent:
        token = state.push("formula_block", "code", 0)
        token.content = f"{opened}{source}{closed}" if environment else source
        token.meta, token.map = {"display": True}, [start, end + 1]
    state.line = end + 1
    return True


def _closing_line(state: StateBlock, start: int, last: int, closed: str, opened: int) -> int | None:
    """The line that ends with `closed`; None when the formula is not closed within a paragraph.

    Where a search ended without one is remembered, so that many openings that never close cost one search.
    """
    searched: dict[tuple[str, int], int] = state.env.setdefault("formulas", {})
    if _line(state, start)[opened:].rstrip().endswith(closed):
        return start
    at = max(start + 1, searched.get((closed, state.blkIndent), 0))
    while at < min(last, start + MOST_LINES) and not state.isEmpty(at) and state.sCount[at] >= state.blkIndent:
        if _line(state, at).rstrip().endswith(closed):
            return at
        at += 1
    searched[closed, state.blkIndent] = at
    return None


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _render(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    token = tokens[index]
    return f'<code class="math{" display" if token.meta["display"] else ""}">{escape(token.content.strip())}</code>'


def _render_block(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return f"<p>{_render(renderer, tokens, index, options, env)}</p>\n"
