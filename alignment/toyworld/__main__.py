"""`python -m alignment.toyworld`: `build --out DIR` makes the toy checkpoint, `check DIR` measures one by its card."""

import argparse
import sys
from pathlib import Path

from alignment.toyworld.card import read_figures
from alignment.toyworld.figures import measure

TOLERANCE = 0.06  # of a share; three standard errors at 400 prompts are 0.075, and the prompts and draws are the same


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m alignment.toyworld", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="make the checkpoint from nothing (a few minutes on two cores)")
    build.add_argument("--out", type=Path, required=True, help="new or empty folder for the checkpoint")
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--threads", type=int, default=2)
    check = commands.add_parser("check", help="measure a checkpoint and compare with the figures on its card")
    check.add_argument("folder", type=Path, help="folder that build has written")
    given = parser.parse_args(arguments)
    if given.command == "check":
        return _check(given.folder)
    if given.threads < 1:
        parser.error("--threads must be at least 1")
    return _build(given.out, given.seed, given.threads)


def _build(out: Path, seed: int, threads: int) -> int:
    from alignment.toyworld.build import Plan, build  # torch and transformers

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        _say(f"{out} is not an empty folder; nothing was written. Name another one with --out.")
        return 1
    build(Plan(seed=seed, threads=threads), out, _say)
    return 0


def _check(folder: Path) -> int:
    try:
        stated = read_figures(folder)
    except (OSError, ValueError, KeyError):
        _say(f"{folder} has no readable figures.json. Name a folder that `build` has written.")
        return 1
    found = measure(folder, n=stated.prompts, seed=stated.seed, temperature=stated.temperature)
    far = []
    for name in ("readable", "kind", "concise", "right", "reward"):
        scale = stated.best_reward if name == "reward" else 1.0
        card, now = getattr(stated, name), getattr(found, name)
        _say(f"{name:10} card {card:6.3f}   now {now:6.3f}")
        if abs(card - now) > TOLERANCE * scale:
            far.append(name)
    _say(f"Differs from the card: {', '.join(far)}." if far else "The figures are those of the card.")
    return 1 if far else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
