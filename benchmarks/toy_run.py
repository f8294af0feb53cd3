"""A DPO run in the toy world, from its pairs to the true-preference win rate of what it made.

    python benchmarks/toy_run.py [--pairs N] [--prompts N] [--seed N] [--set optimizer.learning_rate=3e-4] [--keep DIR]

Trains the shipped base with the shipped recipe in a process of its own (imports and start-up are in the seconds), then
lets base and result answer the same held-out prompts once each at the same temperature, and reads both by the truth.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.stats import bootstrap

from alignment import toyworld
from alignment.generation import Generator
from alignment.sampling import Sampling
from alignment.statistics import Outcome, win_rate
from alignment.toyworld import recipe
from alignment.toyworld.figures import ANSWER_TOKENS
from alignment.toyworld.reward import Reading

TIE = 1e-9
LEVEL = 0.95


class Trained(NamedTuple):
    """What a training process left."""

    checkpoint: Path
    seconds: float
    cpu_seconds: float  # all threads together: what the run would cost a busy machine
    steps: int
    accuracy: float | None


def train(folder: Path, pairs: int, seed: int, settings: dict[str, Any], base: Path, threads: int) -> Trained:
    """Write pairs and spec, run `python -m alignment.training`, and time it from its start to its checkpoint."""
    data = folder / "pairs.jsonl"
    toyworld.write_pairs(data, pairs, seed, form="native")
    run = folder / "run"
    run.mkdir()
    spec = {**settings, "checkpoint": str(base), "snapshots": [{"path": str(data), "format": "native"}]}
    (run / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    started = time.monotonic()
    command = [sys.executable, "-m", "alignment.training", str(run)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    last = json.loads((run / "events.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    if done.returncode:
        sys.exit(f"The training process ended with status {done.returncode}: {last}")
    summary = last["summary"]
    accuracy = summary["metrics"].get("eval/rewards/accuracies")
    return Trained(Path(last["checkpoint"]), seconds, used.ru_utime + used.ru_stime, summary["step"], accuracy)


def answers(checkpoint: Path, prompts: list[str], sampling: Sampling) -> list[Reading]:
    """One answer per prompt, read by the truth."""
    given = Generator(checkpoint).generate([[{"role": "user", "content": text}] for text in prompts], sampling)
    return [toyworld.read(text, answer.text) for text, answer in zip(prompts, given, strict=True)]


def share_of_attainable(policy: list[float], base: list[float], seed: int) -> tuple[float, float, float]:
    """(R_policy - R_base) / (R_best - R_base) and its bootstrap interval over prompts."""

    def share(ours: NDArray[np.float64], theirs: NDArray[np.float64], axis: int = -1) -> Any:
        start = np.mean(theirs, axis=axis)
        return (np.mean(ours, axis=axis) - start) / (toyworld.BEST_REWARD - start)

    data = (np.asarray(policy), np.asarray(base))
    rng = np.random.default_rng(seed)
    found = bootstrap(data, share, paired=True, vectorized=True, confidence_level=LEVEL, n_resamples=2000, rng=rng)
    interval = found.confidence_interval
    return float(share(*data)), float(interval.low), float(interval.high)


def describe(readings: list[Reading]) -> dict[str, float]:
    """Mean reward and the share of each attribute."""
    n = len(readings)
    return {
        "reward": sum(reading.reward for reading in readings) / n,
        "right": sum(reading.attributes.right for reading in readings) / n,
        "kind": sum(reading.attributes.kind for reading in readings) / n,
        "concise": sum(reading.attributes.concise for reading in readings) / n,
        "readable": sum(reading.coherence == 1.0 for reading in readings) / n,
    }


def compare(policy: list[Reading], base: list[Reading], prompts: list[str], seed: int) -> dict[str, Any]:
    """Win rate (a tie is half a win) and share of the attainable reward, each with n and interval."""
    rewards = [(one.reward, other.reward) for one, other in zip(policy, base, strict=True)]
    scores = [0.5 if abs(ours - theirs) < TIE else float(ours > theirs) for ours, theirs in rewards]
    rate = win_rate([Outcome(text, score) for text, score in zip(prompts, scores, strict=True)], seed=seed)
    share, low, high = share_of_attainable([ours for ours, _ in rewards], [theirs for _, theirs in rewards], seed)
    return {
        "win_rate": {"rate": rate.rate, "low": rate.low, "high": rate.high, "n": rate.n, "ties": rate.ties},
        "share_of_attainable": {"share": share, "low": low, "high": high, "n": len(prompts)},
        "base": describe(base),
        "trained": describe(policy),
        "best_reward": toyworld.BEST_REWARD,
    }


def settings_of(changes: list[str]) -> dict[str, Any]:
    """The recipe with `a.b=value` changes."""
    settings: dict[str, Any] = json.loads(json.dumps(recipe.RUN))
    for change in changes:
        path, _, value = change.partition("=")
        *parents, key = path.split(".")
        place = settings
        for parent in parents:
            place = place[parent]
        place[key] = yaml.safe_load(value)
    return settings


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=recipe.PAIRS)
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--base", type=Path, default=toyworld.CHECKPOINT)
    parser.add_argument("--set", action="append", default=[], metavar="a.b=value", dest="changes")
    parser.add_argument("--temperature", type=float, default=recipe.EVALUATION_TEMPERATURE)
    parser.add_argument("--top-p", type=float, default=recipe.EVALUATION_TOP_P)
    parser.add_argument("--keep", type=Path, help="new folder in which pairs and run stay; else they are deleted")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    given = parser.parse_args()
    prompts = toyworld.prompts(given.prompts, given.seed, "held_out")
    settings = {**settings_of(given.changes), "seed": given.seed}
    sampling = Sampling(temperature=given.temperature, top_p=given.top_p, max_new_tokens=ANSWER_TOKENS, seed=given.seed)
    if given.keep:
        given.keep.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        trained = train(
            given.keep or Path(name), given.pairs, given.seed, settings, given.base.resolve(), given.threads
        )
        policy = answers(trained.checkpoint, prompts, sampling)
    base = answers(given.base, prompts, sampling)
    result = {
        "pairs": given.pairs,
        "seed": given.seed,
        "temperature": given.temperature,
        "top_p": given.top_p,
        "seconds": trained.seconds,
        "cpu_seconds": trained.cpu_seconds,
        "steps": trained.steps,
        "validation_accuracy": trained.accuracy,
        **compare(policy, base, prompts, given.seed),
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    if given.json:
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
