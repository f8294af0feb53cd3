"""Length-controlled win rates: the published ones to the digit, and on own prompts 50 % where only lengths differ."""

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from alignment.statistics.length_control import Annotated, Gamed, Matches, published, refit
from alignment.statistics.resampling import NO_SPREAD


@cache
def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def column(rows: Sequence[dict[str, Any]], name: str) -> Any:
    return np.array([math.nan if row[name] is None else float(row[name]) for row in rows])


def test_alpacaeval2_to_the_published_digit(shared_data: Path) -> None:
    """Win rates of all models, raw and length-controlled, and their coefficients, are the published ones."""
    gamed_rows = read(shared_data / "nc_alpacaeval2_df_gamed.jsonl")
    difficulty = {row["index"]: row["instruction_difficulty"] for row in gamed_rows}
    names = ("preference", "std_delta_len", "instruction_difficulty")
    gamed = Gamed(*(column(gamed_rows, name) for name in names))
    annotations = read(shared_data / "nc_alpacaeval2_annotations_compact.jsonl")

    models = read(shared_data / "nc_alpacaeval2_published.jsonl")
    for truth in models:
        rows = [row for row in annotations if row["model"] == truth["model"]]
        hard = np.array([difficulty[row["index"]] for row in rows])
        own = Annotated(column(rows, "preference") - 1, column(rows, "len_model"), column(rows, "len_baseline"), hard)
        found = published(own, gamed)
        assert 100 * np.nanmean(own.score) == pytest.approx(truth["win_rate"], abs=1e-9)
        assert 100 * found.rate == pytest.approx(truth["length_controlled_winrate"], abs=0.05)
        assert found.length == pytest.approx(truth["glm_w_tanh_std_delta_len"], abs=1e-3)
    assert len(models) == 14


def test_alpacaeval1_and_wildbench(shared_data: Path) -> None:
    """AlpacaEval 1's win rates leave out what was not parsed, draws are halves; WildBench's rewards go by degree."""
    annotations = read(shared_data / "nc_alpacaeval1_annotations_compact.jsonl")
    for truth in read(shared_data / "nc_alpacaeval1_published.jsonl"):
        values = column([row for row in annotations if row["model"] == truth["model"]], "preference")
        scores = np.where(values == 0, 1.5, values) - 1
        assert 100 * np.nanmean(scores) == pytest.approx(truth["win_rate"], abs=1e-9)
    for row in read(shared_data / "winrate_wildbench_counts.jsonl"):
        points = row["win_much"] + 0.5 * row["win"] - 0.5 * row["lose"] - row["lose_much"]
        assert points / row["total"] == pytest.approx(row["published_reward"], abs=1e-12)


def drawn(seed: int, prompts: int, quality: float, taste: float) -> Matches:
    """Matches of one contestant that answers at more length, before a judge with a taste for length."""
    generator = np.random.default_rng(seed)
    length, base = generator.normal(300, 60, prompts), generator.normal(250, 60, prompts)
    gap = length - base
    bent = np.tanh(gap / np.sqrt((gap**2).mean()))
    score = (generator.random(prompts) < expit(quality + taste * bent)).astype(float)
    return Matches(np.arange(prompts), np.zeros(prompts, dtype=np.intp), score, length, base)


def test_fifty_where_only_lengths_differ() -> None:
    """The raw rate is far above a half; the controlled one is a half, and its intervals hold that as they promise."""
    rates, held = [], 0
    for seed in range(400):
        (found,) = refit(drawn(seed, 300, 0.0, 1.6), 1, rounds=400, seed=seed)
        rates.append(found.rate)
        held += found.low <= 0.5 <= found.high

    (large,) = refit(drawn(1, 20_000, 0.0, 1.6), 1, rounds=10)
    assert large.raw > 0.6
    assert large.effect == pytest.approx(1.6, abs=0.15)
    assert float(np.mean(rates)) == pytest.approx(0.5, abs=0.02)
    assert 0.92 <= held / 400 <= 0.98


def test_quality_stays() -> None:
    """What is better at equal length stays better."""
    (found,) = refit(drawn(2, 20_000, 0.8, 1.6), 1, rounds=10)

    assert found.rate == pytest.approx(float(expit(0.8)), abs=0.02)


