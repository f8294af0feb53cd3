"""The training engine against TRL: the same pairs in the same order, each side at its own best setting, on this CPU.

python -m benchmarks.run engine engine_works      needs the extra `bench` and the public data beside the checkout

A Llama of nine million parameters with random weights, DPO, fp32 unless said, 16 pairs in an optimizer step.  Every
measurement is a process of its own; the sides take turns, round after round, and ratios are taken within a round.
"TRL best" has the number of pairs in a forward pass that was fastest of those that were tried, in all rounds together;
what takes 1.4 times as long as the fastest in the first round is not tried in the others.  "lean" leaves out the
metrics that no option turns off.  With the reference given, TRL computes it before the first step, untimed, as ours
does.  Ours packs as it does by itself, and shares the machine as every run of ours does; TRL's idle threads spin for a
while before they sleep, as torch has it by itself and as suits it best.
`PLUMBLINE_BENCH_ROUNDS` sets how often.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.engine_side import Measured, Name, Side
from benchmarks.engine_work import SHARED, Work, works
from benchmarks.figure import Figure

SHIPPED = 8
HOPELESS = 1.4  # times as long as the fastest in the first round: more than one round differs from another
EQUAL_EXAMPLES, EQUAL_STEPS = 4, 20
PLAIN_GOAL, MEMORY_GOAL = 1.3, 0.5


class Rival(NamedTuple):
    """A side by its name in the report."""

    name: str
    side: Name
    size: int = 0
    lean: bool = False


def measure() -> Iterable[Figure]:
    """Figures of short dialogues, in fp32 and bf16, and how equal both sides' steps are."""
    with _prepared() as folder:
        work = next(iter(works(folder)))
        _write(folder, work)
        yield from _same_steps(folder)
        yield from _figures(folder, work)
        slow = work._replace(name=f"{work.name}, bf16", goals=(), tried=(1, 2), more=False, plain=False)
        yield from _figures(folder, slow, "bf16")


def other_works() -> Iterable[Figure]:
    """Figures of every other work."""
    with _prepared() as folder:
        for work in islice(works(folder), 1, None):
            _write(folder, work)
            yield from _figures(folder, work)


@contextmanager
def _prepared() -> Iterator[Path]:
    """A folder to work in, once everything is there that it takes."""
    if not SHARED.is_dir():
        raise SystemExit("The public data is not beside this checkout; the engine's benchmark needs its pairs.")
    if find_spec("trl") is None:
        raise SystemExit("TRL is not installed: pip install -e '.[bench]'")
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)


def _write(folder: Path, work: Work) -> None:
    (folder / "rows.json").write_text(json.dumps(work.rows), encoding="utf-8")


def _same_steps(folder: Path) -> Iterable[Figure]:
    """Both sides take the same steps: fed the same ids in the same order, without accumulation."""
    whole = Rival("TRL", "trl", EQUAL_EXAMPLES)
    about = _about(EQUAL_EXAMPLES, EQUAL_STEPS, "fp32")
    ipo: Side = {**about, "loss": "ipo"}
    simpo: Side = {**about, "loss": "simpo"}
    for of in (about, ipo, simpo):
        own, other = (_run(folder, rival, of) for rival in (Rival("Plumbline", "plumbline"), whole))
        yield from _equal(f"{of['loss'].upper()}, {EQUAL_EXAMPLES} pairs a step", own, other)


def _about(examples: int, steps: int, precision: Literal["fp32", "bf16"]) -> Side:
    return Side(
        side="plumbline",
        size=0,
        lean=False,
        cached=False,
        precision=precision,
        loss="dpo",
        examples=examples,
        steps=steps,
        device="cpu",
        lora=False,
        again=False,
        liger=False,
    )


def _figures(folder: Path, work: Work, precision: Literal["fp32", "bf16"] = "fp32") -> Iterable[Figure]:
    about = _about(work.examples, work.steps, precision)
    rounds = int(os.environ.get("PLUMBLINE_BENCH_ROUNDS", "5"))
    ours = [Rival("Plumbline", "plumbline"), *([Rival("plain", "plain")] if work.plain else [])]
    tried = [Rival(f"TRL, {rows} at once", "trl", rows) for rows in work.tried]
    seen = _interleaved(folder, [*ours, *tried], about, 1)
    tried = _promising(tried, seen)
    for name, more in _interleaved(folder, [*ours, *tried], about, rounds - 1).items():
        seen[name] += more
    best = min(tried, key=lambda rival: statistics.median(one["seconds"] for one in seen[rival.name]))
    told = f"{rounds} rounds; TRL best: {best.size} at once"
    found = {rival.name: seen[rival.name] for rival in ours} | {"TRL best": seen[best.name]}
    if SHIPPED in work.tried:
        found["TRL as shipped"] = seen[f"TRL, {SHIPPED} at once"]
    yield from _speeds(work, found, cached=False, told=told)
    if precision == "fp32":
        yield from _equal(work.name, found["Plumbline"][0], found["TRL best"][0])
        yield _memory(work.name, found)
    if work.more:
        lean = [ours[0], Rival("TRL best, lean", "trl", best.size, lean=True)]
        yield from _speeds(work, _interleaved(folder, lean, about, rounds), cached=False, told=told, own=False)
        given = [ours[0], best._replace(name="TRL best")]
        cached: Side = {**about, "cached": True}
        yield from _speeds(work, _interleaved(folder, given, cached, rounds), cached=True, told=told)


