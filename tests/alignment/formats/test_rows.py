"""Each format: what its rows mean, what it refuses, and that writing and reading give the same item back."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment import formats
from alignment.formats import (
    FORMATS,
    BadRow,
    Item,
    LabelFacts,
    RowError,
    UnknownFormat,
    detect,
    hh,
    native,
    pairs,
    parquet,
    trl,
)
from alignment.formats.canonical import content_hash, hash_of
from alignment.formats.facts import FACTS
from alignment.formats.losses import stated
from alignment.formats.snapshot import FACT_TYPES

USER = {"role": "user", "content": "What color is the sky?"}
BLUE, GREEN = {"role": "assistant", "content": "It is blue."}, {"role": "assistant", "content": "It is green."}
HH = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Name a color."


def contents(item: Item) -> tuple[list[str], list[str]]:
    return [turn["content"] for turn in item.prompt], [answer["content"] for answer in item.responses]


@pytest.mark.parametrize(
    ("row", "format", "prompt", "responses"),
    [
        (
            {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
            "trl",
            ["The sky is"],
            [" blue.", " green."],
        ),
        ({"chosen": "The sky is blue.", "rejected": "The sky is black."}, "trl", ["The sky is"], [" blue.", " black."]),
        (
            {"prompt": [USER], "chosen": [BLUE], "rejected": [GREEN]},
            "trl",
            [USER["content"]],
            ["It is blue.", "It is green."],
        ),
        ({"prompt": [USER], "chosen": "Blue.", "rejected": "Green."}, "trl", [USER["content"]], ["Blue.", "Green."]),
        (
            {"chosen": [USER, BLUE], "rejected": [USER, GREEN]},
            "trl",
            [USER["content"]],
            ["It is blue.", "It is green."],
        ),
        (
            {"prompt": USER["content"], "chosen": [USER, BLUE], "rejected": [USER, GREEN], "messages": [USER, BLUE]},
            "trl",
            [USER["content"]],
            ["It is blue.", "It is green."],
        ),
        ({"prompt": "Only asked"}, "trl", ["Only asked"], []),
        (
            {"chosen": f"{HH}\n\nAssistant: Red", "rejected": f"{HH}\n\nAssistant: Rude"},
            "hh",
            ["Hi", "Hello.", "Name a color."],
            ["Red", "Rude"],
        ),
        ({"prompt": "p", "response_a": "a", "response_b": "b", "label": "b"}, "pairs", ["p"], ["a", "b"]),
        ({"prompt": "p", "responses": ["a", "b"]}, "native", ["p"], ["a", "b"]),
    ],
)
def test_shapes(row: dict[str, Any], format: str, prompt: list[str], responses: list[str]) -> None:
    """Every public shape is recognized by content and means what its authors say."""
    form = detect([row])
    assert format == form.NAME
    assert contents(form.parse(row)) == (prompt, responses)
    assert form.describe(row)


@pytest.mark.parametrize(
    ("form", "row", "field", "word"),
    [
        (trl, {"prompt": "p", "chosen": "a", "rejected": "a "}, "rejected", "same"),
        (trl, {"prompt": "p", "chosen": "", "rejected": "a"}, "chosen", "empty"),
        (trl, {"prompt": "", "chosen": "b", "rejected": "a"}, "prompt", "empty"),
        (trl, {"prompt": [], "chosen": "b", "rejected": "a"}, "prompt", "empty"),
        (trl, {"prompt": 7, "chosen": "b", "rejected": "a"}, "prompt", "a number"),
        (trl, {"prompt": "p", "chosen": True, "rejected": "a"}, "chosen", "true or false"),
        (trl, {"prompt": [BLUE], "chosen": "b", "rejected": "a"}, "prompt", "user"),
        (
            trl,
            {"prompt": [USER, {"role": "system", "content": "s"}, USER], "chosen": "b", "rejected": "a"},
            "prompt[1].role",
            "start",
        ),
        (trl, {"prompt": [USER], "chosen": [USER], "rejected": "a"}, "chosen", "assistant"),
        (trl, {"prompt": [USER], "chosen": [BLUE, USER, BLUE], "rejected": "a"}, "chosen", "3 messages"),
        (trl, {"prompt": [USER | {"colour": "x"}], "chosen": "b", "rejected": "a"}, "prompt[0].colour", "no key"),
        (trl, {"prompt": "p", "chosen": "b", "rejected": "a", "soft_label": 1.5}, "soft_label", "0 to 1"),
        (trl, {"prompt": "p", "chosen": "b", "rejected": "a", "weight": -1}, "weight", "0 or more"),
        (trl, {"prompt": "p", "chosen": "b", "rejected": "a", "margin": True}, "margin", "number"),
        (trl, {"prompt": "p", "chosen": "b", "rejected": "a", "votes": 1.5}, "votes", "whole"),
        (trl, {"prompt": "p", "chosen": "b", "rejected": "a", "scores": [1]}, "scores", "1 scores for 2"),
        (trl, {"prompt": "p", "chosen": "b", "rejected": "a", "margin": 10**400}, "margin", "large"),
        (trl, {"chosen": "blue", "rejected": "green"}, "chosen", "no beginning"),
        (trl, {"chosen": [USER, BLUE], "rejected": "x"}, "rejected", "both"),
        (
            hh,
            {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"},
            "chosen",
            "share no beginning",
        ),
        (
            hh,
            {"chosen": f"{HH}\n\nAssistant: a\n\nHuman: b\n\nAssistant: c", "rejected": f"{HH}\n\nAssistant: d"},
            "chosen",
            "more than one",
        ),
        (hh, {"chosen": f"{HH}\n\nAssistant:", "rejected": f"{HH}\n\nAssistant: d"}, "chosen", "empty"),
        (
            hh,
            {"chosen": f"System.{HH}\n\nAssistant: a", "rejected": f"System.{HH}\n\nAssistant: d"},
            "chosen",
            "before the first",
        ),
        (hh, {"chosen": "\n\nAssistant: a", "rejected": "\n\nAssistant: d"}, "chosen", "human"),
        (
            native,
            {"prompt": "p", "responses": ["a"], "labels": [{"value": {"strength": 1}}]},
            "labels[0].value",
            "thumb",
        ),
        (
            native,
            {"prompt": "p", "responses": [], "labels": [{"value": {"strength": 1}}]},
            "labels[0].value",
            "none here",
        ),
        (native, {"prompt": "p", "responses": ["a", "a"]}, "responses[1]", "same"),
        (native, {"prompt": "p", "responses": ["a", "b"], "label": 1}, "label", "no such key"),
        (
            native,
            {"prompt": "p", "responses": ["a", "b"], "labels": [{"value": {"strength": 4}}]},
            "labels[0].value",
            "-3 to 3",
        ),
        (
            native,
            {"prompt": "p", "responses": ["a", "b"], "labels": [{"value": {"strength": True}}]},
            "labels[0].value",
            "-3 to 3",
        ),
        (
            native,
            {"prompt": "p", "responses": ["a", "b"], "labels": [{"value": {"strength": 1}, "source": "god"}]},
            "labels[0].source",
            "one of",
        ),
        (pairs, {"prompt": "p", "response_a": "a", "response_b": "b", "label": "c"}, "label", "a, b or tie"),
        (
            pairs,
            {"prompt": "p", "response_a": "a", "response_b": "b", "annotations": [["x"]]},
            "annotations[0]",
            "annotator",
        ),
    ],
)
def test_refusals(form: Any, row: dict[str, Any], field: str, word: str) -> None:
    """What cannot be an item is refused with the field at fault and a sentence about it."""
    with pytest.raises(BadRow) as bad:
        form.parse(row)
    assert bad.value.field == field
    assert word in bad.value.reason


def test_hh_cuts_at_the_last_shared_answer() -> None:
    """A marker inside the shared dialogue is a turn; only the last shared one begins the answers."""
    item = hh.parse({"chosen": f"{HH}\n\nAssistant: It is red", "rejected": f"{HH}\n\nAssistant: It is rude"})

    assert contents(item)[1] == ["It is red", "It is rude"]


def test_scores_against_the_choice_are_noticed() -> None:
    """A chosen response that scores no higher is kept, with a warning."""
    item = trl.parse({"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 3, "score_rejected": 3})

    assert item.facts == {"scores": [3.0, 3.0]}
    assert item.warnings


def test_several_annotators() -> None:
    """Annotations become one label each, with the annotator's name."""
    item = pairs.parse(
        {
            "prompt": "p",
            "response_a": "x",
            "response_b": "y",
            "annotations": [["w1", "a"], {"annotator": "w2", "label": "tie"}],
        }
    )

    assert item.labels == (LabelFacts({"strength": 1}, annotator="w1"), LabelFacts({"strength": 0}, annotator="w2"))


