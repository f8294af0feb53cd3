"""Pictures of an evaluation as SVG: intervals in rows, a rate over steps, and who beats whom."""

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from backend.evaluations.markup import el

WIDTH = 720
ROW = 44
EDGE = 16
LIGHT = ("#0071bc", "#d25e15", "#14935c", "#cd6f9b", "#745603", "#4f3781", "#6d2a24", "#375c64")
DARK = ("#53b4ea", "#e88519", "#6bd19b", "#b27c9e", "#fed137", "#686bd9", "#c3423e", "#c4d6f7")
"""The colors of the charts on our pages, for classes c0 and so on of the page's style."""
LETTERS = 60
FULLEST = 0.42  # of a color behind a number, above what is always there


class Bar(NamedTuple):
    """A value with its bounds where it has some; `kind` is the place of its color."""

    name: str
    value: float
    low: float | None
    high: float | None
    kind: int = 0


def forest(bars: Sequence[Bar], label: str, *, share: bool) -> Element:
    """A row for each value with its interval; the dotted line stands at evenness."""
    low, high = (0.0, 1.0) if share else _reach(bars)
    middle = 0.5 if share else 0.0
    height = ROW * len(bars) + 34

    def at(value: float) -> float:
        return EDGE + (min(max(value, low), high) - low) / (high - low) * (WIDTH - 2 * EDGE)

    parts: list[Element] = [_line(at(middle), 0, at(middle), height - 26, "even")]
    for place, bar in enumerate(bars):
        y = ROW * place + 30
        tone = f"c{bar.kind % len(LIGHT)}"
        parts.append(el("text", _cut(bar.name), x=EDGE, y=y - 14))
        if bar.low is not None and bar.high is not None:
            parts.append(_line(at(bar.low), y, at(bar.high), y, f"span {tone}"))
        parts.append(el("circle", cx=_at(at(bar.value)), cy=y, r=5, class_=tone))
    for value in (low, (low + high) / 2, high):
        words = f"{value:.0%}" if share else f"{value:.2g}"
        parts.append(
            el("text", words, x=_at(at(value)), y=height - 8, class_="tick", text_anchor=_anchor(value, low, high))
        )
    return _svg(height, label, parts)


def curve(lines: Sequence[tuple[str, Sequence[tuple[int, float, float | None, float | None]]]], label: str) -> Element:
    """Rates by step with a band, a line for each run: (step, rate, low, high)."""
    height, top = 260, 24
    steps = [step for _, points in lines for step, *_ in points]
    first, last = min(steps), max(steps)

    def at(step: int, rate: float) -> str:
        x = 44 + (step - first) / max(1, last - first) * (WIDTH - 60)
        return f"{_at(x)},{_at(top + (1 - rate) * (height - top - 40))}"

    def y(rate: float) -> float:
        return top + (1 - rate) * (height - top - 40)

    parts: list[Element] = [_line(44, y(0.5), WIDTH - 16, y(0.5), "even")]
    for place, (name, points) in enumerate(lines):
        tone = f"c{place % len(LIGHT)}"
        band = [(step, low, high) for step, _, low, high in points if low is not None and high is not None]
        edge = [at(step, high) for step, _, high in band] + [at(step, low) for step, low, _ in reversed(band)]
        if len(band) > 1:
            parts.append(el("polygon", points=" ".join(edge), class_=f"band {tone}"))
        parts.append(el("polyline", points=" ".join(at(step, rate) for step, rate, *_ in points), class_=f"run {tone}"))
        parts.append(el("circle", cx=60, cy=10 + 14 * place, r=4, class_=tone))
        parts.append(el("text", _cut(name), x=70, y=14 + 14 * place, class_="tick"))
    for rate in (0.0, 0.5, 1.0):
        parts.append(el("text", f"{rate:.0%}", x=38, y=_at(y(rate) + 4), class_="tick", text_anchor="end"))
    for step, anchor in ((first, "start"), (last, "end")):
        x = at(step, 0).split(",")[0]
        parts.append(el("text", f"step {step}", x=x, y=height - 12, class_="tick", text_anchor=anchor))
    return _svg(height, label, parts)


class Dot(NamedTuple):
    """A checkpoint of a run at its KL and its reward, each with bounds where it has some."""

    run: str
    x: Bar
    y: Bar
    front: bool


