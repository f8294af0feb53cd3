"""Public sets with several raters go in and out without loss, and agree here as their authors say."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from alignment.statistics import agreement
from tests.backend.datasets.conftest import Importer
from tests.conftest import Client
from tests.voted import read


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.split("\n") if line]


def whole(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that hold two answers to choose from: others (empty, equal, no text) are refused, each with the reason."""
    sides = [(row["response_a"], row["response_b"]) for row in given]
    fine = [all(isinstance(one, str) and one.strip() for one in both) and both[0] != both[1] for both in sides]
    return [row for row, kept in zip(given, fine, strict=True) if kept]


def words(turns: Any) -> str:
    """The text of a prompt or a response, which comes out as messages."""
    return turns if isinstance(turns, str) else str(turns[-1]["content"])


def said(given: list[dict[str, Any]]) -> Counter[tuple[str, ...]]:
    """Every judgement: of what, by whom, which."""
    return Counter(
        (
            words(row["prompt"]),
            words(row["response_a"]),
            words(row["response_b"]),
            one["annotator"],
            one["label"],
        )
        for row in given
        for one in row["annotations"]
    )


@pytest.mark.parametrize(("name", "refused"), [("multiannot_pandalm.jsonl", 60), ("multiannot_ukp_inline.jsonl", 3)])
def test_in_and_out(
    shared_data: Path,
    researcher: Client,
    imported: Importer,
    name: str,
    refused: int,
) -> None:
    """Every judgement of every annotator comes out as it went in, under the same name: also where two models gave the
    same answers, so that a pair is there twice."""
    content = (shared_data / name).read_bytes()
    every = rows(content.decode())
    given = whole(every)
    done = imported(content)

    answer = researcher.get(f"/api/v1/datasets/{done['dataset_id']}/export", params={"format": "pairs"})

    assert answer.status_code == 200, answer.text
    assert (done["rows_bad"], done["rows_doubled"], len(every) - len(given)) == (refused, 0, refused)
    assert said(rows(answer.text)) == said(given)
    found = read(researcher, f"/datasets/{done['dataset_id']}/agreement")
    assert (found["items"], found["labels"]) == (len(given), sum(len(row["annotations"]) for row in given))


def test_the_page_says_what_the_file_says(shared_data: Path, researcher: Client, imported: Importer) -> None:
    """The kappas of the imported set are those of its rows, and near those printed for all rows."""
    content = (shared_data / "multiannot_pandalm.jsonl").read_bytes()
    given = whole(rows(content.decode()))
    done = imported(content)
    published = [one for one in rows((shared_data / "multiannot_published.jsonl").read_text()) if one["b"]]

    found = read(researcher, f"/datasets/{done['dataset_id']}/agreement")

    kappas = {frozenset({pair["first"]["name"], pair["second"]["name"]}): pair["kappa"] for pair in found["pairs"]}
    assert len(kappas) == len(published) == 3
    for one in published:
        kappa = kappas[frozenset({one["a"], one["b"]})]
        sides = [{who["annotator"]: who["label"] for who in row["annotations"]} for row in given]
        direct = agreement([row[one["a"]] for row in sides], [row[one["b"]] for row in sides])
        assert (kappa["value"], kappa["n"]) == (pytest.approx(direct.kappa), len(given))
        assert kappa["low"] < one["value"] < kappa["high"]
