"""Exports of Argilla and Label Studio keep who answered what, when and how long it took; what is unclear is asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from alignment import formats
from alignment.formats import Item, RowError, Survey
from alignment.formats.label_studio import fields_of, sides_of
from alignment.formats.survey import DRAFT, NO_ANSWER, PREDICTION, NotSaid, UnsupportedVersion

FIELDS = {"prompt": "Name a color.", "response_a": "Red.", "response_b": "Seven."}
TASK = {"prompt": "Name a color.", "answer1": "Red.", "answer2": "Seven."}


def read(tmp_path: Path, rows: list[Any], survey: Survey | None = None) -> list[Item | RowError]:
    """What a file of these rows gives."""
    path = tmp_path / "export.json"
    path.write_text(json.dumps(rows))
    return list(formats.read(path, survey=survey))


def only(found: list[Item | RowError]) -> Item:
    assert len(found) == 1
    assert isinstance(found[0], Item), found[0]
    return found[0]


def said(item: Item) -> list[tuple[Any, ...]]:
    """The labels as plain tuples."""
    return [
        (dict(label.value), label.source, label.annotator, label.created_at, label.seconds) for label in item.labels
    ]


def argilla_1(**more: Any) -> dict[str, Any]:
    """A record of Argilla 1.x with two people's answers."""
    responses = [
        {"user_id": "u1", "status": "submitted",
         "values": {"better": {"value": "response_a"}, "why": {"value": "true"}},
         "inserted_at": "2024-05-01T12:00:00", "updated_at": "2024-05-01T14:30:00.000000"},
        {"user_id": "u2", "status": "discarded", "values": {}},
        {"user_id": "u3", "status": "draft", "values": {"better": {"value": "response_b"}}},
    ]  # fmt: skip
    suggestions = [{"question_name": "better", "value": "response_b", "score": 0.9, "agent": "rm-1", "type": "model"}]
    return {
        "fields": FIELDS,
        "metadata": {"topic": "colors"},
        "responses": responses,
        "suggestions": suggestions,
    } | more


def test_argilla_1_records_give_a_label_per_annotator(tmp_path: Path) -> None:
    """Submitted answers are labels with time and name, a discarded record a skip; drafts and suggestions are told."""
    survey = Survey(
        prompt="prompt", responses=("response_a", "response_b"), question="better", rationale="why", names={"u1": "ann"}
    )
    item = only(read(tmp_path, [argilla_1()], survey))

    assert said(item) == [
        ({"strength": 1}, "person", "ann", "2024-05-01T14:30:00+00:00", None),
        ({"skip": "discarded"}, "person", "u2", None, None),
    ]
    assert item.labels[0].rationale == "true"
    assert item.facts["meta"] == {"topic": "colors"}
    assert set(item.warnings) == {DRAFT, PREDICTION}


def test_drafts_and_suggestions_are_read_when_asked_for(tmp_path: Path) -> None:
    """A suggestion is the label of a judge by its agent's name, never of a person."""
    survey = Survey(
        prompt="prompt", responses=("response_a", "response_b"), question="better", drafts=True, suggestions=True
    )
    item = only(read(tmp_path, [argilla_1()], survey))
    assert [(one[0], one[1], one[2]) for one in said(item)] == [
        ({"strength": 1}, "person", "u1"),
        ({"skip": "discarded"}, "person", "u2"),
        ({"strength": -1}, "person", "u3"),
        ({"strength": -1}, "judge", "rm-1"),
    ]


def test_argilla_1_tables_are_read(tmp_path: Path) -> None:
    """The Datasets form of 1.x: a column per question, also where Datasets has turned lists of objects round."""
    common = {**FIELDS, "better-suggestion": None, "better-suggestion-metadata": {"type": None, "agent": None}}
    rows = [
        common | {"better": [{"user_id": "u1", "value": "response_b", "status": "submitted"}], "external_id": "1",
                  "metadata": '{"topic":"colors"}'},
        common | {"better": {"user_id": ["u1"], "value": ["response_a"], "status": ["submitted"]}, "external_id": "2"},
    ]  # fmt: skip
    first, second = read(tmp_path, rows)
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert [said(first)[0][0], said(second)[0][0]] == [{"strength": -1}, {"strength": 1}]
    assert first.facts["meta"] == {"topic": "colors"}


