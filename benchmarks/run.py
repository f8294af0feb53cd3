"""Run the benchmarks and write `benchmarks/results.md`.

python -m benchmarks.run            all of them
python -m benchmarks.run startup    only those named; the others' results stay as they are
"""

import importlib
import os
import pkgutil
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import psutil

import benchmarks
from benchmarks.figure import Figure

RESULTS = Path(__file__).parent / "results.md"
TITLE = "# Measured\n\nWritten by `make bench`. Each part names the machine and the commit it was measured on.\n"


def names() -> list[str]:
    """Every benchmark: the modules here that have a `measure`."""
    found = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return [name for name in found if hasattr(importlib.import_module(f"benchmarks.{name}"), "measure")]


def machine() -> str:
    """What the numbers were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (model := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        cpu = model.group(1)
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, torch {version('torch')}"
    )


def commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607
        cwd=RESULTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def section(name: str, figures: Sequence[Figure]) -> str:
    """The part of `results.md` about one benchmark."""
    said = (importlib.import_module(f"benchmarks.{name}").__doc__ or "").strip().splitlines()
    lines = [f"## {name}", "", *said[:1], "", f"{time.strftime('%Y-%m-%d')}, commit {commit()}: {machine()}", ""]
    lines += ["| what | measured | promised | |", "|---|---:|---|---|"]
    for figure in figures:
        kept = {True: "kept", False: "**not kept**", None: ""}[figure.met]
        promised = f"{figure.target} {kept}".strip()
        lines.append(f"| {figure.what} | {figure.value:,.4g} {figure.unit} | {promised} | {figure.note} |")
    return "\n".join(lines) + "\n"


def write(parts: dict[str, str]) -> None:
    """Afterwards `results.md` has these parts, and still those of other benchmarks."""
    old = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    kept = {found.group(1): found.group(0) for found in re.finditer(r"^## (\S+)\n.*?(?=^## |\Z)", old, re.M | re.S)}
    kept = {name: part for name, part in kept.items() if name in names()} | parts
    RESULTS.write_text("\n".join([TITLE, *(kept[name].strip() + "\n" for name in sorted(kept))]), encoding="utf-8")


def main(wanted: Sequence[str]) -> int:
    """Measure what is wanted and write it down, each part as soon as it is there."""
    known = names()
    if unknown := set(wanted) - set(known):
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}.", file=sys.stderr)
        return 2
    for name in wanted or known:
        print(f"{name} …", flush=True)
        figures = []
        for figure in importlib.import_module(f"benchmarks.{name}").measure():
            figures.append(figure)
            print(f"  {figure.what}: {figure.value:,.4g} {figure.unit}  {figure.target}  {figure.note}", flush=True)
        write({name: section(name, figures)})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
