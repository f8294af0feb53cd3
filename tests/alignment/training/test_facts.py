"""Facts of examples reach the objective beside their responses, and data that lack them are refused by the example."""

import json
import math
import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from alignment.formats import snapshot
from alignment.objectives.facts import Reader
from alignment.objectives.objective import PAIR
from alignment.training import Spec, train
from alignment.training.data import Wanted, read
from alignment.training.errors import BadData, BadSpec
from alignment.training.events import Events
from alignment.training.goals import GOAL
from alignment.training.prepare import prepare
from alignment.training.resume import origin
from alignment.training.run import EVENTS
from alignment.training.stop import Stop
from tests.alignment.objectives.cases import make
from tests.alignment.training.conftest import MakeSnapshot, MakeSpec, examples


def scored(count: int = 12, validation: int = 4) -> list[snapshot.Example]:
    """Pairs whose chosen response scores higher by 1 to 4."""
    rng, rows = random.Random(3), examples(count, validation)
    for row in rows:
        low = rng.uniform(-2, 2)
        row.facts["scores"] = [low + rng.uniform(1, 4), low]
    return rows


def steps_of(folder: Path) -> list[dict[str, Any]]:
    events = map(json.loads, (folder / EVENTS).read_text().splitlines())
    return [event for event in events if event["type"] == "step" and event["examples"]]


def test_scores_decide_what_a_run_learns(make_snapshot: MakeSnapshot, make_spec: MakeSpec, tmp_path: Path) -> None:
    """From scores to the loss: at policy == reference ODPO's is log(1 + e^gap) of the very examples, and it falls."""
    rows = scored()
    gaps = [row.facts["scores"][0] - row.facts["scores"][1] for row in rows if row.split == "train"]
    spec = make_spec(
        snapshots=[{"path": str(make_snapshot(rows))}],
        objective={"name": "odpo_offset", "beta": 0.1},
        batch={"examples_per_step": len(gaps)},
        duration={"steps": 8},
    )

    train(spec, tmp_path / "out")

    losses = [step["values"]["loss"] for step in steps_of(tmp_path / "out")]
    assert losses[0] == pytest.approx(sum(math.log1p(math.exp(gap)) for gap in gaps) / len(gaps), rel=1e-5)
    assert losses[-1] < losses[0] - 0.05


def test_packs_do_not_part_facts_from_their_responses(
    make_snapshot: MakeSnapshot, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """However few tokens are computed at once, each response keeps its own value."""
    data = [{"path": str(make_snapshot(scored()))}]
    found = []
    for tokens in (24, 4096):
        spec = make_spec(
            snapshots=data, objective={"name": "odpo_log"}, batch={"examples_per_step": 8, "tokens_per_pack": tokens}
        )
        train(spec, tmp_path / str(tokens))
        found.append([step["values"]["loss"] for step in steps_of(tmp_path / str(tokens))])

    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (None, "has no score, and ODPO asks how good each response is"),
        ([1.0, 2.0], "scores its chosen response 1 and its rejected one 2"),
        ([1.0], "has 1 values of score for 2 responses"),
        ([math.inf, 1.0], "has a score that is no number"),
        ([1e30, 1.0], "has 1e\\+30 as its score"),
    ],
)
def test_an_example_that_does_not_fit_ends_the_run_by_its_name(
    scores: list[float] | None, words: str, make_snapshot: MakeSnapshot, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """Before any weights are loaded: which example, what it lacks, in which source."""
    rows = scored()
    rows[7].facts = {} if scores is None else {"scores": scores}
    spec = make_spec(snapshots=[{"path": str(make_snapshot(rows))}], objective={"name": "odpo_log"})

    with pytest.raises(BadData, match=f"Example example-7 {words}") as refused:
        train(spec, tmp_path / "out")

    assert refused.value.field == "snapshots.0.path"
    assert not list((tmp_path / "out").glob("checkpoints/*"))


def test_a_data_file_without_scores_is_refused_too(make_spec: MakeSpec, tmp_path: Path) -> None:
    """The command line reads files; the row that lacks a score is named."""
    rows = [{"prompt": f"ask {n}", "chosen": "yes", "rejected": "no"} for n in range(20)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    spec = make_spec(
        snapshots=[{"path": str(tmp_path / "pairs.jsonl"), "format": "trl"}], objective={"name": "odpo_log"}
    )

    with pytest.raises(BadData, match="has no score"):
        train(spec, tmp_path / "out")


def prepared(spec: dict[str, Any], folder: Path) -> Any:
    with Events(folder / "events.jsonl") as events:
        return prepare(Spec.model_validate(spec), events, Stop())


def test_other_scores_are_other_data(make_snapshot: MakeSnapshot, make_spec: MakeSpec, tmp_path: Path) -> None:
    """A run does not go on with facts that changed while it stood: they belong to what its data are."""
    rows = scored()
    first = make_spec(snapshots=[{"path": str(make_snapshot(rows))}], objective={"name": "odpo_log"})
    rows[5].facts["scores"][0] += 1
    second = first | {"snapshots": [{"path": str(make_snapshot(rows))}]}

    found = []
    for spec in (first, second):
        ready = prepared(spec, tmp_path)
        found.append(origin(Spec.model_validate(spec), ready.learner.scoring, ready.examples).data)
    assert found[0] != found[1]


def test_another_label_is_other_data(make_spec: MakeSpec, tmp_path: Path) -> None:
    """A run on a file does not go on with thumbs that were turned while it stood, though every text is the same."""
    found = []
    for turned in (3, 4):
        rows = [{"prompt": f"ask {n}", "completion": "yes", "label": n % 2 == 0 or n == turned} for n in range(40)]
        (tmp_path / "thumbs.jsonl").write_text("\n".join(map(json.dumps, rows)))
        data = [{"path": str(tmp_path / "thumbs.jsonl"), "format": "trl_unpaired"}]
        spec = make_spec(snapshots=data, objective={"name": "bco"})
        ready = prepared(spec, tmp_path)
        found.append(origin(Spec.model_validate(spec), ready.learner.scoring, ready.examples).data)

    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"scores": [1.0, 2.0]}, "scores its chosen response 1 and its rejected one 2"),
        ({"scores": [2.0, 2.0]}, None),
        ({"margin": -1.0}, None),
        ({"margin": 1.0, "scores": [1.0, 2.0]}, None),
    ],
)
@pytest.mark.parametrize("objective", [{"name": "odpo_offset"}, {"name": "offset", "scale": 1.0}], ids=["own", "part"])
def test_scores_in_the_wrong_order_are_no_margin(
    objective: dict[str, Any],
    facts: dict[str, Any],
    words: str | None,
    make_snapshot: MakeSnapshot,
    make_spec: MakeSpec,
    tmp_path: Path,
) -> None:
    """A margin that is given may be negative, as the paper's offset may; one that is made of scores may not."""
    rows = scored()
    rows[7].facts = facts
    spec = make_spec(snapshots=[{"path": str(make_snapshot(rows))}], objective=objective)

    with pytest.raises(BadData, match=f"Example example-7 {words}") if words else nullcontext():
        list(read(Spec.model_validate(spec).snapshots, Wanted("", PAIR, reader=Reader(make(**objective)))))


