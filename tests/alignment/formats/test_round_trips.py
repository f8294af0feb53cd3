"""Native item → a format's row → item again: equal but for what the format says it loses."""

import json
import string
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alignment import formats
from alignment.formats import FORMATS, Item, LabelFacts, cells, delimited, helpsteer
from alignment.formats.canonical import CHOSEN_FIRST
from alignment.formats.losses import ESSENTIAL, WORDS
from alignment.formats.writing import Export

ODD = [
    "",
    " ",
    "\n",
    "a\r\nb",
    "=1+1",
    "'=1",
    "-5",
    "@x",
    "+",
    '"',
    "a,b;c\td|e",
    "[{",
    "\u2028",
    "🙂",
    "\ufeff",
    "<b>",
]
free = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
anything = free | st.sampled_from(ODD)
words = anything.filter(str.strip)
calls = st.just([{"type": "function", "function": {"name": "f", "arguments": {"x": "ü"}}}]) | st.just(
    [{"id": "c1", "type": "function", "function": {"name": "g", "arguments": "{}"}}, {"name": "odd"}]
)
parts = st.just([{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "x"}}]) | st.just(
    [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
)


@st.composite
def messages(draw: st.DrawFn, roles: list[str], content: st.SearchStrategy[str] = anything) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": draw(st.sampled_from(roles)), "content": draw(content)}
    if draw(st.integers(0, 3)):
        return turn
    turn |= draw(st.fixed_dictionaries({}, optional={"reasoning": words, "name": words, "tool_call_id": words}))
    if turn["role"] == "assistant" and draw(st.booleans()):
        turn |= {"tool_calls": draw(calls), "content": draw(st.sampled_from(["", "Wait."]))}
    elif draw(st.booleans()):
        turn["parts"] = draw(parts)
        turn["content"] = "".join(part.get("text", "") for part in turn["parts"])
    return turn


@st.composite
def prompts(draw: st.DrawFn) -> list[dict[str, Any]]:
    turns = [{"role": "system", "content": draw(words)}] if not draw(st.integers(0, 3)) else []
    if draw(st.booleans()):
        turns += draw(st.lists(messages(["user", "assistant", "tool"]), max_size=3))
    return [*turns, {"role": "user", "content": draw(words)}]


labels = st.builds(
    LabelFacts,
    st.integers(-3, 3).map(lambda strength: {"strength": strength}) | st.just({"both_bad": True}),
    st.sampled_from(["person", "import", "judge", "vote"]),
    st.none() | words,
    st.none() | anything,
    st.none() | st.floats(0, 1e6),
)
columns = st.text(string.ascii_letters + " _é", min_size=1, max_size=12).map(str.strip).filter(bool)


@st.composite
def facts(draw: st.DrawFn, kind: str, count: int) -> dict[str, Any]:
    number = st.floats(-100, 100)
    found: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "weight": st.floats(0, 10),
                "category": words,
                "reference_answer": words,
                "rationale": words,
                "meta": st.dictionaries(columns, words | st.integers(0, 9) | st.lists(words), min_size=1, max_size=3),
            }
            | ({"scores": st.lists(number, min_size=count, max_size=count)} if count else {}),
        )
    )
    if kind == "ranked":
        found["ranks"] = draw(st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.5]), min_size=count, max_size=count))
    if kind == "unpaired":
        found["desirable"] = draw(st.booleans())
    if kind == "demonstrations" and draw(st.booleans()):
        found["aspects"] = [dict.fromkeys(helpsteer.ASPECTS, 3.0)]
    return found


@st.composite
def items(draw: st.DrawFn, kind: str) -> Item:
    count = {"prompts": 0, "demonstrations": 1, "unpaired": 1, "paired": 2}.get(kind) or draw(st.integers(3, 5))
    count = 0 if kind == "prompts" else count
    answers = draw(
        st.lists(
            messages(["assistant"], words), min_size=count, max_size=count, unique_by=lambda one: one["content"].strip()
        )
    )
    for place, answer in enumerate(answers):  # an answer to a call or a picture may say the same as another
        if not answer["content"].strip() or "parts" in answer:
            answer["content"], _ = f"{place}", answer.pop("parts", None)
    said = tuple(draw(st.lists(labels, max_size=3))) if kind == "paired" else ()
    return Item(draw(prompts()), answers, said, draw(facts(kind, count)))  # type: ignore[arg-type]


def ways(kind: str) -> list[tuple[str, str]]:
    """Every format, and style of it, that has rows for a kind."""
    return [(name, style) for name, form in FORMATS.items() if kind in form.KINDS for style in form.STYLES]


def plain(item: Item) -> tuple[Any, ...]:
    return item.prompt, item.responses, tuple(item.labels), item.facts


def read_back(name: str, style: str, rows: list[dict[str, Any]], kind: str) -> list[Item]:
    """The items of rows that went through a file of the format."""
    if name != "mapped":
        return [FORMATS[name].parse(json.loads(json.dumps(row))) for row in rows]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        path.write_bytes(b"".join(delimited.write(rows, cells.header(kind), "\t" if style == "tab" else ",")))
        found = list(formats.read(path))
    for one in found:
        assert isinstance(one, Item), one
    return found  # type: ignore[return-value]


def goes_round(item: Item, name: str, style: str) -> None:
    export = Export(FORMATS[name], item.kind, style=style)
    kept, lost = export.kept(item)
    rows = list(Export(FORMATS[name], item.kind, style=style).rows(item))
    if not rows:
        return
    assert export.target == item.kind
    assert lost <= WORDS.keys() - ESSENTIAL
    again = read_back(name, style, rows, item.kind)
    told = (CHOSEN_FIRST,) if export.decided else tuple(kept[0].labels)
    assert [plain(one) for one in again] == [(kept[0].prompt, kept[0].responses, told, kept[0].facts)], (name, style)


@pytest.mark.parametrize("kind", ["prompts", "demonstrations", "unpaired", "paired", "ranked"])
def test_only_what_is_stated_is_lost(kind: str) -> None:
    """Reading back what any format wrote gives the item less just what was counted as lost."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(items(kind))
    def check(item: Item) -> None:
        for name, style in ways(kind):
            goes_round(item, name, style)

    check()


@pytest.mark.parametrize(("name", "style"), ways("paired"))
def test_a_picture_that_is_asked_about_goes_round(name: str, style: str) -> None:
    """Also where the prompt is what both conversations begin with."""
    shown: Any = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "x"}}]
    answers: Any = [{"role": "assistant", "content": one} for one in ("A cat.", "A dog.")]
    item = Item([{"role": "user", "content": "look", "parts": shown}], answers, (CHOSEN_FIRST,), {})

    goes_round(item, name, style)
