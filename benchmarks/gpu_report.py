"""What the GPU's benchmark has measured so far, as a page."""

import statistics
from collections.abc import Mapping

from benchmarks.gpu_work import EXAMPLES, STEPS, Seen, chosen, peak, rivals

TIMES_GOAL, MEMORY_GOAL = 2.0, 0.7
SIZES_GB = (24, 80, 141)
ALIKE = 0.05  # the first step's gradient norms, relative: what bf16 explains


def report(kept: Mapping[str, Seen], machine: str, tests: str) -> str:
    """All that is known, as a page."""
    lines = ["# Measured on a GPU", "", "Written by `python -m benchmarks.gpu`.", "", machine, ""]
    lines += [f"Tests that need a GPU: {tests}", ""] if tests else []
    lines += [
        "| what | Plumbline | best of TRL | times as fast | peak memory | of TRL's | gradients differ | promised |"
    ]
    lines += [
        "|---|---:|---:|---:|---:|---:|---:|---|",
        *filter(None, (_row(name, seen) for name, seen in kept.items())),
    ]
    lines += ["", "What fits, by the least that each method takes (GiB at its peak):", ""]
    lines += [f"| what | method | GiB | {' | '.join(f'{size} GB' for size in SIZES_GB)} |"]
    lines += [f"|---|---|---:|{'---|' * len(SIZES_GB)}"]
    for name, seen in kept.items():
        for method in dict.fromkeys((rival.name, rival.again) for rival in rivals()):
            lines.append(_fits(name, seen, *method))
    return "\n".join(lines) + "\n"


def _row(name: str, seen: Seen) -> str | None:
    ours, theirs = chosen(seen)
    if ours is None or theirs is None:
        return None
    own, other = ([one for one in seen[rival.key] if not isinstance(one, str)] for rival in (ours, theirs))
    pairs = EXAMPLES * (STEPS - 1)
    ratios = [two["seconds"] / one["seconds"] for one, two in zip(own, other, strict=False)]
    ratio, memory = statistics.median(ratios), max(map(peak, own)) / max(map(peak, other))
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} rounds"
    differ = abs(own[0]["grad_norms"][0] / other[0]["grad_norms"][0] - 1)
    alike = differ <= ALIKE
    kept = "kept" if alike and ratio >= TIMES_GOAL and memory <= MEMORY_GOAL else "**not kept**"
    speeds = [f"{pairs / statistics.median(one['seconds'] for one in some):.3g} pairs/s" for some in (own, other)]
    ways = [f"{own[0]['attention']}, {ours.size or 'auto'} tokens", f"{theirs.name}, {theirs.size} at once"]
    cells = [name, *(f"{speed} ({way})" for speed, way in zip(speeds, ways, strict=True))]
    cells += [f"{ratio:.2f} ({spread})", f"{max(map(peak, own)) / 1024:.1f} GiB", f"{memory:.2f}"]
    cells.append(f"{differ:.1%}{'' if alike else ': **not the same work**'}")
    return f"| {' | '.join(cells)} | at least {TIMES_GOAL:g} times, at most {MEMORY_GOAL:g} of the memory: {kept} |"


def _fits(name: str, seen: Seen, method: str, again: bool) -> str:
    tried = [seen.get(rival.key, []) for rival in rivals() if (rival.name, rival.again) == (method, again)]
    peaks = [peak(one) / 1024 for some in tried for one in some if not isinstance(one, str)]
    said = f"{method}{', layers computed again' if again else ''}"
    if not peaks:
        why = next((one for some in tried for one in some if isinstance(one, str)), "not measured")
        return f"| {name} | {said} | {why} | {' | '.join('' for _ in SIZES_GB)} |"
    marks = ["yes" if min(peaks) <= size * 1e9 / 2**30 else "no" for size in SIZES_GB]
    return f"| {name} | {said} | {min(peaks):.1f} | {' | '.join(marks)} |"
