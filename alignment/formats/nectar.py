"""Nectar: a transcript and seven answers of different models, each with its rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import BadRow, Item, kind_of, text
from alignment.formats.facts import RESERVED, check_scores, columns, read_facts
from alignment.formats.helpsteer import whole
from alignment.formats.losses import FACT_COLUMNS
from alignment.formats.messages import response
from alignment.formats.ranking import ranks_of
from alignment.formats.transcript import ASSISTANT, dialogue, transcript

NAME: Final = "nectar"
TITLE: Final = "Nectar rankings"
KINDS: Final = frozenset({"ranked"})
STYLES: Final = {"": frozenset({"turns"}) | FACT_COLUMNS}
DECIDED: Final = True
NOTES: Final = ("Answers that have scores and no ranks are ranked by their scores.",)
EXAMPLE: Final = (
    r'{"prompt":"\n\nHuman: Name a color.\n\nAssistant: ","answers":[{"answer":"Red.","model":"one","rank":1.0},'
    r'{"answer":"Blue, perhaps.","model":"two","rank":2.0},{"answer":"Seven.","model":"three","rank":3.0}],'
    r'"turns":1,"num_responses":3,"source":["colors"],"good_natured":true}'
)
_COLUMNS: Final = frozenset({"prompt", "answers", "ranks", "turns", "num_responses"})
_MODELS: Final = "models"


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    given = row.get("answers")
    return "prompt" in row and isinstance(given, list) and bool(given) and isinstance(given[0], dict)


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    return f"{TITLE}, {len(row['answers'])} answers" if isinstance(row.get("answers"), list) else TITLE


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: answers in their order, with their ranks."""
    asked, warnings = dialogue(_question(row.get("prompt")), "prompt")
    answers = row.get("answers")
    if not isinstance(answers, list) or len(answers) < 2:
        raise BadRow("answers", "A list of two or more answers is expected here.")
    texts, ranks, models = [], [], []
    for index, one in enumerate(answers):
        field = f"answers[{index}]"
        if not isinstance(one, dict):
            raise BadRow(field, f"An answer {{answer, model, rank}} is expected here, not {kind_of(one)}.")
        texts.append(response(one.get("answer"), f"{field}.answer"))
        if one.get("rank") is None:
            raise BadRow(f"{field}.rank", "The rank is missing.")
        ranks.append(one["rank"])
        models.append(one.get("model"))
    facts = read_facts({name: value for name, value in row.items() if name not in _COLUMNS} | {"ranks": ranks})
    check_scores(facts, len(texts))
    if any(model is not None for model in models):
        named = [None if model is None else text(model, "answers.model") for model in models]
        facts[RESERVED] = facts.get(RESERVED, {}) | {_MODELS: named}
    return Item(asked, texts, (), facts, warnings=warnings)


def _question(value: Any) -> str:
    """The transcript less the mark that asks for an answer."""
    return text(value, "prompt").replace("\r\n", "\n").rstrip().removesuffix(ASSISTANT)


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of ranked answers."""
    del style
    meta = item.facts.get(RESERVED, {})
    models = meta.get(_MODELS)
    if isinstance(models, list) and len(models) == len(item.responses) and any(models):
        meta = {name: value for name, value in meta.items() if name != _MODELS}
    else:
        models = [None] * len(item.responses)
    answers = [
        {"answer": one["content"]} | ({} if model is None else {"model": model}) | {"rank": whole(rank)}
        for one, model, rank in zip(item.responses, models, ranks_of(item), strict=True)
    ]
    facts = {name: value for name, value in item.facts.items() if name not in ("ranks", RESERVED)}
    if meta:
        facts[RESERVED] = meta
    asked = {
        "prompt": f"{transcript(item.prompt)}{ASSISTANT} ",
        "answers": answers,
        "turns": sum(turn["role"] == "user" for turn in item.prompt),
        "num_responses": len(answers),
    }
    return asked | columns(facts, _COLUMNS | {_MODELS})
