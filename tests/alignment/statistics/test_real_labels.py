"""Agreement and rankings on labels that were published with their numbers."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from alignment.statistics import Ratings
from alignment.statistics.cohen import pairs
from alignment.statistics.crowd_bt import Comparisons, crowd_bt
from alignment.statistics.dawid_skene import dawid_skene

LABELS = ("a", "b", "tie")
WON = {"a": 1.0, "b": 0.0, "tie": 0.5}


def rated(said: list[tuple[int, int, int]]) -> Ratings:
    """Ratings of (unit, annotator, category)."""
    units, people, categories = zip(*said, strict=True)
    return Ratings.of(units, people, categories, LABELS)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def test_pandalms_kappas_are_those_published(shared_data: Path) -> None:
    """Three annotators of 999 pairs: Cohen's kappas as the authors print them, to both digits."""
    published = {
        (one["a"], one["b"]): one for one in rows(shared_data / "multiannot_published.jsonl") if one["b"] is not None
    }
    names = sorted({name for pair in published for name in pair})
    said = [
        (unit, names.index(one["annotator"]), LABELS.index(one["label"]))
        for unit, row in enumerate(rows(shared_data / "multiannot_pandalm.jsonl"))
        for one in row["annotations"]
    ]

    found = pairs(rated(said), range(3))

    assert len(found) == len(published) == 3
    for pair in found:
        known = published[names[pair.first], names[pair.second]]
        assert round(pair.kappa.value or 0, known["printed_digits"]) == known["value"]
        assert pair.kappa.n == 999


def test_arguments_rank_as_published(shared_data: Path) -> None:
    """10,246 pairs of arguments by 3,552 workers: within its topic an argument ranks as the authors say.

    Their scores are lower for better arguments, so the correlation is negative.
    """
    published = {(one["topic"], one["arg_id"]): one for one in rows(shared_data / "ukp_arguments.jsonl")}
    arguments = {key: place for place, key in enumerate(published)}
    workers: dict[str, int] = {}
    judged = [
        (
            workers.setdefault(worker, len(workers)),
            arguments[row["topic"], row["a"]],
            arguments[row["topic"], row["b"]],
            WON[said],
        )
        for row in rows(shared_data / "multiannot_ukp_labels_1.jsonl")
        for worker, said in row["annotations"]
    ]
    who, first, second, won = (np.array(column) for column in zip(*judged, strict=True))

    found = crowd_bt(Comparisons(who, first, second, won))

    assert found.converged
    by_topic: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for (topic, _), known in published.items():
        by_topic[topic].append((found.scores[arguments[topic, known["arg_id"]]], known["published_rank_score"]))
    rho = sorted(float(spearmanr(*zip(*scores, strict=True))[0]) for scores in by_topic.values())
    assert len(rho) == 20
    assert np.mean(rho) <= -0.9
    assert sum(one <= -0.8 for one in rho) >= 18
    assert rho[-1] <= -0.65


def test_truths_are_found_better_than_by_the_majority(shared_data: Path) -> None:
    """On those pairs Dawid-Skene names the winner of the authors' own model (MACE) more often than votes do."""
    pairs_of = [row for row in rows(shared_data / "multiannot_ukp_labels_1.jsonl") if row["gold"] is not None]
    workers: dict[str, int] = {}
    said = [
        (unit, workers.setdefault(worker, len(workers)), LABELS.index(label))
        for unit, row in enumerate(pairs_of)
        for worker, label in row["annotations"]
    ]
    gold = np.array([LABELS.index(row["gold"]) for row in pairs_of])
    ratings = rated(said)

    found = dawid_skene(ratings)

    by_votes = (ratings.counts().argmax(axis=1) == gold).mean()
    assert (found.truth.argmax(axis=1) == gold).mean() > max(0.9, by_votes)


@pytest.mark.parametrize("name", ["multiannot_pandalm.jsonl", "multiannot_ukp_inline.jsonl"])
def test_reliabilities_lie_where_probabilities_do(shared_data: Path, name: str) -> None:
    """Whatever people said, accuracies are probabilities, and nobody's is 1."""
    workers: dict[str, int] = {}
    said = [
        (unit, workers.setdefault(one["annotator"], len(workers)), LABELS.index(one["label"]))
        for unit, row in enumerate(rows(shared_data / name))
        for one in row["annotations"]
    ]
    found = dawid_skene(rated(said))

    assert found.converged
    assert np.all((found.accuracy > 0) & (found.accuracy < 1))
