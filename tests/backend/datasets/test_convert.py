"""Datasets made of others: seen before they are made, with where they came from, and refused with the reason."""

import json
import uuid
from typing import Any

import pytest

from alignment.formats import nectar
from backend.datasets import converting
from backend.datasets.models import Dataset
from backend.db import transaction
from tests.backend.datasets.conftest import Importer, lines, pair
from tests.conftest import Client

RANKED = [json.loads(nectar.EXAMPLE) | {"prompt": f"\n\nHuman: Color {n}?\n\nAssistant: "} for n in range(4)]
THUMBS = [{"prompt": f"P{n // 2}", "completion": f"c{n}", "label": n % 2 == 0} for n in range(5)]


def convert(client: Client, dataset_id: str, rule: dict[str, Any], name: str | None = None) -> Any:
    body = {"name": name or f"made {uuid.uuid4().hex[:8]}", "rule": rule}
    return client.post(f"/api/v1/datasets/{dataset_id}/convert", json=body)


def preview(client: Client, dataset_id: str, rule: dict[str, Any]) -> Any:
    return client.post(f"/api/v1/datasets/{dataset_id}/convert/preview", json={"rule": rule})


CASES: list[tuple[list[dict[str, Any]], dict[str, Any], str, int, dict[str, int]]] = [
    ([pair(1), pair(2)], {"name": "pairs_to_thumbs"}, "unpaired", 4, {}),
    ([pair(1), pair(2)], {"name": "pairs_to_thumbs", "sources": "people"}, "", 0, {"other_sources": 2}),
    ([pair(1), pair(2)], {"name": "pairs_to_answers"}, "demonstrations", 2, {}),
    (
        [pair(1, score_chosen=2, score_rejected=1), pair(2)],
        {"name": "pairs_by_scores"},
        "paired",
        1,
        {"no_scores": 1},
    ),
    (RANKED, {"name": "rankings_to_pairs", "meet": "all"}, "paired", 12, {}),
    (RANKED, {"name": "rankings_to_pairs", "meet": "best_random", "seed": 3}, "paired", 4, {}),
    (RANKED, {"name": "rankings_to_answers"}, "demonstrations", 4, {}),
    (RANKED, {"name": "rankings_to_thumbs", "by": "rank", "threshold": 1}, "unpaired", 12, {}),
    (THUMBS, {"name": "thumbs_to_pairs"}, "paired", 2, {"no_partner": 1}),
    (THUMBS, {"name": "thumbs_to_answers"}, "demonstrations", 3, {"unwanted": 2}),
    (
        [{"prompt": "P", "completion": f"c{n}", "scores": [n]} for n in range(3)],
        {"name": "answers_to_rankings"},
        "ranked",
        1,
        {},
    ),
    (
        [{"prompt": "P", "completion": "one two three four five six"}, {"prompt": "Q", "completion": "short"}],
        {"name": "answers_to_degraded"},
        "paired",
        3,
        {"few_words": 1},
    ),
]


@pytest.mark.parametrize(
    ("rows", "rule", "kind", "made", "left_out"), CASES, ids=[f"{one[1]['name']}-{one[3]}" for one in CASES]
)
def test_what_is_previewed_is_made(
    rows: list[dict[str, Any]],
    rule: dict[str, Any],
    kind: str,
    made: int,
    left_out: dict[str, int],
    imported: Importer,
    researcher: Client,
) -> None:
    """The preview's counts are those of the new dataset, whose items its rows are and which says where it is from."""
    source = imported(lines(rows), name=f"source {uuid.uuid4().hex[:8]}")
    choices = researcher.get(f"/api/v1/datasets/{source['dataset_id']}/conversions").json()

    seen = preview(researcher, source["dataset_id"], rule)
    done = convert(researcher, source["dataset_id"], rule)

    assert rule["name"] in {one["name"] for one in choices}
    assert (seen.status_code, seen.json()["made"], seen.json()["left_out"]) == (200, made, left_out)
    assert seen.json()["looked_at"] == seen.json()["items"] == len(rows)
    if not made:
        assert (done.status_code, done.json()["field"]) == (422, "rule")
        return
    assert (done.status_code, done.json()["items"], done.json()["left_out"]) == (201, made, left_out)
    dataset = researcher.get(f"/api/v1/datasets/{done.json()['dataset_id']}").json()
    items = researcher.get(f"/api/v1/datasets/{done.json()['dataset_id']}/items").json()["items"]
    assert (dataset["kind"], dataset["items"]) == (kind, made)
    assert dataset["labelled"] == (made if kind == "paired" else 0)
    assert dataset["made_from"]["dataset_id"] == source["dataset_id"]
    assert dataset["made_from"]["rule"].items() >= rule.items()
    shown = [(row["prompt"], row["responses"], row["facts"]) for row in seen.json()["rows"]]
    assert shown == [(one["prompt"], one["responses"], one["facts"]) for one in items[: len(shown)]]


def test_what_is_made_of_toys_is_one(imported: Importer, researcher: Client) -> None:
    """A dataset made of a toy dataset says that it is one, and one made of real data does not."""
    real, toy = (imported(lines([pair(n)]), name=f"source {uuid.uuid4().hex[:8]}")["dataset_id"] for n in range(2))
    with transaction() as session:
        session.get_one(Dataset, uuid.UUID(toy)).toy = True

    made = [convert(researcher, one, {"name": "pairs_to_thumbs"}).json()["dataset_id"] for one in (real, toy)]

    assert [researcher.get(f"/api/v1/datasets/{one}").json()["toy"] for one in made] == [False, True]


