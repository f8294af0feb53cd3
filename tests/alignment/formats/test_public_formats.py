"""Rows of other tools, in every variant they document: recognized, read as meant, and refused with a reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from alignment import formats
from alignment.formats import (
    FORMATS,
    AmbiguousFormat,
    BadRow,
    Item,
    Message,
    RowError,
    detect,
    helpsteer,
    helpsteer2_preference,
    helpsteer3,
    kto,
    ms_swift,
    nectar,
    openai_preference,
    sharegpt,
    trl_unpaired,
)
from alignment.formats.canonical import CHOSEN_FIRST
from alignment.formats.ranking import RULES
from alignment.formats.writing import CannotWrite, Export

ASKED: Message = {"role": "user", "content": "Name a color."}
FIRST: Message = {"role": "assistant", "content": "Red."}
SECOND: Message = {"role": "assistant", "content": "Blue, I think."}
USER, RED, BLUE = (
    {"role": "user", "content": "Name a color."},
    {"role": "assistant", "content": "Red."},
    {"role": "assistant", "content": "Blue, I think."},
)
SYSTEM = {"role": "system", "content": "Be brief."}
HUMAN, GPT = {"from": "human", "value": "Name a color."}, {"from": "gpt", "value": "Red."}
CALL = {"type": "function", "function": {"name": "paint", "arguments": {"color": "red"}}}
SCORES = dict.fromkeys(helpsteer.ASPECTS, 3)


def said(item: Item) -> tuple[str, list[str], list[str]]:
    return item.kind, [turn["content"] for turn in item.prompt], [one["content"] for one in item.responses]


GOLDEN: list[tuple[str, dict[str, Any], str, list[str], list[str]]] = [
    (
        "ultrafeedback",
        {
            "prompt": "Name a color.",
            "prompt_id": "x1",
            "chosen": [USER, RED],
            "rejected": [USER, BLUE],
            "messages": [USER, RED],
            "score_chosen": 8.5,
            "score_rejected": 6.0,
        },
        "paired",
        ["Name a color."],
        ["Red.", "Blue, I think."],
    ),
    (
        "openai_preference",
        {
            "input": {"messages": [SYSTEM, USER], "tools": [{"type": "function"}], "parallel_tool_calls": True},
            "preferred_output": [RED],
            "non_preferred_output": [BLUE],
        },
        "paired",
        ["Be brief.", "Name a color."],
        ["Red.", "Blue, I think."],
    ),
    (
        "sharegpt",
        {"conversations": [HUMAN], "chosen": GPT, "rejected": {"from": "gpt", "value": "Blue."}, "system": "Be brief."},
        "paired",
        ["Be brief.", "Name a color."],
        ["Red.", "Blue."],
    ),
    (
        "sharegpt",
        {"conversations": [{"from": "system", "value": "S"}, HUMAN, GPT]},
        "demonstrations",
        ["S", "Name a color."],
        ["Red."],
    ),
    (
        "sharegpt",
        {
            "conversations": [
                HUMAN,
                {"from": "function_call", "value": '{"name": "paint", "arguments": {"color": "red"}}'},
                {"from": "observation", "value": "done"},
                GPT,
            ],
            "tools": '[{"name": "paint"}]',
        },
        "demonstrations",
        ["Name a color.", "", "done"],
        ["Red."],
    ),
    (
        "alpaca",
        {"instruction": "Name a color.", "input": "a warm one", "chosen": "Red.", "rejected": "Blue."},
        "paired",
        ["Name a color.\na warm one"],
        ["Red.", "Blue."],
    ),
    (
        "alpaca",
        {"instruction": "And now?", "input": "", "output": "Red.", "system": "S", "history": [["Hi", "Hello"]]},
        "demonstrations",
        ["S", "Hi", "Hello", "And now?"],
        ["Red."],
    ),
    ("kto", {"conversations": [HUMAN, GPT], "kto_tag": True}, "unpaired", ["Name a color."], ["Red."]),
    (
        "kto",
        {"instruction": "Name a color.", "input": "", "output": "Red.", "kto_tag": False},
        "unpaired",
        ["Name a color."],
        ["Red."],
    ),
    ("kto", {"messages": [USER, RED], "label": True}, "unpaired", ["Name a color."], ["Red."]),
    (
        "ms_swift",
        {"messages": [USER, RED], "rejected_response": "Blue."},
        "paired",
        ["Name a color."],
        ["Red.", "Blue."],
    ),
    (
        "ms_swift",
        {"messages": [SYSTEM, USER, RED], "rejected_messages": [SYSTEM, USER, BLUE]},
        "paired",
        ["Be brief.", "Name a color."],
        ["Red.", "Blue, I think."],
    ),
    (
        "ms_swift",
        {"messages": [USER, {"role": "tool_call", "content": '{"name": "f", "arguments": {}}'}]},
        "demonstrations",
        ["Name a color."],
        [""],
    ),
    ("ms_swift", {"messages": [USER]}, "prompts", ["Name a color."], []),
    (
        "trl_unpaired",
        {"prompt": "The sky is", "completion": " blue.", "label": True},
        "unpaired",
        ["The sky is"],
        [" blue."],
    ),
    (
        "trl_unpaired",
        {"prompt": [USER], "completion": [RED], "label": False},
        "unpaired",
        ["Name a color."],
        ["Red."],
    ),
    ("trl_unpaired", {"prompt": "The sky is", "completion": " blue."}, "demonstrations", ["The sky is"], [" blue."]),
    (
        "helpsteer",
        {"prompt": "Hi\n<extra_id_1>Assistant\nHello\n<extra_id_1>User\nA color?", "response": "Red."} | SCORES,
        "demonstrations",
        ["Hi", "Hello", "A color?"],
        ["Red."],
    ),
    (
        "helpsteer2_preference",
        {
            "prompt": "Name a color.",
            "response_1": "Red.",
            "response_2": "Blue.",
            "preference_strength": -2,
            "preference_elaboration": "Warm.",
        },
        "paired",
        ["Name a color."],
        ["Red.", "Blue."],
    ),
    (
        "helpsteer3",
        {
            "domain": "general",
            "language": "english",
            "context": [USER],
            "response1": "Red.",
            "response2": "Blue.",
            "overall_preference": 2,
            "individual_preference": [
                {"score": 2, "reasoning": "r", "feedback1": "f"},
                {"score": 1, "reasoning": "s", "feedback1": "g"},
            ],
        },
        "paired",
        ["Name a color."],
        ["Red.", "Blue."],
    ),
    (
        "nectar",
        {
            "prompt": "\n\nHuman: Name a color.\n\nAssistant: ",
            "answers": [
                {"answer": f"a{rank}", "model": f"m{rank}", "rank": float(rank)} for rank in (1, 2, 2, 4, 5, 6, 7)
            ][:2]
            + [{"answer": f"b{rank}", "model": "m", "rank": float(rank)} for rank in (2, 4, 5, 6, 7)],
            "turns": 1,
            "num_responses": 7,
            "source": ["colors"],
            "good_natured": True,
        },
        "ranked",
        ["Name a color."],
        ["a1", "a2", "b2", "b4", "b5", "b6", "b7"],
    ),
    ("prompts", {"text": "Name a color."}, "prompts", ["Name a color."], []),
]


@pytest.mark.parametrize(("name", "row", "kind", "prompt", "responses"), GOLDEN)
def test_rows_of_other_tools(
    name: str, row: dict[str, Any], kind: str, prompt: list[str], responses: list[str]
) -> None:
    """Each documented variant is recognized by its content and read as its authors mean it."""
    found = detect([row])
    form = FORMATS[name]
    item = form.parse(row)

    assert found.parse(row) == item
    assert said(item) == (kind, prompt, responses)
    assert form.describe(row).startswith(form.TITLE.split()[0])


NO_EXAMPLE_ROW = ("mapped", "prompts", "argilla", "label_studio")  # no JSON, or nothing without a mapping


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in NO_EXAMPLE_ROW])
def test_the_examples_are_rows(name: str) -> None:
    """The example that is shown for a format is a row of it, and nothing is lost when it is written again."""
    form = FORMATS[name]
    row = json.loads(form.EXAMPLE)
    item = form.parse(row)

    assert name == detect([row]).NAME
    export = Export(form, item.kind)
    again = [form.parse(one) for one in export.rows(item)]
    assert [(one.prompt, one.responses) for one in again] == [(item.prompt, item.responses)]
    assert not export.losses.left_out


def test_what_the_numbers_mean() -> None:
    """Strengths, thumbs, ranks, scores and reasons arrive with the sign and place their authors gave them."""
    by_name = {name: FORMATS[name].parse(row) for name, row, *_ in reversed(GOLDEN)}

    assert by_name["helpsteer2_preference"].labels[0].value == {"strength": 2}
    assert by_name["helpsteer2_preference"].labels[0].rationale == "Warm."
    assert [label.value["strength"] for label in by_name["helpsteer3"].labels] == [-2, -1]
    assert by_name["helpsteer3"].facts["meta"]["feedback"] == [{"feedback1": "f"}, {"feedback1": "g"}]
    assert by_name["nectar"].facts["ranks"] == [1, 2, 2, 4, 5, 6, 7]
    assert by_name["ultrafeedback"].facts["scores"] == [8.5, 6.0]
    assert by_name["helpsteer"].facts["aspects"] == [dict.fromkeys(helpsteer.ASPECTS, 3.0)]
    assert by_name["openai_preference"].facts["meta"] == {"tools": [{"type": "function"}]}
    assert [FORMATS[name].parse(row).facts["desirable"] for name, row, *_ in GOLDEN if name == "kto"] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("form", "row", "field", "word"),
    [
        (trl_unpaired, {"prompt": "p", "completion": "c", "label": 1}, "label", "True or false"),
        (trl_unpaired, {"prompt": "p", "completion": ""}, "completion", "empty"),
        (kto, {"conversations": [HUMAN, GPT], "kto_tag": "yes"}, "kto_tag", "True or false"),
        (sharegpt, {"conversations": [{"from": "alien", "value": "x"}]}, "conversations[0].from", "speaker"),
        (sharegpt, {"conversations": [{"from": "function_call", "value": "no"}]}, "conversations[0].value", "JSON"),
        (sharegpt, {"conversations": [HUMAN], "chosen": GPT, "rejected": GPT}, "rejected", "same"),
        (sharegpt, {"conversations": [GPT]}, "conversations", "empty"),
        (openai_preference, {"input": 7, "preferred_output": [RED], "non_preferred_output": [BLUE]}, "input", "object"),
        (
            openai_preference,
            {"input": {"messages": [USER]}, "preferred_output": [RED, RED], "non_preferred_output": [BLUE]},
            "preferred_output",
            "Exactly one",
        ),
        (
            ms_swift,
            {"messages": [USER, RED], "rejected_messages": [SYSTEM, USER, BLUE]},
            "rejected_messages",
            "before their last",
        ),
        (helpsteer, {"prompt": "p", "response": "r"} | SCORES | {"verbosity": None}, "verbosity", "missing"),
        (
            helpsteer2_preference,
            {"prompt": "p", "response_1": "a", "response_2": "b", "preference_strength": 4},
            "preference_strength",
            "-3 to 3",
        ),
        (
            helpsteer3,
            {
                "context": [USER],
                "response1": "a",
                "response2": "b",
                "overall_preference": 1,
                "individual_preference": [{"score": True}],
            },
            "individual_preference[0].score",
            "-3 to 3",
        ),
        (nectar, {"prompt": "Hi", "answers": [{"answer": "a", "rank": 1}]}, "prompt", "before the first"),
        (
            nectar,
            {"prompt": "\n\nHuman: Hi", "answers": [{"answer": "a", "rank": 1}, {"answer": "b"}]},
            "answers[1].rank",
            "missing",
        ),
    ],
)
def test_refusals(form: Any, row: dict[str, Any], field: str, word: str) -> None:
    """What is wrong in a row of another tool is said with its field."""
    with pytest.raises(BadRow) as bad:
        form.parse(row)
    assert bad.value.field == field
    assert word in bad.value.reason


def test_what_could_be_two_formats_is_asked() -> None:
    """Rows that two formats read differently are not guessed: both are named."""
    with pytest.raises(AmbiguousFormat) as found:
        detect([{"prompt": "Hi", "instruction": "Name a color.", "chosen": "Red.", "rejected": "Blue."}])
    assert found.value.candidates == ["alpaca", "trl"]


def test_tool_calls_are_kept_or_the_row_is_left_out() -> None:
    """A tool call goes into formats that have them; elsewhere the row is left out and counted, never cut down."""
    item = Item([ASKED], [{"role": "assistant", "content": "", "tool_calls": [CALL]}, SECOND])
    item.labels = (CHOSEN_FIRST,)
    kept = {
        name for name, form in FORMATS.items() if "paired" in form.KINDS and list(Export(form, "paired").rows(item))
    }

    assert kept == {"native", "pairs", "ultrafeedback", "openai_preference", "sharegpt", "ms_swift", "trl", "mapped"}
    export = Export(FORMATS["hh"], "paired")
    assert not list(export.rows(item))
    assert export.losses.sentences("X") == [
        "1 of 1 rows have tool calls, which Anthropic HH transcripts cannot hold; left out."
    ]


def test_kinds_turn_only_as_stated() -> None:
    """A pair becomes two thumbs, a ranking pairs by a rule that must be named; a prompt becomes nothing else."""
    pair = Item([ASKED], [FIRST, SECOND], (CHOSEN_FIRST,), {"scores": [2.0, 1.0]})
    rows = list(Export(FORMATS["kto"], "paired").rows(pair))
    assert [row["kto_tag"] for row in rows] == [True, False]

    nectar_item = FORMATS["nectar"].parse(json.loads(nectar.EXAMPLE))
    with pytest.raises(CannotWrite, match="which answers"):
        Export(FORMATS["trl"], "ranked")
    counts = {rule: len(list(Export(FORMATS["trl"], "ranked", rule=rule).rows(nectar_item))) for rule in RULES}
    assert counts == {"best_worst": 1, "best_rest": 2, "best_random": 1, "adjacent": 2, "all": 3}
    with pytest.raises(CannotWrite, match="no rows for prompts"):
        Export(FORMATS["nectar"], "prompts")


@pytest.mark.parametrize(
    ("name", "format", "kind", "good"),
    [
        ("unpaired_kto_demo.jsonl", "kto", "unpaired", 155),
        ("corpus_oasst_messages_2.jsonl", "prompts", "prompts", 2088),
    ],
)
def test_public_files(shared_data: Path, name: str, format: str, kind: str, good: int) -> None:
    """Public data of other kinds than pairs is recognized and read whole."""
    found = list(formats.read(shared_data / name))
    assert format == formats.recognize(shared_data / name, formats.sample(shared_data / name)[0]).NAME
    assert sum(isinstance(row, Item) and row.kind == kind for row in found) == good, [
        r for r in found if isinstance(r, RowError)
    ][:3]


def test_the_guide_shows_every_format() -> None:
    """The page about formats has the example row and the notes of each."""
    guide = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    for name, form in FORMATS.items():
        assert f"(`{name}`)" in guide
        assert all(said in guide for said in (form.EXAMPLE, *form.NOTES)), name