def test_parts_stay_with_their_text() -> None:
    """Parts are kept as they are, and their text is what the turn says; parts of no known type are refused."""
    parts = [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
        {"type": "image_url", "image_url": "http://x"},
    ]
    item = trl.parse({"prompt": [{"role": "user", "content": parts}]})

    assert (contents(item)[0], item.prompt[0]["parts"], item.has_media) == (["ab"], parts, True)
    assert trl.parse(trl.render(item)) == item
    assert trl.parse({"prompt": [{"role": "user", "content": parts[:1]}]}).prompt == [{"role": "user", "content": "a"}]
    with pytest.raises(BadRow, match="type"):
        trl.parse({"prompt": [{"role": "user", "content": [{"type": "smell"}]}]})


def test_unknown_columns_are_named() -> None:
    """No format is guessed; the columns found are told."""
    with pytest.raises(UnknownFormat, match="reply, said"):
        detect([{"said": "q", "reply": "a"}])
    with pytest.raises(UnknownFormat):
        formats.named("trll")


def test_equal_items_have_equal_hashes() -> None:
    """Order of keys and of responses does not matter to the content's hash; a letter does."""
    one = native.parse({"prompt": [USER], "responses": [BLUE, GREEN]})
    turned = native.parse({"responses": [GREEN, BLUE], "prompt": [dict(reversed(USER.items()))]})
    other = native.parse({"prompt": [USER], "responses": [BLUE, GREEN | {"content": "It is Green."}]})

    assert one.content_hash == turned.content_hash != other.content_hash
    assert one.prompt_hash == hash_of([USER])
    assert content_hash(one.prompt_hash, one.responses) == one.content_hash
    with pytest.raises(BadRow, match="surrogate"):
        hash_of("\ud800")