def test_splits_stay_with_their_prompts(imported: Importer, researcher: Client) -> None:
    """A test prompt is one in the new dataset too: conversions leak nothing into training."""
    dataset_id = imported(lines([pair(n) for n in range(80)]))["dataset_id"]
    made = convert(researcher, dataset_id, {"name": "pairs_to_thumbs"}).json()["dataset_id"]

    before, after = (researcher.get(f"/api/v1/datasets/{one}").json()["splits"] for one in (dataset_id, made))

    assert after == {split: 2 * count for split, count in before.items()}


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"name": "rankings_to_pairs"}, "rule.name"),
        ({"name": "nonsense"}, "rule"),
        ({}, "rule"),
        ({"name": "pairs_to_thumbs", "margin": 1}, "rule.pairs_to_thumbs.margin"),
        ({"name": "pairs_to_thumbs", "min_votes": 10**30}, "rule.pairs_to_thumbs.min_votes"),
        ({"name": "pairs_by_scores", "margin": "x"}, "rule.pairs_by_scores.margin"),
        ("all", "rule"),
        (None, "rule"),
    ],
    ids=["kind", "unknown", "none", "option", "bound", "type", "text", "null"],
)
def test_a_rule_that_does_not_fit_is_refused_by_its_field(
    rule: Any, field: str, imported: Importer, researcher: Client
) -> None:
    """A rule of another kind of data, an unknown one, and an option it does not have: 422, and no dataset is made."""
    dataset_id = imported(lines([pair(1)]))["dataset_id"]
    before = len(researcher.get("/api/v1/datasets").json()["items"])

    for answer in (preview(researcher, dataset_id, rule), convert(researcher, dataset_id, rule)):
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert len(researcher.get("/api/v1/datasets").json()["items"]) == before


def test_names_are_taken_once_and_keys_make_one(imported: Importer, researcher: Client) -> None:
    """A name that there is already is refused at its field; the same request sent twice makes one dataset."""
    dataset_id = imported(lines([pair(1)]))["dataset_id"]
    body: dict[str, Any] = {"name": f"made {uuid.uuid4().hex}", "rule": {"name": "pairs_to_answers"}}
    headers = {"Idempotency-Key": uuid.uuid4().hex}

    first, second = (
        researcher.post(f"/api/v1/datasets/{dataset_id}/convert", json=body, headers=headers) for _ in range(2)
    )
    taken = convert(researcher, dataset_id, body["rule"], body["name"])
    unnamed = convert(researcher, dataset_id, body["rule"], " \x00")

    assert first.json()["dataset_id"] == second.json()["dataset_id"]
    assert (taken.status_code, taken.json()["field"]) == (409, "name")
    assert (unnamed.status_code, unnamed.json()["field"]) == (422, "name")


def test_a_rule_that_makes_too_many_leaves_nothing(
    imported: Importer, researcher: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit the request is refused whole, with what to do; a preview says how far it looked."""
    monkeypatch.setattr(converting, "MOST_MADE", 3)
    monkeypatch.setattr(converting, "LOOKED_AT", 1)
    dataset_id = imported(lines([pair(1), pair(2)]))["dataset_id"]
    name = f"made {uuid.uuid4().hex}"

    refused = convert(researcher, dataset_id, {"name": "pairs_to_thumbs"}, name)
    seen = preview(researcher, dataset_id, {"name": "pairs_to_thumbs"}).json()

    assert (refused.status_code, refused.json()["field"]) == (422, "rule")
    assert "more than 3" in refused.json()["detail"]
    monkeypatch.setattr(converting, "LOOKED_AT", 2)
    cut = preview(researcher, dataset_id, {"name": "pairs_to_thumbs"}).json()
    assert (cut["more"], cut["made"], len(cut["rows"])) == (True, 3, 3)
    assert cut["sentences"][0] == "They make more than 3 items, which are the most that are made at once."
    assert refused.json()["remedy"]
    assert (seen["looked_at"], seen["made"], seen["more"]) == (1, 2, False)
    assert seen["sentences"][0] == "Counted over the first 1 of 2 items."
    assert convert(researcher, dataset_id, {"name": "pairs_to_answers"}, name).status_code == 201


def test_a_made_dataset_trains(imported: Importer, researcher: Client) -> None:
    """What was made of pairs can be frozen as what it is now."""
    dataset_id = imported(lines([pair(n) for n in range(6)]))["dataset_id"]
    made = convert(researcher, dataset_id, {"name": "pairs_to_thumbs"}).json()["dataset_id"]

    frozen = researcher.post(f"/api/v1/datasets/{made}/snapshots", json={})

    assert (frozen.status_code, frozen.json()["kind"]) == (201, "unpaired")


def test_what_contradicts_itself_is_seen_and_left_out(imported: Importer, researcher: Client) -> None:
    """An answer that is better in one pair and worse in another becomes nothing, as the preview and the dataset say."""
    rows = [{"prompt": "P", "chosen": better, "rejected": worse} for better, worse in ("AB", "BC", "AC")]
    dataset_id = imported(lines(rows))["dataset_id"]

    seen = preview(researcher, dataset_id, {"name": "pairs_to_thumbs"}).json()
    done = convert(researcher, dataset_id, {"name": "pairs_to_thumbs"}).json()
    made = researcher.get(f"/api/v1/datasets/{done['dataset_id']}").json()
    items = researcher.get(f"/api/v1/datasets/{done['dataset_id']}/items").json()["items"]

    for told in (seen, done, made["made_from"]):
        assert (told["contradicting"], told["doubled"]) == (2, 2)
    assert "2 contradict another of the same content; left out." in seen["sentences"]
    assert [(one["responses"][0]["content"], one["facts"]["desirable"]) for one in items] == [("A", True), ("C", False)]
