"""An evaluation's report as one page to hand on: pictures and numbers, nothing that runs, loads or links."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol
from xml.etree.ElementTree import Element

from backend.evaluations import benchmark_words, frontier_words, judging
from backend.evaluations.frontier_schemas import FrontierOut
from backend.evaluations.markup import Child, document, el, name, plain, table
from backend.evaluations.meter_schemas import MeterOut, MetersOut
from backend.evaluations.pictures import DARK, LIGHT, Bar, curve, forest, squares
from backend.evaluations.report_schemas import (
    ContestantOut,
    ControlledOut,
    CorrectedOut,
    PairOut,
    RateOut,
    ReportOut,
    StandingOut,
    TableOut,
)


def _tones(colors: Sequence[str]) -> str:
    return " ".join(f"--c{place}: {color};" for place, color in enumerate(colors))


COLORS = f"""
:root {{ color-scheme: light dark; --text: #1a2029; --muted: #586372; --line: #d5dae1; --back: #fff;
  {_tones(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ --text: #e7ebf0; --muted: #a0abb9; --line: #39424e; --back: #12151a;
  {_tones(DARK)} }} }}
{" ".join(f".c{place} {{ fill: var(--c{place}); stroke: var(--c{place}); }}" for place in range(len(LIGHT)))}
"""
STYLE = (
    COLORS
    + """body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 24px 16px 64px; overflow-wrap: anywhere; }
