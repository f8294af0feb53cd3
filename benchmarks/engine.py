"""The training engine against TRL: the same pairs in the same order, each side at its own best setting, on this CPU.

python -m benchmarks.run engine engine_long engine_ultra engine_lists

Needs the extra `bench` and the public data beside the checkout.  This one is of short dialogues, the others of long
prompts, of long responses and of lists of eight; each takes twenty minutes to an hour.

A Llama of nine million parameters with random weights, DPO, 16 pairs or two lists in an optimizer step, in fp32 and
in bf16, each with the reference computed on the way and with the reference given, which TRL computes before the first
step, untimed, as ours does.  Every measurement is a process of its own; all sides and settings take turns, round
after round, and ratios are taken within a round.  "TRL best" has the number of pairs in a forward pass that is
fastest: all are tried once in each precision; those that come close take turns, three at most.  "lean" leaves out the
metrics that no option turns off; "as shipped" is what it does if nothing is said: eight at once, layers computed
again.  "plain" is ours with a row for each response.  Ours packs as it does by itself, and shares the machine as every
run of ours does; TRL's idle threads spin for a while before they sleep, as torch has it by itself and as suits it best.
`PLUMBLINE_BENCH_ROUNDS` sets how often.  Ctrl-C during the rounds ends them: those that are whole are told.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

from benchmarks.engine_side import Measured, Name, Precision, Side
from benchmarks.engine_work import SHARED, Work, works
from benchmarks.figure import Figure

SHIPPED = 8
CLOSE = 1.2  # times as long as the fastest: about what one measurement differs from another
MOST_CLOSE = 3  # where nothing is padded all sizes come close, and a round would take twenty minutes
SEARCH_STEPS = 2
EQUAL_EXAMPLES, EQUAL_STEPS = 4, 20
PLAIN_GOAL, MEMORY_GOAL = 1.3, 0.5
OURS, PLAIN, BEST, LEAN, AS_SHIPPED = "Plumbline", "plain", "TRL best", "TRL best, lean", "TRL as shipped"


class Setting(NamedTuple):
    """What both sides compute in, and whether the reference's log-probabilities are given."""

    precision: Precision
    cached: bool

    @property
    def title(self) -> str:
        """As it is told; nothing where it is the usual one."""
        return (", bf16" if self.precision == "bf16" else "") + (", reference given" if self.cached else "")


USUAL = Setting("fp32", cached=False)
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
SETTINGS = [Setting(precision, cached) for precision, cached in product(PRECISIONS, (False, True))]


class Rival(NamedTuple):
    """A side by its name in the report, in a setting."""

    name: str
    setting: Setting
    side: Name = "trl"
    size: int = 0
    lean: bool = False
    again: bool = False


def measure() -> Iterable[Figure]:
    """Figures of short dialogues, and how equal both sides' steps are."""
    with prepared(0) as (folder, work):
        yield from _same_steps(folder)
        yield from figures(folder, work)


@contextmanager
def prepared(number: int) -> Iterator[tuple[Path, Work]]:
    """A folder that holds the work of that number, once everything is there that it takes."""
    if not SHARED.is_dir():
        raise SystemExit("The public data is not beside this checkout; the engine's benchmark needs its pairs.")
    if find_spec("trl") is None:
        raise SystemExit("TRL is not installed: pip install -e '.[bench]'")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        work = next(islice(works(folder), number, None))
        (folder / "rows.json").write_text(json.dumps(work.rows), encoding="utf-8")
        yield folder, work


def _same_steps(folder: Path) -> Iterable[Figure]:
    """Both sides take the same steps: fed the same ids in the same order, without accumulation."""
    about = _about(EQUAL_EXAMPLES, EQUAL_STEPS)
    ipo: Side = {**about, "loss": "ipo"}
    simpo: Side = {**about, "loss": "simpo"}
    sides = Rival(OURS, USUAL, "plumbline"), Rival("TRL", USUAL, size=EQUAL_EXAMPLES)
    for of in (about, ipo, simpo):
        own, other = (_run(folder, rival, of) for rival in sides)
        yield from _equal(f"{of['loss'].upper()}, {EQUAL_EXAMPLES} pairs a step", own, other)


def _about(examples: int, steps: int) -> Side:
    return Side(
        side="plumbline",
        size=0,
        lean=False,
        cached=False,
        precision="fp32",
        loss="dpo",
        examples=examples,
        steps=steps,
        device="cpu",
        lora=False,
        again=False,
        liger=False,
    )


def figures(folder: Path, work: Work) -> Iterable[Figure]:
    """Every side's speed and memory at a work, in every setting, and what was promised of it."""
    rounds = int(os.environ.get("PLUMBLINE_BENCH_ROUNDS", "5"))
    about = _about(work.examples, work.steps)
    rivals = _rivals(folder, work)
    seen = _taking_turns(rivals, rounds, lambda rival: _run(folder, rival, about))
    for setting in SETTINGS:
        found, size = _by_name({rival: each for rival, each in seen.items() if rival.setting == setting})
        yield from _speeds(work, setting, found, f"{_counted(len(seen[rivals[0]]))}; TRL best: {size} at once")
        yield _memory(work, setting, found)
        if setting == USUAL:
            yield from _equal(work.name, found[OURS][0], found[BEST][0])