@pytest.mark.parametrize("flat", [True, False])
def test_argilla_2_records_are_read(tmp_path: Path, flat: bool) -> None:
    """Both shapes of 2.x: answers by question, and flattened with users and statuses in columns of their own."""
    row: dict[str, Any]
    if flat:
        row = {"id": "7", "_server_id": "x", "status": "completed", **FIELDS, "better.responses": ["response_a", "tie"],
               "better.responses.users": ["u1", "u2"], "better.responses.status": ["submitted", "draft"],
               "better.suggestion": None}  # fmt: skip
    else:
        row = {"id": "7", "_server_id": "x", "status": "completed", "fields": FIELDS, "suggestions": {}, "vectors": {},
               "responses": {"better": [{"value": "response_a", "user_id": "u1"}]}, "metadata": {}}  # fmt: skip
    item = only(read(tmp_path, [row]))
    assert said(item) == [({"strength": 1}, "person", "u1", None, None)]
    assert item.id == "7"


def test_argilla_rankings_and_ratings_decide(tmp_path: Path) -> None:
    """A ranking of two is a preference; one rating per response prefers the higher one, at most by three."""
    ranks = {"value": [{"rank": 2, "value": "response_a"}, {"rank": 1, "value": "response_b"}]}
    ranked = only(read(tmp_path, [argilla_1(responses=[{"user_id": "u1", "status": "submitted",
                                                       "values": {"order": ranks}}], suggestions=[])]))  # fmt: skip
    assert said(ranked)[0][0] == {"strength": -1}

    rated = {"rate_response_a": {"value": 5}, "rate_response_b": {"value": 1}}
    item = only(read(tmp_path, [argilla_1(responses=[{"user_id": "u1", "status": "submitted", "values": rated}],
                                          suggestions=[])]))  # fmt: skip
    assert said(item)[0][0] == {"strength": 3}


def test_three_ranked_responses_are_a_ranking(tmp_path: Path) -> None:
    """More than two responses: mean ranks as a fact, and each person's ranking kept."""

    def order(*names: str) -> dict[str, Any]:
        ranks = [{"rank": rank, "value": name} for rank, name in enumerate(names, 1)]
        return {"status": "submitted", "values": {"order": {"value": ranks}}}

    row = {"fields": FIELDS | {"response_c": "Blue."}, "suggestions": [], "responses": [
        {"user_id": "u1", **order("response_c", "response_a", "response_b")},
        {"user_id": "u2", **order("response_a", "response_c", "response_b")}]}  # fmt: skip
    item = only(read(tmp_path, [row]))
    assert item.facts["ranks"] == [1.5, 3.0, 1.5]
    assert [one["annotator"] for one in item.facts["meta"]["answers"]] == ["u1", "u2"]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"argilla_version": "3.0.1", "records": []}, "3.0.1"),
        ({"text": "x", "prediction": [], "annotation": "y", "annotation_agent": "me", "status": "Validated"}, "0.x"),
        ({"fields": FIELDS, "responses": "u1:response_a", "suggestions": []}, "1.7 to 2.8"),
        (argilla_1(responses=[{"user_id": "u", "status": "archived", "values": {}}]), "archived"),
        ({"id": 1, "data": TASK, "completions": []}, "before 1.0"),
        ({"id": 1, "data": TASK, "annotations": [12, 13]}, "bare ids"),
    ],
)
def test_unknown_versions_are_refused_by_name(tmp_path: Path, row: dict[str, Any], named: str) -> None:
    """What no known version writes is refused as a whole, saying which it is and how to export instead."""
    with pytest.raises(UnsupportedVersion) as refused:
        read(tmp_path, [row])
    assert named in refused.value.reason
    assert "xport" in refused.value.remedy


def test_several_questions_are_asked_about(tmp_path: Path) -> None:
    """Two questions that could both decide are named; none is chosen silently."""
    values = {"better": {"value": "response_a"}, "safer": {"value": "response_b"}}
    row = argilla_1(responses=[{"user_id": "u1", "status": "submitted", "values": values}], suggestions=[])
    with pytest.raises(NotSaid) as refused:
        read(tmp_path, [row])
    assert "“better” (choice)" in refused.value.reason
    assert "“safer” (choice)" in refused.value.reason


def test_answers_without_a_meaning_are_asked_about(tmp_path: Path) -> None:
    """“great” prefers nobody until the user says so; what they say is what counts."""
    row = argilla_1(responses=[{"user_id": "u1", "status": "submitted", "values": {"better": {"value": "great"}}}],
                    suggestions=[])  # fmt: skip
    with pytest.raises(NotSaid):
        read(tmp_path, [row])
    survey = Survey(prompt="prompt", responses=("response_a", "response_b"), question="better", values={"great": 2})
    assert said(only(read(tmp_path, [row], survey)))[0][0] == {"strength": 2}
    bad = read(tmp_path, [row], survey.model_copy(update={"values": {}}))[0]
    assert isinstance(bad, RowError)
    assert "great" in bad.reason


