"""The catalogue over HTTP: recommended objectives first, needs in words, and what data cannot feed."""

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

import alignment
from alignment.formats.canonical import Item
from alignment.objectives import CATALOGUE, Needs, Role
from alignment.objectives.objective import PAIR
from backend.datasets import service as datasets
from backend.datasets.models import Dataset, Kind
from backend.db import transaction
from backend.objectives.words import needs_in_words
from backend.projects import service as projects
from tests import loop
from tests.conftest import Client

RECOMMENDED = ["dpo", "ipo_avg", "simpo", "kto", "rpo_average", "rdpo"]


def test_the_recommended_come_first(researcher: Client) -> None:
    """Those of the six that are there begin the list, in their order; every objective is there once."""
    listed = researcher.get("/api/v1/objectives").json()
    names = [one["name"] for one in listed]
    first = [name for name in RECOMMENDED if name in CATALOGUE]

    assert names[: len(first)] == first
    assert [one["name"] for one in listed if one["recommended"]] == first
    assert sorted(names) == sorted(CATALOGUE)
    rest = [(one["family"], one["title"].lower()) for one in listed[len(first) :]]
    assert rest == sorted(rest)


def test_a_card_has_what_its_page_shows(researcher: Client) -> None:
    """Formula, paper, fidelity, what it fixes and costs, needs, ranges and relatives come with each objective."""
    (card,) = [one for one in researcher.get("/api/v1/objectives").json() if one["name"] == "cdpo"]

    assert r"\epsilon" in card["formula"]
    assert card["fidelity"] == "authors_code"
    assert "wrong" in card["fixes"]
    assert "guessed" in card["costs"]
    assert [need["words"] for need in card["needs_words"]] == ["pairs", "reference model"]
    assert card["ranges"]["eps"]["high"] <= 0.5
    assert {"name": "dpo", "words": "Equals DPO at epsilon = 0.", "at": {"eps": 0.0}} in card["relatives"]


def test_every_need_has_words() -> None:
    """Nothing that an objective may ask for is left out of what its card says."""
    needs = Needs(
        frozenset(Role),
        reference="distribution",
        facts=frozenset({"score"}),
        third=frozenset({"teacher"}),
        coupled=True,
        state=True,
        steps=frozenset({"lines"}),
    )
    words = [one.words for one in needs_in_words(needs)]

    assert {"pairs", "rankings", "thumbs", "reference distribution", "third model: teacher", "whole batch"} <= {*words}
    assert {"memory", "steps"} <= {*words}
    assert any("score" in one for one in words)
    assert len(words) == len(set(words))
    assert [one.words for one in needs_in_words(Needs(PAIR))] == ["pairs", "no reference"]


def singles() -> Dataset:
    """A dataset of single answers with a thumb."""
    items = [
        Item(
            prompt=[{"role": "user", "content": f"Question {n}?"}],
            responses=[{"role": "assistant", "content": f"Answer {n}."}],
            facts={"desirable": n % 2 == 0},
        )
        for n in range(4)
    ]
    with transaction() as session:
        return datasets.create_from_items(session, projects.default(session), "Thumbs", items, kind=Kind.unpaired)


def test_what_data_cannot_feed_is_told_with_the_reason(researcher: Client) -> None:
    """Pairs feed every objective of pairs; single answers feed none of them, and each says what it learns from."""
    paired, single = loop.add_dataset(4), singles()
    fed = researcher.get("/api/v1/objectives/unfit", params={"dataset_id": str(paired.id)}).json()
    starved = researcher.get("/api/v1/objectives/unfit", params={"dataset_id": str(single.id)}).json()

    assert "dpo" not in fed
    assert "which no data hold yet" in fed["xpo"]["detail"]  # as a launch refuses it
    assert "spo_degree" not in fed
    assert "chosen answers" in starved["dpo"]["detail"]
    assert starved["dpo"]["remedy"]


def test_nothing_is_unfit_without_data(researcher: Client) -> None:
    """Before any data are chosen, no objective is told to lack them."""
    assert researcher.get("/api/v1/objectives/unfit").json() == {}


def scored(scores: list[float] | None) -> Dataset:
    """A dataset of labelled pairs with these scores, or with none."""
    items = loop.pairs(4)
    if scores is not None:
        items = [Item(one.prompt, one.responses, one.labels, {"scores": scores}) for one in items]
    with transaction() as session:
        return datasets.create_from_items(session, projects.default(session), f"Scored {scores}", items)