def _promising(tried: Sequence[Rival], seen: Mapping[str, Sequence[Measured]]) -> list[Rival]:
    """Of the settings that were tried once those that may be the best, and the one that TRL is shipped with."""
    fastest = min(seen[rival.name][0]["seconds"] for rival in tried)
    return [rival for rival in tried if rival.size == SHIPPED or seen[rival.name][0]["seconds"] <= HOPELESS * fastest]


def _interleaved(folder: Path, rivals: Sequence[Rival], about: Side, rounds: int) -> dict[str, list[Measured]]:
    """What came of every side by its name, one measurement in each round."""
    seen: dict[str, list[Measured]] = {rival.name: [] for rival in rivals}
    for _ in range(rounds):
        for rival in rivals:
            seen[rival.name].append(_run(folder, rival, about))
    return seen


def _run(folder: Path, rival: Rival, about: Side) -> Measured:
    side: Side = {**about, "side": rival.side, "size": rival.size, "lean": rival.lean}
    command = [sys.executable, "-m", "benchmarks.engine_side", str(folder), json.dumps(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{rival.name} failed:\n{done.stderr[-2000:]}")
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found


def _speeds(
    work: Work, seen: Mapping[str, Sequence[Measured]], *, cached: bool, told: str, own: bool = True
) -> Iterable[Figure]:
    title = f"{work.name}, reference given" if cached else work.name
    count = work.examples * (work.steps - 1) * work.pairs
    timed = work.rows[work.examples : work.examples * work.steps]
    tokens = sum(len(answer) for row in timed for answer in row) + sum(len(row[0]) * (len(row) - 2) for row in timed)
    for name, measured in seen.items():
        if name == "Plumbline" and not own:
            continue
        rates = [count / one["seconds"] for one in measured]
        speed = tokens / statistics.median(one["seconds"] for one in measured)
        spread = f"{min(rates):.3g} to {max(rates):.3g}; {count} pairs, {told}"
        if name in ("Plumbline", "plain") or work.pairs == 1:
            spread = f"{speed:,.0f} tokens/s, prompts counted with each response; {spread}"
        yield Figure(f"{title}: {name}", statistics.median(rates), "pairs/s", note=spread)
    for name in seen:
        if name in ("Plumbline", "plain"):
            continue
        goal = next((goal.times for goal in work.goals if (goal.against, goal.cached) == (name, cached)), None)
        yield _ratio(f"{title}: Plumbline against {name}", seen["Plumbline"], seen[name], goal)
    if "plain" in seen and "TRL best" in seen:
        yield _ratio(f"{title}: plain against TRL best", seen["plain"], seen["TRL best"], PLAIN_GOAL)


def _ratio(what: str, own: Sequence[Measured], other: Sequence[Measured], goal: float | None) -> Figure:
    ratios = [theirs["seconds"] / ours["seconds"] for ours, theirs in zip(own, other, strict=True)]
    ratio = statistics.median(ratios)
    target = "" if goal is None else f"at least {goal:g} times"
    met = None if goal is None else ratio >= goal
    return Figure(what, ratio, "times", target, met, f"{min(ratios):.3g} to {max(ratios):.3g}")


def _equal(name: str, own: Measured, other: Measured) -> Iterable[Figure]:
    """Both sides did the same work: the same loss and gradient at every step, up to rounding."""
    loss = max(abs(one - two) / max(1, abs(two)) for one, two in zip(own["losses"], other["losses"], strict=True))
    norm = max(abs(one - two) / two for one, two in zip(own["grad_norms"], other["grad_norms"], strict=True))
    steps = f"the largest over {len(own['losses'])} steps, fp32; of losses above 1 their share"
    yield Figure(f"{name}: difference of the losses from TRL's", loss, "", "at most 1e-5", loss <= 1e-5, steps)
    yield Figure(
        f"{name}: relative difference of the gradient norms from TRL's", norm, "", "at most 1e-4", norm <= 1e-4, steps
    )


def _memory(name: str, seen: Mapping[str, Sequence[Measured]]) -> Figure:
    own, other = (statistics.median(one["mib"] for one in seen[side]) for side in ("Plumbline", "TRL best"))
    return Figure(
        f"{name}: peak memory above the loaded model, against TRL best",
        own / other,
        "times",
        target=f"at most {MEMORY_GOAL:g} times",
        met=own / other <= MEMORY_GOAL,
        note=f"{own:.0f} against {other:.0f} MiB; TRL's loaded model includes its reference",
    )
