"""What a format can hold of an item, what it cannot, and how the item looks without that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from alignment.formats.canonical import Item, LabelFacts, Message
from alignment.formats.facts import FACTS, RESERVED

WORDS: Final[Mapping[str, str]] = {
    "system": "a system turn",
    "turns": "several turns",
    "tool_calls": "tool calls",
    "tool_turns": "answers of tools",
    "media": "pictures, sound, video or files",
    "call_ids": "ids of tool calls",
    "reasoning": "reasoning",
    "names": "names of speakers",
    "parts": "a turn in several parts",
    "edges": "spaces around a turn, or line ends of Windows",
    "tools": "definitions of tools",
    "meta": "columns of their own",
    "several": "several labels",
    "strengths": "graded strengths",
    "annotators": "names of annotators",
    "label_rationales": "reasons of annotators",
    "seconds": "seconds taken",
    "times": "times of labels",
    "sources": "labels not from a file",
    "refusals": "labels that skip or say both bad",
    "label_aspects": "ratings by aspect",
    "surplus": "labels marked as more than were asked for",
    "rankings": "labels that rank",
    "thumb_labels": "labels of single answers",
    **{name: name.replace("_", " ") for name in FACTS},
    "weight": "weights",
    "soft_label": "soft labels",
    "category": "categories",
    "rationale": "rationales",
    "empty_chosen": "chosen answers without reasoning",
    "empty_rejected": "rejected answers without reasoning",
    "annotator": "names of annotators",
    "desirable": "thumbs",
}
"""What an item may have, in words that follow “3 of 120 rows have …”."""

ESSENTIAL: Final = frozenset({"system", "turns", "tool_calls", "tool_turns", "media"})
"""What an item is not the same without: a format that cannot hold it leaves the whole item out."""

LABELS: Final = frozenset(
    {
        "several",
        "strengths",
        "annotators",
        "label_rationales",
        "seconds",
        "times",
        "sources",
        "refusals",
        "label_aspects",
        "surplus",
        "rankings",
        "thumb_labels",
    }
)
FACT_COLUMNS: Final = frozenset(FACTS) | {"meta", "tools"}
CHAT: Final = ESSENTIAL | {"call_ids", "reasoning", "names", "parts", "edges"}
EVERYTHING: Final = CHAT | LABELS | FACT_COLUMNS
_KEYS: Final = {
    "tool_calls": "tool_calls",
    "reasoning": "reasoning",
    "names": "name",
    "parts": "parts",
}


def traits(item: Item) -> set[str]:
    """What the item has, as keys of WORDS."""
    found = {name for name in item.facts if name != RESERVED}
    if meta := item.facts.get(RESERVED):
        found.update("tools" if name == "tools" else "meta" for name in meta)
    prompt = item.prompt
    if len(prompt) > 1 and (len(prompt) > 2 or prompt[0]["role"] != "system"):
        found.add("turns")
    for turn in prompt:
        if turn["role"] == "system":
            found.add("system")
        elif turn["role"] == "tool":
            found.add("tool_turns")
        _turn_traits(turn, found)
    for turn in item.responses:
        _turn_traits(turn, found)
    if item.labels:
        found |= label_traits(item.labels)
    return found


def label_traits(labels: Sequence[LabelFacts]) -> set[str]:
    """What the labels have, as keys of WORDS."""
    found: set[str] = {"several"} if len(labels) > 1 else set()
    for label in labels:
        _label_traits(label, found)
    return found


def _turn_traits(turn: Message, found: set[str]) -> None:
    content = turn["content"]
    if "\r\n" in content or len(content) != len(content.strip()):
        found.add("edges")
    if len(turn) == 2:
        return
    found.update(trait for trait, key in _KEYS.items() if key in turn)
    if "tool_call_id" in turn or any(isinstance(call, dict) and "id" in call for call in turn.get("tool_calls", ())):
        found.add("call_ids")
    if any(part["type"] != "text" for part in turn.get("parts", ())):
        found.add("media")


def _label_traits(label: LabelFacts, found: set[str]) -> None:
    strength = label.value.get("strength")
    if strength is None:
        found.add("rankings" if "ranking" in label.value else "thumb_labels" if "thumb" in label.value else "refusals")
    elif abs(strength) > 1:
        found.add("strengths")
    if label.source != "import":
        found.add("sources")
    if label.created_at is not None and (label.source != "import" or label.annotator is not None):
        found.add("times")  # a bare choice of a file has only the time of its import
    if label.annotator is not None:
        found.add("annotators")
    if label.rationale is not None:
        found.add("label_rationales")
    if label.seconds is not None:
        found.add("seconds")
    if label.aspects is not None:
        found.add("label_aspects")
    if label.surplus:
        found.add("surplus")


def without(item: Item, lost: set[str]) -> Item:
    """The item less what is `lost` of it (essential traits aside: an item that has those cannot be written)."""
    if not lost:
        return item
    prompt, responses, labels, facts = item.prompt, item.responses, item.labels, item.facts
    if not lost.isdisjoint(CHAT):
        prompt, responses = ([_plainer(turn, lost) for turn in turns] for turns in (prompt, responses))
    if not lost.isdisjoint(LABELS):
        labels = _plainer_labels(labels, lost)
    if not lost.isdisjoint(FACT_COLUMNS):
        facts = _fewer_facts(facts, lost)
    return Item(prompt, responses, labels, facts, item.line, item.id, item.warnings)


def _plainer(turn: Message, lost: set[str]) -> Message:
    plain = cast(dict[str, Any], turn).copy()
    for trait, key in _KEYS.items():
        if trait in lost:
            plain.pop(key, None)
    if "edges" in lost:
        plain["content"] = turn["content"].replace("\r\n", "\n").strip()
    if "call_ids" in lost:
        plain.pop("tool_call_id", None)
        if "tool_calls" in plain:
            plain["tool_calls"] = [
                {name: value for name, value in call.items() if name != "id"} if isinstance(call, dict) else call
                for call in plain["tool_calls"]
            ]
    return cast(Message, plain)


_OTHERS: Final = {"skip": "refusals", "both_bad": "refusals", "ranking": "rankings", "thumb": "thumb_labels"}


def _plainer_labels(labels: Sequence[LabelFacts], lost: set[str]) -> tuple[LabelFacts, ...]:
    gone = {name for name, trait in _OTHERS.items() if trait in lost}
    kept = [label for label in labels if gone.isdisjoint(label.value)]
    if "several" in lost and len(kept) > 1:
        kept = [LabelFacts({"strength": middle(kept)})]
    return tuple(_plainer_label(label, lost) for label in kept)


def middle(labels: Sequence[LabelFacts]) -> int:
    """The mean strength of the labels that have one, rounded; 0 when none has."""
    strengths = [label.value["strength"] for label in labels if "strength" in label.value]
    return round(sum(strengths) / len(strengths)) if strengths else 0


def _plainer_label(label: LabelFacts, lost: set[str]) -> LabelFacts:
    value = label.value
    if "strengths" in lost and "strength" in value:
        value = {"strength": (value["strength"] > 0) - (value["strength"] < 0)}
    return LabelFacts(
        value,
        "import" if "sources" in lost else label.source,
        None if "annotators" in lost else label.annotator,
        None if "label_rationales" in lost else label.rationale,
        None if "seconds" in lost else label.seconds,
        None if "times" in lost else label.created_at,
        "surplus" not in lost and label.surplus,
        None if "label_aspects" in lost else label.aspects,
    )


def _fewer_facts(facts: Mapping[str, Any], lost: set[str]) -> dict[str, Any]:
    found = {name: value for name, value in facts.items() if name not in lost and name != RESERVED}
    meta = {
        name: value
        for name, value in facts.get(RESERVED, {}).items()
        if ("tools" if name == "tools" else "meta") not in lost
    }
    return found | {RESERVED: meta} if meta else found


def stated(holds: frozenset[str]) -> list[str]:
    """What a format that holds just this loses, in sentences for people."""
    without_rows = [WORDS[name] for name in WORDS if name in ESSENTIAL and name not in holds]
    dropped = list(dict.fromkeys(WORDS[name] for name in WORDS if name not in ESSENTIAL and name not in holds))
    said = [f"Rows with {', '.join(without_rows)} are left out."] if without_rows else []
    return [*said, f"Dropped: {', '.join(dropped)}."] if dropped else said