def test_every_fact_has_a_column() -> None:
    """What an item may say, a snapshot can hold."""
    assert FACT_TYPES.keys() == FACTS.keys()


def test_every_format_states_its_losses() -> None:
    """Each part of the catalogue has a name, a title and its losses."""
    for name, form in FORMATS.items():
        said = [*form.NOTES, *stated(next(iter(form.STYLES.values())))]
        assert (form.NAME, bool(form.TITLE), bool(said or name == "native")) == (name, True, True)


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip)
turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool"]), "content": words},
    optional={"reasoning": words, "name": words, "tool_calls": st.just([{"name": "f", "arguments": {"x": 1}}])},
)
labels = st.builds(
    LabelFacts,
    st.one_of(
        st.integers(-3, 3).map(lambda strength: {"strength": strength}),
        st.just({"both_bad": True}),
        words.map(lambda reason: {"skip": reason}),
    ),
    st.sampled_from(["person", "import", "judge", "vote"]),
    st.none() | words,
    st.none() | words,
    st.none() | st.floats(0, 1e6),
)
facts = st.fixed_dictionaries(
    {},
    optional={
        "weight": st.floats(0, 10),
        "scores": st.lists(st.floats(-5, 5), min_size=2, max_size=2),
        "category": words,
        "meta": st.dictionaries(words, words | st.integers(0, 9), min_size=1, max_size=3),
    },
)


@st.composite
def items(draw: st.DrawFn) -> Item:
    prompt = [*draw(st.lists(turns, max_size=3)), {"role": "user", "content": draw(words)}]
    first, second = draw(st.lists(words, min_size=2, max_size=2, unique_by=str.strip))
    responses = [{"role": "assistant", "content": first}, {"role": "assistant", "content": second}]
    return Item(prompt, responses, tuple(draw(st.lists(labels, max_size=4))), draw(facts))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(items())
def test_native_rows_lose_nothing(item: Item) -> None:
    """Whatever an item holds, native JSON gives it back."""
    assert native.parse(json.loads(json.dumps(native.render(item)))) == item


@settings(deadline=None, max_examples=60)
@given(items())
def test_parquet_loses_nothing(item: Item) -> None:
    """Whatever an item holds, our Parquet columns give it back."""
    target = io.BytesIO()
    parquet.write([item], target)
    found = [parquet.plain(row) for row in pq.read_table(io.BytesIO(target.getvalue())).to_pylist()]

    assert [native.parse(row) for row in found] == [item]


@settings(deadline=None, max_examples=60)
@given(items())
def test_trl_keeps_the_conversation(item: Item) -> None:
    """TRL rows keep prompt, both responses and facts of a decided pair."""
    again = trl.parse(json.loads(json.dumps(trl.render(item))))

    assert (again.prompt, again.responses) == (item.prompt, item.responses)
    assert {k: v for k, v in again.facts.items() if k != "meta"} == {k: v for k, v in item.facts.items() if k != "meta"}


def test_hh_round_trip() -> None:
    """A plain dialogue comes back from a transcript; what a transcript cannot say is refused, not dropped."""
    row = {"chosen": f"{HH}\n\nAssistant: Red", "rejected": f"{HH}\n\nAssistant: Rude"}
    assert hh.render(hh.parse(row)) == row
    with pytest.raises(BadRow):
        hh.render(Item([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}], [BLUE, GREEN]))  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("name", "format", "good", "bad"),
    [
        ("pairwise_hh_helpful.jsonl", "trl", 2286, 0),
        ("pairwise_hh_raw_format.jsonl", "hh", 86, 2),
        ("pairwise_hh_harmless.jsonl", "trl", 1202, 0),
        ("pairwise_llmbar.jsonl", "pairs", 280, 0),
        ("multiannot_ukp_inline.jsonl", "pairs", 1597, 3),
    ],
)
def test_public_files(shared_data: Path, name: str, format: str, good: int, bad: int) -> None:
    """Public data is recognized and read whole."""
    path = shared_data / name
    assert format == detect(row.values for row in formats.sample(path)[0]).NAME
    found = list(formats.read(path))
    assert (sum(isinstance(row, Item) for row in found), sum(isinstance(row, RowError) for row in found)) == (good, bad)