def _counted(rounds: int) -> str:
    return f"{rounds} round{'s' if rounds != 1 else ''}"


def _taking_turns(
    rivals: Iterable[Rival], rounds: int, run: Callable[[Rival], Measured]
) -> dict[Rival, list[Measured]]:
    """What each measured in as many rounds, or in those that were whole when Ctrl-C was pressed.

    Raises KeyboardInterrupt when none was.
    """
    seen: dict[Rival, list[Measured]] = {rival: [] for rival in rivals}
    try:
        for turn in range(1, rounds + 1):
            print(f"round {turn} of {rounds}, {time.strftime('%H:%M')}", file=sys.stderr, flush=True)
            for rival, measured in seen.items():
                measured.append(run(rival))
    except KeyboardInterrupt:
        if not all(seen.values()):
            raise
    whole = min(len(measured) for measured in seen.values())
    return {rival: measured[:whole] for rival, measured in seen.items()}


def _rivals(folder: Path, work: Work) -> list[Rival]:
    """All that take turns: ours, and TRL in the sizes that come close to its fastest."""
    close = {precision: _close(folder, work, precision) for precision in PRECISIONS}
    rivals = []
    for setting in SETTINGS:
        rivals += [Rival(OURS, setting, "plumbline")]
        rivals += [Rival(BEST, setting, size=size) for size in close[setting.precision]]
    rivals += [Rival(LEAN, USUAL, size=size, lean=True) for size in close["fp32"]]
    return [*rivals, Rival(PLAIN, USUAL, "plain"), Rival(AS_SHIPPED, USUAL, size=SHIPPED, again=True)]


def _close(folder: Path, work: Work, precision: Precision) -> list[int]:
    """How many pairs at once TRL is fastest with, and other numbers that come close, fastest first."""
    about = _about(work.examples, SEARCH_STEPS)
    setting = Setting(precision, cached=False)
    took = {size: _run(folder, Rival(BEST, setting, size=size), about)["seconds"] for size in work.tried}
    fastest = min(took, key=lambda size: took[size])
    close = sorted((size for size in took if took[size] <= CLOSE * took[fastest]), key=lambda size: took[size])
    return close[:MOST_CLOSE]


def _by_name(seen: Mapping[Rival, list[Measured]]) -> tuple[dict[str, list[Measured]], int]:
    """What came of the sides of one setting by name, and how many at once TRL's best of them computes."""
    slowest_first = sorted(seen, key=lambda rival: -_seconds(seen[rival]))
    found = {rival.name: rival for rival in slowest_first}
    return {rival.name: seen[rival] for rival in seen if found[rival.name] == rival}, found[BEST].size


def _seconds(measured: Sequence[Measured]) -> float:
    return statistics.median(one["seconds"] for one in measured)


def _run(folder: Path, rival: Rival, about: Side) -> Measured:
    side: Side = {**about, "side": rival.side, "size": rival.size, "lean": rival.lean, "again": rival.again}
    side = {**side, "precision": rival.setting.precision, "cached": rival.setting.cached}
    command = [sys.executable, "-m", "benchmarks.engine_side", str(folder), json.dumps(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{rival.name} failed:\n{done.stderr[-2000:]}")
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found


def _speeds(work: Work, setting: Setting, seen: Mapping[str, Sequence[Measured]], told: str) -> Iterable[Figure]:
    title = work.name + setting.title
    count = work.examples * (work.steps - 1) * work.pairs
    for name, measured in seen.items():
        rates = [count / one["seconds"] for one in measured]
        real, computed = measured[0]["tokens"], measured[0]["computed"]
        note = (
            f"{real / _seconds(measured):,.0f} tokens/s, prompts counted with each response; {computed:,} computed for"
            f" {real:,}, padding included; {min(rates):.3g} to {max(rates):.3g}; {count} pairs, {told}"
        )
        yield Figure(f"{title}: {name}", statistics.median(rates), "pairs/s", note=note)
    for name in seen:
        if name not in (OURS, PLAIN):
            goals = {(one.against, Setting("fp32", one.cached)): one.times for one in work.goals}
            goal = goals.get((name, setting))
            yield _ratio(f"{title}: {OURS} against {name}", seen[OURS], seen[name], goal)
    if PLAIN in seen:
        yield _ratio(f"{title}: {PLAIN} against {BEST}", seen[PLAIN], seen[BEST], PLAIN_GOAL)


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


def _memory(work: Work, setting: Setting, seen: Mapping[str, Sequence[Measured]]) -> Figure:
    own, other = ([one["mib"] for one in seen[side]] for side in (OURS, BEST))
    shares = [ours / theirs for ours, theirs in zip(own, other, strict=True)]
    share = statistics.median(shares)
    with_reference = "" if setting.cached else "; TRL's loaded model includes its reference"
    return Figure(
        f"{work.name}{setting.title}: peak memory above the loaded model, against {BEST}",
        share,
        "times",
        f"at most {MEMORY_GOAL:g} times",
        share <= MEMORY_GOAL,
        f"{min(shares):.3g} to {max(shares):.3g}; {statistics.median(own):.0f} against {statistics.median(other):.0f}"
        f" MiB{with_reference}",
    )