TURNED: list[tuple[dict[str, Any], str]] = [
    ({"name": "offset", "scale": 1, "base": {"name": "ra_dpo"}}, "the margin"),
    ({"name": "sum", "terms": [{"objective": {"name": "ra_dpo"}}, {"objective": {"name": "soft_labeled"}}]}, "label"),
    ({"name": "sum", "terms": [{"objective": {"name": "ra_dpo"}}, {"objective": {"name": "odpo_log"}}]}, "the scores"),
]


@pytest.mark.parametrize(("objective", "words"), TURNED, ids=["margin", "soft_label", "score"])
def test_what_goes_with_an_order_does_not_go_with_pairs_that_are_turned_round(
    objective: dict[str, Any], words: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """A margin, a soft label and scores that are compared would be wrong for the second of both orders."""
    with pytest.raises(BadSpec, match=f"{words}.*one order only") as refused:
        train(make_spec(objective=objective), tmp_path / "out")

    assert refused.value.field == "objective.name"


def test_a_weight_goes_with_pairs_that_are_turned_round(
    make_snapshot: MakeSnapshot, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """It is the same for both orders."""
    rows = scored()
    for row in rows:
        row.facts["weight"] = 2.0
    objective = {"name": "weighted", "base": {"name": "ra_dpo"}}
    spec = make_spec(snapshots=[{"path": str(make_snapshot(rows))}], objective=objective)

    assert len(prepared(spec, tmp_path).examples.train) == 2 * 12


def test_a_goal_turns_a_pair_into_two(make_snapshot: MakeSnapshot, make_spec: MakeSpec, tmp_path: Path) -> None:
    """Asked for the higher score its chosen response wins, asked for the lower one the other; contradictions go."""
    rows = scored()
    rows[6].facts["scores"], rows[8].facts["scores"] = [1.0, 2.0], [2.0, 2.0]
    spec = make_spec(snapshots=[{"path": str(make_snapshot(rows))}], objective={"name": "ra_dpo"})

    examples = prepared(spec, tmp_path).examples
    by_id = {encoded.example.id: encoded.example for encoded in examples.train}

    assert len(by_id) == 2 * 10
    assert examples.counts["goal_left_out"] == 2
    row = rows[7]
    for name, (better, worse) in (("high", (0, 1)), ("low", (1, 0))):
        one = by_id[f"{row.id}/{name}"]
        assert one.prompt[-1]["content"] == row.prompt[-1]["content"] + GOAL.format(score=row.facts["scores"][better])
        assert [answer["content"] for answer in one.responses] == [
            row.responses[better]["content"],
            row.responses[worse]["content"],
        ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("xpo", "samples of the reference"),
    ],
)
def test_what_no_data_can_feed_is_refused_by_the_need(
    name: str, words: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """An objective whose loss is here and whose loop is not says what it would need, before anything is loaded."""
    with pytest.raises(BadSpec, match=words) as refused:
        train(make_spec(objective={"name": name}), tmp_path / "out")

    assert refused.value.field == "objective.name"
