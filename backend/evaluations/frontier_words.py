"""Reward against KL as a part of the report that one hands on."""

import uuid

from backend.evaluations.frontier_schemas import FrontierOut, MatchedOut
from backend.evaluations.markup import Child, el, name, table
from backend.evaluations.pictures import Bar, Dot, frontier

HEADS = ["Checkpoint", "KL (nats an answer)", "Win rate", "On the front"]
PAIRS = ["Runs", "At KL (nats)", "The first", "The second", "Difference"]
HOW = (
    "Each run's checkpoints are joined by straight lines over the square root of the KL; nothing is read beyond them."
    " Intervals draw prompts anew for both runs at once."
)


def section(told: FrontierOut, judge: str) -> list[Child]:
    """The picture, the points, and every two runs at one KL; nothing where KL was not measured."""
    if told.reference is None or len(told.points) < 2:
        return []
    runs = {point.run_id: point.run or "" for point in told.points if point.run_id is not None}
    base = [point for point in told.points if point.contestant.id == told.reference.id]
    starts = [(runs[one], point) for one in told.began for point in base if one in runs]
    own = [(point.run or point.contestant.name, point) for point in sorted(told.points, key=lambda one: one.step or 0)]
    dots = [
        Dot(
            run,
            Bar("", point.kl.value or 0.0, point.kl.low, point.kl.high),
            Bar("", point.reward.value, point.reward.low, point.reward.high),
            point.front,
        )
        for run, point in starts + own
    ]
    rows: list[list[Child]] = [
        [
            name(point.contestant.name),
            _number(point.kl.value, point.kl.low, point.kl.high),
            _share(point.reward.value, point.reward.low, point.reward.high),
            "yes" if point.front else "",
        ]
        for point in told.points
    ]
    parts: list[Child] = [
        el("h2", "Reward against KL"),
        el(
            "p",
            "KL to ",
            name(told.reference.name),
            " and the win rate against the baseline by ",
            name(judge),
            ".",
        ),
        *(el("p", words, class_="warn") for words in told.warnings),
        frontier(dots, "Win rate over KL", "KL in nats an answer, drawn by its square root"),
        table(HEADS, rows, "Checkpoints by KL and win rate"),
    ]
    if told.matched:
        parts += [
            table(PAIRS, [_pair(one, runs) for one in told.matched], "Runs at one KL"),
            el("p", HOW, class_="muted"),
        ]
    return parts


def _pair(one: MatchedOut, runs: dict[uuid.UUID, str]) -> list[Child]:
    both = name(f"{runs[one.first]} and {runs[one.second]}")
    if one.difference is None or one.first_reward is None or one.second_reward is None:
        return [both, one.reason or "", "", "", ""]
    bounds = f" ({100 * one.low:+.1f} to {100 * one.high:+.1f})" if one.low is not None and one.high is not None else ""
    difference = f"{100 * one.difference:+.1f} points{bounds}"
    return [both, f"{one.at:.3g}", f"{one.first_reward:.1%}", f"{one.second_reward:.1%}", difference]


def _number(value: float | None, low: float | None, high: float | None) -> str:
    bounds = "" if low is None or high is None else f" ({low:.3g} to {high:.3g})"
    return "" if value is None else f"{value:.3g}{bounds}"


def _share(value: float, low: float | None, high: float | None) -> str:
    bounds = "" if low is None or high is None else f" ({100 * low:.1f}-{100 * high:.1f} %)"
    return f"{value:.1%}{bounds}"