h2 { margin: 36px 0 8px; } h3 { margin: 20px 0 6px; } p { margin: 6px 0; }
.muted, caption { color: var(--muted); } .wide { overflow-x: auto; overflow-wrap: normal; }
table { border-collapse: collapse; margin: 10px 0; min-width: 60%; } caption { text-align: left; padding: 4px 0; }
th, td { text-align: right; padding: 4px 8px; border-bottom: 1px solid var(--line); }
@media print { .wide { overflow: visible; } table { font-size: 11px; } }
th[scope=row], th:first-child { text-align: left; white-space: normal; font-weight: 550; min-width: 150px; }
th[scope=row] { overflow-wrap: anywhere; } td { white-space: nowrap; }
svg { width: 100%; max-width: 760px; height: auto; display: block; margin: 8px 0; }
svg text { fill: var(--text); font: 13px system-ui, sans-serif; } svg .tick { fill: var(--muted); font-size: 12px; }
.even { stroke: var(--muted); stroke-dasharray: 2 3; } .span { stroke-width: 3; }
.run { fill: none; stroke-width: 2.5; } .thin { stroke-width: 1.2; stroke-opacity: .6; } .hollow { fill: var(--back); }
.band { fill-opacity: .16; stroke: none; }
polyline.run { fill: none; } polygon.band { stroke: none; } rect { stroke: none !important; } .cell { stroke: none; }
.warn { border-left: 3px solid var(--c4); padding-left: 10px; }
"""
)
METERS = {
    "tokens": "Tokens",
    "words": "Words",
    "distinct_1": "Distinct-1",
    "distinct_2": "Distinct-2",
    "distinct_3": "Distinct-3",
    "ead": "EAD",
    "self_bleu": "Self-BLEU",
    "repetition": "Repetition",
    "loops": "Loops",
    "entropy": "Entropy (bits a word)",
}
DASH = "-"


class Bounded(Protocol):
    """Anything with bounds."""

    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def write(report: ReportOut, meters: MetersOut, told: FrontierOut) -> str:
    """The page; names and reasons stand in it as text alone."""
    evaluation = report.evaluation
    known = {one.id: one for one in report.contestants}
    parts: list[Child] = [el("h1", name(evaluation.name)), _about(report)]
    parts += [el("p", words, class_="warn") for words in report.warnings]
    for one in report.tables:
        parts += _judge(one, known, report)
    parts += benchmark_words.section(report.measured, known)
    parts += [el("h2", "Prompts seen in training"), *_training(report, known)]
    parts += [el("h2", "What the answers are like"), *_meters(meters, known)]
    parts += frontier_words.section(told, judging.in_words(told.judge, evaluation))
    return document(f"{plain(evaluation.name)}, an evaluation", STYLE, *parts)


def _about(report: ReportOut) -> Element:
    evaluation = report.evaluation
    made = f"{evaluation.created_at:%Y-%m-%d}, {evaluation.state}, {report.matches} matches, seed {evaluation.seed}. "
    others = [part for one in evaluation.contestants[1:] for part in (", ", name(one.name))]
    base = evaluation.contestants[0]
    return el("p", made, "Baseline: ", name(base.name), ". Others: ", *others[1:], ".", class_="muted")


def _judge(one: TableOut, known: dict[uuid.UUID, ContestantOut], report: ReportOut) -> list[Child]:
    """What one judge said: rates against the baseline, by step, all pairs, the ranking."""
    judged = el("h2", "Judged by ", name(judging.in_words(one.judge, report.evaluation)))
    base = report.contestants[0].id
    pairs = [pair for pair in one.pairs if pair.second == base and pair.win_rate.rate is not None]
    said = [el("p", name(words), class_="warn") for words in one.statements]
    if not pairs:
        none = el("p", "There is no win rate against the baseline.", class_="muted")
        return [judged, *said, none, *_ranking(one, known)]
    rate = pairs[0].win_rate
    rule = {"half": "a tie is half a win", "drop": "ties are left out", "shown": "a tie is not won"}[rate.tie_rule]
    note = f"{rate.level:.0%} intervals over prompts, seed {rate.seed}; {rule}."
    return [
        judged,
        *said,
        forest(_bars(one, pairs, known), "Win rates against the baseline", share=True),
        el("p", "Blue as judged, orange at equal length, green as people would say. ", note, class_="muted"),
        _rates(one, pairs, known),
        *_published(one, known),
        *_steps(pairs, known),
        *_ranking(one, known),
    ]


def _bars(one: TableOut, pairs: list[PairOut], known: dict[uuid.UUID, ContestantOut]) -> list[Bar]:
    against = {row.contestant: row for row in one.against}
    bars = []
    for pair in pairs:
        called = known[pair.first].name
        row = against.get(pair.first)
        kinds: list[tuple[str, RateOut | ControlledOut | CorrectedOut | None]] = [
            (called, pair.win_rate),
            (f"{called}, at equal length", row.controlled if row else None),
            (f"{called}, as people would say", row.corrected if row else None),
        ]
        for kind, (words, found) in enumerate(kinds):
            if found and found.rate is not None:
                bars.append(Bar(words, found.rate, found.low, found.high, kind))
    return bars


def _rates(one: TableOut, pairs: list[PairOut], known: dict[uuid.UUID, ContestantOut]) -> Element:
    against = {row.contestant: row for row in one.against}
    heads = ["Checkpoint", "Win rate", "At equal length", "As people would say", "Matches", "Prompts", "By chance"]
    rows: list[list[Child]] = []
    for pair in pairs:
        row, rate = against.get(pair.first), pair.win_rate
        rows.append(
            [
                name(known[pair.first].name),
                _share(rate.rate, rate),
                _share(row.controlled.rate, row.controlled) if row else DASH,
                _share(row.corrected.rate, row.corrected) if row and row.corrected else DASH,
                str(rate.n),
                str(rate.prompts),
                f"{row.p_adjusted:.1%}" if row else DASH,
            ]
        )
    return table(heads, rows, "Against the baseline")


def _published(one: TableOut, known: dict[uuid.UUID, ContestantOut]) -> list[Child]:
    """AlpacaEval 2's own figures of imported annotations, or why there are none."""
    told = [(known[row.contestant].name, row.published) for row in one.against if row.published is not None]
    reasons = dict.fromkeys(found.reason for _, found in told if found.reason)
    rows: list[list[Child]] = [
        [name(model), f"{100 * found.rate:.2f}", f"{100 * found.standard_error:.2f}"]
        for model, found in told
        if found.rate is not None and found.standard_error is not None
    ]
    heads = ["Model", "Length-controlled win rate", "Standard error"]
    tables = [table(heads, rows, "AlpacaEval 2's own length-controlled win rate, in per cent")] if rows else []
    return [*tables, *(el("p", reason, class_="muted") for reason in reasons)]


def _steps(pairs: list[PairOut], known: dict[uuid.UUID, ContestantOut]) -> list[Child]:
    """The curve of every run with two checkpoints or more."""
    runs: dict[uuid.UUID, list[tuple[int, float, float | None, float | None]]] = defaultdict(list)
    names = {}
    for pair in pairs:
        one, rate = known[pair.first], pair.win_rate
        if one.run_id is not None and one.step is not None and rate.rate is not None:
            runs[one.run_id].append((one.step, rate.rate, rate.low, rate.high))
            names[one.run_id] = one.run or DASH
    lines = [(names[run], sorted(points)) for run, points in runs.items() if len(points) > 1]
    if not lines:
        return []
    rows: list[list[Child]] = [
        [name(run), str(step), f"{rate:.1%}", _span(low, high)]
        for run, points in lines
        for step, rate, low, high in points
    ]
    return [
        el("h3", "By step"),
        curve(lines, "Win rate against the baseline by step"),
        table(["Run", "Step", "Win rate", "Interval"], rows, "Win rate by step"),
    ]