def test_without_lengths_it_is_the_raw_rate() -> None:
    """Where all answers are equally long there is nothing to control."""
    score = np.array([1.0] * 30 + [0.0] * 10 + [0.5] * 4)
    same = np.full(44, 100.0)

    (found,) = refit(Matches(np.arange(44), np.zeros(44, dtype=np.intp), score, same, same), 1, rounds=100)

    assert found.rate == pytest.approx(float(score.mean()), abs=1e-6)
    assert (found.raw, found.length_ratio, found.effect) == (float(score.mean()), 1.0, 0.0)


def test_one_judge_has_one_taste() -> None:
    """Contestants are fitted together: each keeps its own rate, and the effect of length is one for all."""
    first, second = drawn(3, 4000, 0.5, 1.2), drawn(4, 4000, -0.5, 1.2)
    joined = Matches(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))
    joined = joined._replace(contestant=np.repeat([0, 1], 4000))

    one, other = refit(joined, 2, rounds=10)

    assert one.effect == other.effect
    assert one.rate == pytest.approx(float(expit(0.5)), abs=0.04)
    assert other.rate == pytest.approx(float(expit(-0.5)), abs=0.04)


def test_what_cannot_be_told_is_not() -> None:
    """No match, only wins, only ties, and few prompts: each says so instead of giving a number that looks fine."""
    lengths = np.arange(1.0, 13.0)
    won = Matches(np.arange(12), np.zeros(12, dtype=np.intp), np.ones(12), lengths, lengths[::-1].copy())
    few = won._replace(score=np.array([1.0, 0.0] * 6), prompt=np.arange(12) % 4)

    (always, never), (short,) = refit(won, 2, rounds=10), refit(few, 1, rounds=10)

    assert math.isnan(always.rate)
    assert "won every match" in str(always.reason)
    assert math.isnan(never.rate)
    assert "lengths are known" in str(never.reason)
    assert math.isnan(short.low)
    assert not math.isnan(short.rate)
    assert "4" in str(short.reason)
    (even,) = refit(won._replace(score=np.full(12, 0.5)), 1, rounds=10)
    assert (even.rate, math.isnan(even.low), even.reason) == (0.5, True, NO_SPREAD)


@pytest.mark.parametrize(("mean", "spread"), [(200, 60), (400, 0), (-200, 20)])
def test_equal_lengths_that_were_never_seen_are_not_told(mean: float, spread: float) -> None:
    """Where nearly all answers are longer, or all are longer by the same, a rate at equal length would be made up."""
    generator = np.random.default_rng(0)
    base = np.full(200, 500.0)
    length = base + generator.normal(mean, spread, 200)
    score = (generator.random(200) < 0.7).astype(float)

    (found,) = refit(Matches(np.arange(200), np.zeros(200, dtype=np.intp), score, length, base), 1, rounds=10)

    assert math.isnan(found.rate)
    assert math.isnan(found.low)
    assert ("longer" if mean > 0 else "shorter") in str(found.reason)
    assert found.raw == pytest.approx(float(score.mean()))


def test_a_round_in_one_step_is_a_round_fitted_anew() -> None:
    """The bounds from one Newton step a round are those of fitting the drawn prompts again, within what lots leave."""
    matches = drawn(9, 150, 0.4, 1.0)
    generator = np.random.default_rng(1)
    anew = []
    for _ in range(400):
        picks = generator.integers(150, size=150)
        part = matches._replace(
            **{name: column[picks] for name, column in matches._asdict().items() if name != "prompt"}
        )
        anew.append(refit(part, 1, rounds=1)[0].rate)

    (found,) = refit(matches, 1, rounds=2000)

    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(anew, [0.025, 0.975])), abs=0.025)


@pytest.mark.parametrize("score", [1.2, -0.1, math.nan])
def test_scores_are_between_0_and_1(score: float) -> None:
    """Another score is refused."""
    one = np.ones(1)
    with pytest.raises(ValueError, match="scores"):
        refit(Matches(np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.intp), score * one, one, one), 1)
