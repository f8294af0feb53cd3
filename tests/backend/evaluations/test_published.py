"""Published leaderboards, through the code that makes every report: the numbers of the tables are theirs."""

import json
import math
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.evaluations import columns, tables
from backend.evaluations.report_schemas import PairOut
from backend.evaluations.said import Rule

BASE, MODEL = (uuid.UUID(int=number) for number in (1, 2))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def told(won: Sequence[float]) -> PairOut:
    """What a report says of a model whose win over the baseline is so probable on each prompt; nan: not judged."""
    n = len(won)
    place, no = np.arange(n), np.zeros(n, dtype=np.bool_)
    matches = columns.Matches([BASE, MODEL], [str(one) for one in place], place, np.zeros(n, dtype=np.intp), no + 1)
    reasons: list[str | None] = ["unreadable"] * int(np.isnan(won).sum())
    unknown = np.full(n, -1, dtype=np.int8)
    voice = columns.Voice(place, no, ~no, no, 1 - np.array(won, dtype=np.float64), no, unknown, reasons)
    (pair,) = tables.pairs(voice, matches, tables.decided(voice, matches), Rule())
    assert (pair.first, pair.second) == (MODEL, BASE)
    return pair


def by_model(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """How probable each model's win is on each prompt: a preference of 2 is sure, 1.5 a tie, none not judged."""
    found: dict[str, list[float]] = {}
    for row in rows:
        preference = row["preference"]
        won = math.nan if preference is None else (preference or 1.5) - 1
        found.setdefault(row["model"], []).append(won)
    return found


@pytest.mark.parametrize(("benchmark", "models"), [("alpacaeval1", 8), ("alpacaeval2", 14)])
def test_alpaca_evals_win_rates(shared_data: Path, benchmark: str, models: int) -> None:
    """Of every model: wins, losses and draws, the rate that counts them, and that of the judge's probabilities."""
    won = by_model(lines(shared_data / f"nc_{benchmark}_annotations_compact.jsonl"))
    published = lines(shared_data / f"nc_{benchmark}_published.jsonl")
    assert len(published) == models
    for truth in published:
        pair = told(won[truth["model"]])
        rate = pair.win_rate
        assert pair.mean_probability is not None
        assert rate.rate is not None
        assert 100 * pair.mean_probability == pytest.approx(truth["win_rate"], abs=1e-9)
        assert 100 * rate.rate == pytest.approx(truth["discrete_win_rate"], abs=1e-9)
        assert (rate.wins, rate.losses, rate.n) == (truth["n_wins"], truth["n_wins_base"], truth["n_total"])


def test_wild_benchs_rewards(shared_data: Path) -> None:
    """Verdicts by degree are probabilities: the reward, from -1 to 1, is twice their mean less one. The leaderboard
    counts what came to no verdict as even."""
    degrees = {"win_much": 1.0, "win": 0.75, "tie": 0.5, "lose": 0.25, "lose_much": 0.0}
    rows = lines(shared_data / "winrate_wildbench_counts.jsonl")
    for row in rows:
        won = [won for degree, won in degrees.items() for _ in range(row[degree])]
        even = row["total"] - len(won) + row["tie"]
        pair = told(won + [0.5] * (row["total"] - len(won)))
        assert pair.mean_probability is not None
        assert 2 * pair.mean_probability - 1 == pytest.approx(row["published_reward"], abs=1e-12)
        assert pair.win_rate.ties == even
    assert rows