def frontier(dots: Sequence[Dot], label: str, words: str) -> Element:
    """Reward over the square root of KL: the dots of each run joined in their order, those on the front filled."""
    height, left, right, top, bottom = 340, 56, WIDTH - 16, 16, 300
    runs = list(dict.fromkeys(dot.run for dot in dots))
    furthest = max(value for dot in dots for value in (dot.x.value, dot.x.high) if value is not None) or 1.0
    known = [value for dot in dots for value in (dot.y.value, dot.y.low, dot.y.high) if value is not None]
    least, most = min(known), max(known)
    least, most = (least, most) if most > least else (least - 1, most + 1)

    def x(kl: float) -> float:
        return left + math.sqrt(max(kl, 0) / furthest) * (right - left)

    def y(reward: float) -> float:
        return bottom - (reward - least) / (most - least) * (bottom - top - 16 * len(runs))

    parts: list[Element] = []
    for place, run in enumerate(runs):
        tone, own = f"c{place % len(LIGHT)}", [dot for dot in dots if dot.run == run]
        joined = " ".join(f"{_at(x(dot.x.value))},{_at(y(dot.y.value))}" for dot in own)
        parts.append(el("polyline", points=joined, class_=f"run {tone}"))
        parts.append(el("circle", cx=left + 8, cy=10 + 16 * place, r=4, class_=tone))
        parts.append(el("text", _cut(run), x=left + 18, y=14 + 16 * place, class_="tick"))
        for dot in own:
            at_x, at_y = x(dot.x.value), y(dot.y.value)
            if dot.x.low is not None and dot.x.high is not None:
                parts.append(_line(x(dot.x.low), at_y, x(dot.x.high), at_y, f"thin {tone}"))
            if dot.y.low is not None and dot.y.high is not None:
                parts.append(_line(at_x, y(dot.y.low), at_x, y(dot.y.high), f"thin {tone}"))
            box = el("circle", cx=_at(at_x), cy=_at(at_y), r=5, class_=tone if dot.front else f"hollow {tone}")
            parts.append(box)
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        value = furthest * share**2
        parts.append(el("text", f"{value:.3g}", x=_at(x(value)), y=bottom + 18, class_="tick", text_anchor=anchor))
    for reward in (least, most):
        parts.append(el("text", f"{reward:.3g}", x=left - 8, y=_at(y(reward) + 4), class_="tick", text_anchor="end"))
    parts.append(el("text", words, x=(left + right) / 2, y=height - 4, class_="tick", text_anchor="middle"))
    return _svg(height, label, parts)


def squares(cells: Sequence[Sequence[float | None]], label: str) -> Element:
    """Shares in a square, rows and columns numbered from one; the fuller the higher, and never so full that the number
    in it could not be read on a light and on a dark page."""
    size = min(64, (WIDTH - 40) // max(1, len(cells)))
    parts: list[Element] = []
    for row, values in enumerate(cells):
        middle = 24 + size * row + size / 2 + 4
        parts.append(el("text", str(row + 1), x=16, y=_at(middle), class_="tick", text_anchor="middle"))
        x = 32 + size * row + size / 2
        parts.append(el("text", str(row + 1), x=_at(x), y=14, class_="tick", text_anchor="middle"))
        for column, value in enumerate(values):
            if value is None:
                continue
            left = 32 + size * column
            box = el("rect", x=left + 1, y=24 + size * row + 1, width=size - 2, height=size - 2)
            box.set("class", "c0")
            box.set("fill-opacity", f"{0.08 + FULLEST * value:.2f}")
            words = el(
                "text", f"{value:.0%}", x=_at(left + size / 2), y=_at(middle), class_="cell", text_anchor="middle"
            )
            parts += [box, words] if size > 30 else [box]
    return _svg(30 + size * len(cells), label, parts)


def _svg(height: float, label: str, parts: Sequence[Element]) -> Element:
    return el("svg", *parts, viewBox=f"0 0 {WIDTH} {_at(height)}", role="img", aria_label=label)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Element:
    return el("line", x1=_at(x1), y1=_at(y1), x2=_at(x2), y2=_at(y2), class_=kind)


def _reach(bars: Sequence[Bar]) -> tuple[float, float]:
    known = [0.0, *(value for bar in bars for value in (bar.value, bar.low, bar.high) if value is not None)]
    low, high = min(known), max(known)
    return (low, high) if high > low else (low - 1, high + 1)


def _anchor(value: float, low: float, high: float) -> str:
    return "start" if value == low else "end" if value == high else "middle"


def _at(number: float) -> str:
    return f"{number:.1f}"


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
