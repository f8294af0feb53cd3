"""The training engine against TRL: the same pairs in the same order, each side at its own best setting, on this CPU.

python -m benchmarks.run engine      needs the extra `bench` and the public data beside the checkout

A Llama of nine million parameters with random weights, DPO, fp32, 16 pairs in an optimizer step.  Every measurement is
a process of its own; the sides take turns, round after round, and ratios are taken within a round.  "TRL best" has the
number of rows in a forward pass that was fastest in a search; "lean" leaves out the entropy that no option turns off.
`PLUMBLINE_BENCH_ROUNDS` and `PLUMBLINE_BENCH_STEPS` set how much is measured.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engine_side import Ids, Measured, Side
from benchmarks.figure import Figure

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
EXAMPLES = 16
LONG_PROMPT = 250
LONGEST_PROMPT, LONGEST_RESPONSE = 1024, 512
SEARCHED = (1, 2, 4)
VOCABULARY = 8192


class Goal(NamedTuple):
    """What is promised of our pairs a second against another side's: at least so many times as many."""

    against: str
    times: float
    cached: bool = False


class Work(NamedTuple):
    """Pairs to train on, and what is promised on them."""

    name: str
    pairs: list[Ids]
    goals: tuple[Goal, ...]


class Rival(NamedTuple):
    """A side by its name in the report."""

    name: str
    side: str
    rows: int = 0
    lean: bool = False


