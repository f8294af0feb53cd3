"""From labels to chosen and rejected, and the frozen folder that runs read."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from alignment.formats import FileRefused, Item, LabelFacts, snapshot
from alignment.formats.preference import Decision, Policy, decide, decisions
from alignment.formats.snapshot import EmptySnapshot, Example
from alignment.formats.split import split_of

A, B = {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}
PEOPLE = Policy()


def item(*labels: LabelFacts, **facts: Any) -> Item:
    return Item([{"role": "user", "content": "p"}], [A, B], labels, facts)  # type: ignore[list-item]


def person(strength: int) -> LabelFacts:
    return LabelFacts({"strength": strength}, "person")


def test_majority_with_facts() -> None:
    """Two of three prefer the second: it is chosen, with votes, share and mean strength towards it."""
    decision = decide(item(person(-2), person(-3), person(1), scores=[1.0, 4.0]), PEOPLE)

    assert decision == Decision([B, A], {"scores": [4.0, 1.0], "votes": 3, "margin": 4 / 3, "soft_label": 2 / 3})  # type: ignore[list-item]


def test_a_bare_import_adds_nothing() -> None:
    """An imported choice carries only what its file said."""
    choice = LabelFacts({"strength": 1})
    assert decide(item(choice, weight=2.0, meta={"id": "x"}), PEOPLE) == Decision([A, B], {"weight": 2.0})  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ([], "unlabelled"),
        ([person(0)], "tie"),
        ([person(1), person(-1)], "tie"),
        ([person(0), person(0), person(1)], "tie"),
        ([LabelFacts({"both_bad": True}, "person")], "both_bad"),
        ([LabelFacts({"skip": "?"}, "person")], "skipped"),
    ],
)
def test_what_is_left_out(labels: list[LabelFacts], why: str) -> None:
    """A pair on which nobody leads is left out with the reason."""
    assert decide(item(*labels), PEOPLE) == why


def test_whose_labels_count() -> None:
    """People come before files, files before judges; a policy may ask for one kind, or for more votes."""
    mixed = item(LabelFacts({"strength": 1}), person(-1), LabelFacts({"strength": 2}, "judge"))
    chosen = {}
    for sources in ("people_first", "people", "imports", "judges"):
        decision = decide(mixed, Policy(sources=sources))
        assert isinstance(decision, Decision)
        chosen[sources] = decision.responses[0]["content"]
    assert chosen == {"people_first": "b", "people": "b", "imports": "a", "judges": "a"}
    assert decide(mixed, Policy(min_votes=2)) == "too_few_votes"
    people = Policy(sources="people")
    assert decide(item(LabelFacts({"strength": 1})), people) == "other_sources"
    assert decide(item(LabelFacts({"strength": 1}), LabelFacts({"skip": "?"}, "person")), people) == "skipped"
    assert decide(item(person(1)), Policy(sources="imports")) == "other_sources"


def test_each_label_by_itself() -> None:
    """With the label as unit every judgement that prefers a side becomes an example, with who gave it."""
    ann, bob, eve = (LabelFacts({"strength": s}, "person", who) for s, who in ((2, "ann"), (-1, "bob"), (0, "eve")))
    unit = Policy(unit="label")

    found = decisions(item(ann, bob, eve, scores=[4.0, 1.0]), unit)

    assert found == [
        Decision([A, B], {"scores": [4.0, 1.0], "votes": 1, "margin": 2.0, "annotator": "ann"}),  # type: ignore[list-item]
        Decision([B, A], {"scores": [1.0, 4.0], "votes": 1, "margin": 1.0, "annotator": "bob"}),  # type: ignore[list-item]
    ]
    assert decisions(item(LabelFacts({"strength": 1}), annotator="file"), unit) == [
        Decision([A, B], {"annotator": "file"})  # type: ignore[list-item]
    ]
    assert decisions(item(eve), unit) == "tie"
    assert decisions(item(), unit) == "unlabelled"
    assert decisions(item(ann), Policy(unit="label", min_votes=2)) == "too_few_votes"
    assert decisions(item(ann, bob), PEOPLE) == decide(item(ann, bob), PEOPLE) == "tie"


def examples(count: int, order: random.Random | None = None) -> list[Example]:
    made = [
        Example(
            f"id-{n}-{random.random()}",
            split_of("project", str(n)),
            [{"role": "user", "content": f"prompt {n} ü"}],
            [{"role": "assistant", "content": f"good {n}"}, {"role": "assistant", "content": f"bad {n}"}],
            {"weight": n / 7} if n % 3 else {"scores": [n / 3, 0.1], "votes": n},
        )
        for n in range(count)
    ]
    if order is not None:
        order.shuffle(made)
    return made


def write(root: Path, made: list[Example] | Iterator[Example]) -> snapshot.Manifest:
    return snapshot.write(root, made, kind="paired", policy=PEOPLE.model_dump(), dataset={"name": "d"})


def test_equal_content_is_an_equal_folder(tmp_path: Path) -> None:
    """The hash, the order of the rows and the counts depend on nothing but the content."""
    one = write(tmp_path / "one", examples(2_500))
    other = write(tmp_path / "other", examples(2_500, random.Random(1)))

    assert one.hash == other.hash
    first, second = (list(snapshot.read(tmp_path / name / one.hash)) for name in ("one", "other"))
    assert [example.canonical() for example in first] == [example.canonical() for example in second]
    assert sorted(example.canonical() for example in first) == sorted(row.canonical() for row in examples(2_500))
    assert one.counts == {name: sum(row.split == name for row in first) for name in ("test", "train", "validation")}
    assert snapshot.verify(tmp_path / "one" / one.hash)
    assert write(tmp_path / "one", examples(2_499)).hash != one.hash


def test_files_are_as_promised(tmp_path: Path) -> None:
    """The columns are those of the contract, and the manifest lies beside them."""
    made = write(tmp_path, examples(10))
    folder = tmp_path / made.hash
    table = pq.read_table(folder / "examples.parquet")

    assert table.column_names == ["id", "split", "prompt", "responses", "weight", "votes", "scores"]
    assert json.loads(table["prompt"][0].as_py())[0]["role"] == "user"
    assert sorted(path.name for path in folder.iterdir()) == ["examples.parquet", "manifest.json"]
    assert snapshot.manifest(folder) == made
    assert {example.split for example in snapshot.read(folder, "train")} == {"train"}


def test_interrupted_writing_leaves_nothing(tmp_path: Path) -> None:
    """An error half way leaves no folder, and neither does having nothing to write."""

    def broken() -> Iterator[Example]:
        yield from examples(1_500)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, broken())
    with pytest.raises(EmptySnapshot):
        write(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_is_never_changed(tmp_path: Path) -> None:
    """Writing the same content again leaves the folder as it is; a changed file is noticed."""
    made = write(tmp_path, examples(20))
    folder = tmp_path / made.hash
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    write(tmp_path, examples(20))
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before

    rows = pq.read_table(folder / "examples.parquet").slice(1)
    pq.write_table(rows, folder / "examples.parquet")
    assert not snapshot.verify(folder)


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    """A folder without manifest or with a broken file says what to do."""
    with pytest.raises(FileRefused, match=r"manifest\.json"):
        snapshot.manifest(tmp_path)
    (tmp_path / "examples.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(FileRefused):
        list(snapshot.read(tmp_path))


def test_splits_by_hash() -> None:
    """Nine in ten train; the split is a function of project and prompt alone."""
    found = [split_of("one", str(n)) for n in range(10_000)]

    assert 8_850 < found.count("train") < 9_150
    assert 400 < found.count("test") < 600
    assert found == [split_of("one", str(n)) for n in range(10_000)]
    assert found != [split_of("two", str(n)) for n in range(10_000)]


def test_reasons_of_annotators_become_rationales_where_that_is_asked_for() -> None:
    """The first reason of those who prefer the side that won; one of the data goes with the side that it is for."""
    said = [(1, None), (-2, "shorter"), (2, " "), (3, "kinder")]
    labels = [LabelFacts({"strength": strength}, "person", rationale=reason) for strength, reason in said]
    asked = Policy(reasons=True)

    assert facts_of(item(*labels), asked)["rationale"] == "kinder"
    assert "rationale" not in facts_of(item(*labels), PEOPLE)
    assert facts_of(item(*labels, rationale="given"), asked)["rationale"] == "given"
    assert facts_of(item(labels[1], rationale="given"), asked)["rationale"] == "shorter"
    assert "rationale" not in facts_of(item(labels[1], rationale="given"), PEOPLE)


def facts_of(given: Item, policy: Policy) -> dict[str, Any]:
    decision = decide(given, policy)
    assert isinstance(decision, Decision)
    return decision.facts