def _ranking(one: TableOut, known: dict[uuid.UUID, ContestantOut]) -> list[Child]:
    found = one.ranking
    if found is None or not found.standings:
        return [el("p", found.reason, class_="muted")] if found and found.reason else []
    bars = [
        Bar(f"{row.rank}. {known[row.contestant].name}", row.strength, row.low, row.high) for row in found.standings
    ]
    ids = list(known)
    places = [ids.index(row.contestant) for row in found.standings]
    cells = [[None if a == b else found.observed[a][b] for b in places] for a in places]
    rows: list[list[Child]] = [
        [
            name(known[row.contestant].name),
            str(row.rank),
            _ranks(row) if found.rounds else DASH,
            f"{row.strength:.2f} {_span(row.low, row.high, share=False)}",
            str(row.matches),
        ]
        for row in found.standings
    ]
    heads = ["Checkpoint", "Rank", "Ranks possible", "Strength (log odds)", "Matches"]
    how = f"{found.rounds} rounds over prompts, seed {found.seed}" if found.rounds else found.reason or "no intervals"
    return [
        el("h3", "Ranking"),
        forest(bars, "Strengths against the baseline, in log odds", share=False),
        table(heads, rows, f"Bradley-Terry strengths; {how}"),
        squares(cells, "Share that the row won against the column, both by rank"),
        el("p", "Share that the row won against the column, both numbered by rank.", class_="muted"),
    ]


def _ranks(row: StandingOut) -> str:
    return str(row.best) if row.best == row.worst else f"{row.best}-{row.worst}"


def _training(report: ReportOut, known: dict[uuid.UUID, ContestantOut]) -> list[Child]:
    """How many prompts stand in training data, and the rates with and without them."""
    found = report.contamination
    if not found.items:
        return [el("p", found.words, class_="muted")]
    counts: list[list[Child]] = [
        [name(known[one.contestant].name), str(one.prompts), str(one.exact), str(one.overlapping)]
        for one in found.items
    ]
    rows: list[list[Child]] = [
        [
            name(known[row.contestant].name),
            name(judging.in_words(one.judge, report.evaluation)),
            *(_share(rate.rate, rate) for rate in (row.seen, row.unseen)),
            str(row.seen.prompts),
            str(row.unseen.prompts),
        ]
        for one in report.tables
        for row in one.clean
    ]
    heads = ["Checkpoint", "Judge", "On prompts seen", "Without them", "Prompts seen", "Prompts left"]
    return [
        el("p", found.words),
        table(["Checkpoint", "Prompts", "Word for word", "By overlap"], counts, "Prompts that stand in training data"),
        *(
            [table(heads, rows, "Win rates against the baseline; a prompt that either side saw is seen")]
            if rows
            else []
        ),
    ]


def _meters(meters: MetersOut, known: dict[uuid.UUID, ContestantOut]) -> list[Child]:
    rows: list[list[Child]] = [
        [name(known[one.contestant].name), *(_meter(one.meters[key]) for key in METERS)] for one in meters.contestants
    ]
    changes: list[list[Child]] = [
        [name(known[one.contestant].name), *(_meter(one.against[key], signed=True) for key in METERS)]
        for one in meters.contestants
        if one.against
    ]
    heads = ["Checkpoint", *METERS.values()]
    read = f"{meters.prompts} of {meters.of} prompts, {meters.level:.0%} intervals by leaving out each prompt"
    return [table(heads, rows, read), table(heads, changes, "Less the baseline's, on prompts that both answered")]


def _meter(one: MeterOut, *, signed: bool = False) -> str:
    if one.value is None:
        return DASH
    words = f"{one.value:+.3g}" if signed else f"{one.value:.3g}"
    return words if one.low is None or one.high is None else f"{words} ({one.low:.3g} to {one.high:.3g})"


def _share(rate: float | None, bounds: Bounded) -> str:
    return DASH if rate is None else f"{rate:.1%} {_span(bounds.low, bounds.high)}"


def _span(low: float | None, high: float | None, *, share: bool = True) -> str:
    """Bounds in brackets; nothing where there are none."""
    if low is None or high is None:
        return ""
    return f"({100 * low:.1f}-{100 * high:.1f} %)" if share else f"({low:.2f} to {high:.2f})"