def test_facts_that_the_data_lack_or_that_no_paper_allows_are_told(researcher: Client) -> None:
    """Pairs without scores do not feed ODPO, and say which fact is missing; with scores they do; with scores in the
    wrong order the paper's own objection is told, and what asks for no scores is untouched throughout."""

    def told(*scores: float) -> Any:
        data = scored(list(scores) or None)
        return researcher.get("/api/v1/objectives/unfit", params={"dataset_id": str(data.id)}).json()

    plain, right, wrong = told(), told(3.0, 1.0), told(1.0, 3.0)

    assert "has no score, and ODPO asks how good each response is" in plain["odpo_log"]["detail"]
    assert "Choose data with scores" in plain["odpo_log"]["remedy"]
    assert plain["odpo_log"]["scorer"]  # a checkpoint may tell scores, and no weights
    assert not plain["weighted"]["scorer"]
    assert "weighted" in plain  # what is made of others asks for weights by itself
    assert "odpo_log" not in right
    assert wrong["odpo_log"]["detail"] != plain["odpo_log"]["detail"]
    assert not {"dpo", "simpo", "sum"} & {*plain, *right, *wrong}


def test_facts_of_a_snapshot_are_those_that_it_froze(researcher: Client) -> None:
    """A snapshot answers like its dataset."""
    for data, fits in ((scored([3.0, 1.0]), True), (scored(None), False)):
        key = {"Idempotency-Key": str(uuid.uuid4())}
        frozen = researcher.post(f"/api/v1/datasets/{data.id}/snapshots", json={}, headers=key).json()
        told = researcher.get("/api/v1/objectives/unfit", params={"snapshot_id": frozen["id"]}).json()
        assert ("odpo_log" not in told) is fits


def test_labels_that_do_not_count_give_no_facts(researcher: Client) -> None:
    """Which labels count decides what becomes an example, so it decides what a fact can be missing from."""
    data = scored(None)
    params = {"dataset_id": str(data.id), "policy": '{"sources": "people"}'}
    told = researcher.get("/api/v1/objectives/unfit", params=params).json()
    assert "odpo_log" not in told  # nobody has judged: no example lacks anything


@pytest.mark.parametrize("policy", ["", "[]", "7", '{"unit": "prompt"}', '{"annotators": 3}', "{" * 2000])
def test_a_policy_that_is_none_is_refused(researcher: Client, policy: str) -> None:
    """Anything but which labels count is a 422 that names the parameter."""
    answer = researcher.get("/api/v1/objectives/unfit", params={"policy": policy})
    assert answer.status_code == 422
    assert answer.json()["field"] == "policy"


def test_data_of_others_are_not_looked_at(researcher: Client) -> None:
    """A dataset that is not in the project is a 404."""
    for field in ("dataset_id", "snapshot_id"):
        assert researcher.get("/api/v1/objectives/unfit", params={field: str(uuid.uuid4())}).status_code == 404


@pytest.mark.parametrize("path", ["objectives", "objectives/unfit"])
def test_only_research_sees_objectives(anonymous: Client, annotator: Client, path: str) -> None:
    """Signed out is 401, an annotator 403."""
    assert anonymous.get(f"/api/v1/{path}").status_code == 401
    assert annotator.get(f"/api/v1/{path}").status_code == 403


DROPPED = '''
"""A test's own."""

from typing import ClassVar

from alignment.objectives.dpo import DPO


class Dropped(DPO):
    """Is what DPO is.

    With a name of its own.
    """

    name: ClassVar[str] = "dropped"
    title: ClassVar[str] = "Dropped"
'''
WITH_IT = """
from alignment.curves import curves
from alignment.objectives import resolve
from backend.objectives.cards import catalogue
from backend.runs.schemas import RunIn
(card,) = [one for one in catalogue() if one.name == "dropped"]
assert card.kinds == ["paired"] and card.formula
choices = RunIn.model_json_schema()["properties"]["objective"]["oneOf"]
assert "dropped" in [one["properties"]["name"]["const"] for one in choices]
assert curves(resolve({"name": "dropped", "beta": 0.2}), 60.0, {})["lines"]
"""


def test_a_new_file_is_all_that_a_new_objective_takes(tmp_path: Path) -> None:
    """Dropped into the folder of objectives, it has a card, stands in the form's schema, and is drawn."""
    ours = Path(alignment.__file__).parent
    folder = tmp_path / ours.name
    folder.mkdir()
    for path in ours.iterdir():
        if path.name != "objectives":
            (folder / path.name).symlink_to(path)
    shutil.copytree(ours / "objectives", folder / "objectives")
    (folder / "objectives" / "dropped.py").write_text(DROPPED)
    paths = os.pathsep.join((str(tmp_path), str(ours.parent)))

    subprocess.run([sys.executable, "-c", WITH_IT], check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths})