def measure() -> Iterable[Figure]:
    """Figures of every work, as they are found."""
    if not SHARED.is_dir():
        raise SystemExit("The public data is not beside this checkout; the engine's benchmark needs its pairs.")
    rounds = int(os.environ.get("PLUMBLINE_BENCH_ROUNDS", "5"))
    steps = int(os.environ.get("PLUMBLINE_BENCH_STEPS", "4"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for work in _works(folder):
            (folder / "pairs.json").write_text(json.dumps(work.pairs), encoding="utf-8")
            yield from _figures(folder, work, rounds, steps)


def _works(folder: Path) -> Iterable[Work]:
    """HH pairs, and those of them with long prompts, as ids of a tokenizer trained on them; makes the model, too."""
    short = [row for row in _rows("pairwise_hh_helpful.jsonl") if row is not None]
    tokenizer = _make_model(folder / "model", [text for row in short for text in row])
    end = tokenizer.eos_token_id

    def ids(rows: Iterable[tuple[str, str, str]]) -> list[Ids]:
        found = []
        for row in rows:
            prompt, chosen, rejected = tokenizer(list(row))["input_ids"]
            found.append(
                (
                    prompt[-LONGEST_PROMPT:],
                    [*chosen[:LONGEST_RESPONSE], end],
                    [*rejected[:LONGEST_RESPONSE], end],
                )
            )
        return [pair for pair in found if pair[0] and pair[1] != pair[2]]

    yield Work(
        "HH short", ids(short), (Goal("TRL best", 3), Goal("TRL best", 3, cached=True), Goal("TRL as shipped", 7))
    )
    long = [pair for pair in ids(_rows("pairwise_hh_helpful_long.jsonl")) if len(pair[0]) >= LONG_PROMPT]
    yield Work("HH long prompts", long, (Goal("TRL best", 4),))


def _rows(name: str) -> Iterable[tuple[str, str, str]]:
    for line in (SHARED / name).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield _text(row["prompt"]), _text(row["chosen"]), _text(row["rejected"])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in value)


def _make_model(folder: Path, texts: list[str]) -> Any:
    """A Llama of nine million parameters with random weights, beside a tokenizer trained on the texts."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106
        eos_token="<end>",  # noqa: S106
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return fast


def _figures(folder: Path, work: Work, rounds: int, steps: int) -> Iterable[Figure]:
    if find_spec("trl") is None:
        yield Figure(f"{work.name}: not compared, as TRL is not installed", 0, "", note="pip install -e '.[bench]'")
        return
    best = min(SEARCHED, key=lambda rows: _run(folder, Rival("", "trl", rows), cached=False, steps=3)["seconds"])
    rivals = (
        Rival("Plumbline", "plumbline"),
        Rival("plain", "plain"),
        Rival("TRL best", "trl", best),
        Rival("TRL best, lean", "trl", best, lean=True),
        Rival("TRL as shipped", "trl", 8),
    )
    told = f"{EXAMPLES * (steps - 1)} pairs, {rounds} rounds; TRL best: {best} pairs in a forward pass"
    for cached in (False, True):
        taken = rivals if not cached else (rivals[0], rivals[2])
        seen: dict[str, list[Measured]] = {rival.name: [] for rival in taken}
        for _ in range(rounds):
            for rival in taken:
                seen[rival.name].append(_run(folder, rival, cached=cached, steps=steps))
        yield from _speeds(work, seen, steps, cached=cached, told=told)
        if not cached:
            yield from _equal(work.name, seen["Plumbline"][0], seen["TRL best"][0])
            yield _memory(work.name, seen)


def _run(folder: Path, rival: Rival, *, cached: bool, steps: int) -> Measured:
    side = Side(
        side=rival.side,  # type: ignore[typeddict-item]
        rows=rival.rows,
        lean=rival.lean,
        cached=cached,
        examples=EXAMPLES,
        steps=steps,
    )
    command = [sys.executable, "-m", "benchmarks.engine_side", str(folder), json.dumps(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{rival.name or rival.side} failed:\n{done.stderr[-2000:]}")
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found


def _speeds(work: Work, seen: Mapping[str, list[Measured]], steps: int, *, cached: bool, told: str) -> Iterable[Figure]:
    reference = "reference given" if cached else "reference computed"
    count = EXAMPLES * (steps - 1)
    for name, measured in seen.items():
        rates = [count / one["seconds"] for one in measured]
        spread = f"{min(rates):.3g} to {max(rates):.3g}; {told}"
        yield Figure(f"{work.name}, {reference}: {name}", statistics.median(rates), "pairs/s", note=spread)
    for name in seen:
        if name == "Plumbline":
            continue
        ratios = [other["seconds"] / own["seconds"] for own, other in zip(seen["Plumbline"], seen[name], strict=True)]
        ratio = statistics.median(ratios)
        goal = next((goal.times for goal in work.goals if (goal.against, goal.cached) == (name, cached)), None)
        yield Figure(
            f"{work.name}, {reference}: Plumbline against {name}",
            ratio,
            "times",
            target="" if goal is None else f"at least {goal:g} times",
            met=None if goal is None else ratio >= goal,
            note=f"{min(ratios):.3g} to {max(ratios):.3g}",
        )


def _equal(name: str, own: Measured, other: Measured) -> Iterable[Figure]:
    """Both sides did the same work: the same loss and gradient at every step, up to rounding."""
    loss = max(abs(one - two) for one, two in zip(own["losses"], other["losses"], strict=True))
    norm = max(abs(one - two) / two for one, two in zip(own["grad_norms"], other["grad_norms"], strict=True))
    steps = f"the largest over {len(own['losses'])} steps, fp32"
    yield Figure(f"{name}: difference of the losses from TRL's", loss, "", "at most 1e-5", loss <= 1e-5, steps)
    yield Figure(
        f"{name}: relative difference of the gradient norms from TRL's", norm, "", "at most 1e-4", norm <= 1e-4, steps
    )


def _memory(name: str, seen: Mapping[str, list[Measured]]) -> Figure:
    own, other = (statistics.median(one["mib"] for one in seen[side]) for side in ("Plumbline", "TRL best"))
    return Figure(
        f"{name}: peak memory above the loaded model, against TRL best",
        own / other,
        "times",
        target="at most 0.5 times",
        met=own / other <= 0.5,
        note=f"{own:.0f} against {other:.0f} MiB; TRL's loaded model includes its reference",
    )