def annotation(selected: str = "left", **more: Any) -> dict[str, Any]:
    """What one person said of a task."""
    result = [
        {"from_name": "better", "to_name": "answer1,answer2", "type": "pairwise", "value": {"selected": selected}}
    ]
    return {
        "completed_by": {"id": 3, "email": "ann@example.org"},
        "created_at": "2024-05-01T12:00:00.000000Z",
        "lead_time": 12.5,
        "was_cancelled": False,
        "result": result,
    } | more


def test_label_studio_tasks_keep_annotators_times_and_seconds(tmp_path: Path) -> None:
    """Annotations are labels, a cancelled one a skip; drafts and predictions are told and left out."""
    draft = {"user": "cy@example.org", "result": annotation()["result"]}
    row = {
        "id": 1,
        "data": TASK | {"source": "web"},
        "annotations": [annotation(), annotation("right", completed_by=8), annotation(was_cancelled=True, result=[]),
                        annotation(result=[], completed_by=9)],
        "drafts": [draft],
        "predictions": [{"model_version": "v2", "result": annotation()["result"]}],
    }  # fmt: skip
    item = only(read(tmp_path, [row]))

    when = "2024-05-01T12:00:00+00:00"
    assert said(item) == [
        ({"strength": 1}, "person", "ann@example.org", when, 12.5),
        ({"strength": -1}, "person", "8", when, 12.5),
        ({"skip": "discarded"}, "person", "ann@example.org", when, 12.5),
    ]
    assert set(item.warnings) == {DRAFT, PREDICTION, NO_ANSWER}
    assert item.facts["meta"] == {"source": "web"}


def test_label_studio_json_min_joins_the_rows_of_a_task(tmp_path: Path) -> None:
    """A row per annotation becomes one item with the labels of all annotators, not one item and doubles."""
    row = TASK | {"id": 5, "annotation_id": 1, "annotator": 3, "lead_time": 4.0, "created_at": "2024-05-01T12:00:00Z"}
    rows = [
        row | {"better": [{"selected": "left"}]},
        row | {"better": [{"selected": "right"}], "annotator": 4, "annotation_id": 2},
        row | {"id": 6, "prompt": "Name a fruit.", "better": [{"selected": "left"}]},
    ]
    first, second = read(tmp_path, rows)
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert [(one[0], one[2]) for one in said(first)] == [({"strength": 1}, "3"), ({"strength": -1}, "4")]
    assert len(second.labels) == 1


def test_label_studio_ranker_and_ratings(tmp_path: Path) -> None:
    """A ranker orders the entries of a list by their ids; ratings need one per answer."""
    data = {"prompt": "Name a color.", "items": [{"id": "x", "body": "Red."}, {"id": "y", "title": "Seven."}]}
    result = [
        {"from_name": "rank", "to_name": "list", "type": "ranker", "value": {"ranker": {"_": [], "rank": ["y", "x"]}}}
    ]
    item = only(read(tmp_path, [{"id": 1, "data": data, "annotations": [annotation(result=result)]}]))
    assert said(item)[0][0] == {"strength": -1}

    ratings = [
        {"from_name": f"rating_{name}", "to_name": name, "type": "rating", "value": {"rating": stars}}
        for name, stars in (("answer1", 2), ("answer2", 4))
    ]
    rated = only(read(tmp_path, [{"id": 1, "data": TASK, "annotations": [annotation(result=ratings)]}]))
    assert said(rated)[0][0] == {"strength": -2}


def test_a_labeling_config_names_the_fields() -> None:
    """Tags and fields are found in the config; what else an XML document could do is not done."""
    config = """<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><View>
      <Text name="q" value="$question"/><Text value='$left' name='l'/><Text name="r" value="$right"/>
      <Pairwise name="better" toName="l,r"/></View>"""
    assert fields_of(config) == {"q": "question", "l": "left", "r": "right"}
    assert sides_of(config) == ("better", ("left", "right"))
    assert sides_of("<" * 100_000) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"created_at": "yesterday"},
        {"lead_time": -4},
        {"lead_time": "long"},
        {"result": "left"},
        {"result": [{"from_name": "r", "value": {"ranker": {"good": ["1"], "bad": ["2"]}}}]},
    ],
)
def test_broken_annotations_are_bad_rows(tmp_path: Path, broken: dict[str, Any]) -> None:
    """A wrong time, duration or result is a bad row with its field, not a guess."""
    survey = Survey(prompt="prompt", responses=("answer1", "answer2"), question="better")
    found = read(tmp_path, [{"id": 1, "data": TASK, "annotations": [annotation(**broken)]}], survey)[0]
    assert isinstance(found, RowError)
