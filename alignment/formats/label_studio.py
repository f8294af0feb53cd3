"""Exports of Label Studio: JSON (a task with its annotations) and JSON-MIN (a row per annotation)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import BadRow, excerpt, kind_of
from alignment.formats.survey import Answer, Sheet, Status, UnsupportedVersion
from alignment.formats.surveyed import Surveyed, Tool

NAME: Final = "label_studio"
HOW: Final = "Export the project as JSON (all annotations) from Label Studio 1.x."
_MIN: Final = ("annotation_id", "lead_time")
_OF_MIN: Final = frozenset(
    {
        "id",
        "annotator",
        "annotation_id",
        "created_at",
        "updated_at",
        "lead_time",
        "agreement",
        "was_cancelled",
        "history",
    }
)
_UNRANKED: Final = "_"
MAX_CONFIG: Final = 200_000
_TAG: Final = re.compile(r"<\s*([A-Za-z]+)((?:\s+[\w:-]+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*)\s*/?>")
_ATTRIBUTE: Final = re.compile(r"([\w:-]+)\s*=\s*(?:\"([^\"<]*)\"|'([^'<]*)')")


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row is a task of Label Studio or an annotation of its short export."""
    task = isinstance(row.get("data"), dict) and ("annotations" in row or "completions" in row)
    return task or all(name in row for name in _MIN)


def sheet(row: Mapping[str, Any]) -> Sheet:
    """The task of a row.  Raises UnsupportedVersion for exports older than 1.0."""
    if "completions" in row and "annotations" not in row:
        raise UnsupportedVersion("This is an export of Label Studio before 1.0 (it has “completions”).", HOW)
    if isinstance(row.get("data"), dict):
        return _task(row)
    return _short(row)


def _task(row: Mapping[str, Any]) -> Sheet:
    annotations = row.get("annotations") or []
    if not isinstance(annotations, list):
        raise BadRow("annotations", f"A list is expected here, not {kind_of(annotations)}.")
    if any(type(one) is not dict for one in annotations):
        raise UnsupportedVersion("The annotations are bare ids: the export leaves out what was said.", HOW)
    answers = [_annotation(one, f"annotations[{index}]") for index, one in enumerate(annotations)]
    for one in _objects(row.get("drafts")):
        who = _who(one.get("user")) or _who(one.get("created_username"))
        answers.append(_annotation(one, "drafts", "draft", who))
    for one in _objects(row.get("predictions")):
        version = one.get("model_version")
        answers.append(_annotation(one, "predictions", "predicted", None if version is None else str(version)))
    meta = row.get("meta") if isinstance(row.get("meta"), dict) else None
    name = row.get("id")
    return Sheet(row["data"], answers, None if name is None else str(name), dict(meta or {}))


def _objects(given: Any) -> list[dict[str, Any]]:
    return [one for one in given if type(one) is dict] if isinstance(given, list) else []


def _annotation(one: Mapping[str, Any], field: str, status: Status | None = None, who: str | None = None) -> Answer:
    """What one person said of a task, and how long they took; a cancelled annotation is a task somebody skipped."""
    result = one.get("result") or []
    if not isinstance(result, list):
        raise BadRow(f"{field}.result", f"A list is expected here, not {kind_of(result)}.")
    values: dict[str, Any] = {}
    for region in result:
        if isinstance(region, dict) and isinstance(region.get("value"), dict) and region.get("from_name"):
            said = _said(region["value"], region.get("to_name"))
            if said is not None:
                values[str(region["from_name"])] = said
    if status is None:
        status = "discarded" if one.get("was_cancelled") or one.get("skipped") else "submitted"
    return Answer(
        values,
        status,
        who if status in ("draft", "predicted") else _who(one.get("completed_by")),
        one.get("created_at"),
        one.get("lead_time"),
    )


def _who(person: Any) -> str | None:
    """An annotator's email, else their id."""
    if isinstance(person, dict):
        person = person.get("email") or person.get("username") or person.get("id")
    return None if person is None or person == "" else str(person)


def _said(value: Any, to_name: Any = None) -> Any:
    """A choice, a rating, a ranking or a text, out of the shape that its tag has."""
    if not isinstance(value, dict):
        return value
    if isinstance(side := value.get("selected"), str):
        names = str(to_name or "").split(",")
        return names[side == "right"].strip() if len(names) == 2 and side in ("left", "right") else side
    if isinstance(number := value.get("rating", value.get("number")), int | float):
        return number
    for name in ("choices", "text", "taxonomy"):
        if isinstance(given := value.get(name), list):
            return str(given[0]) if len(given) == 1 else (", ".join(map(str, given)) or None)
        if isinstance(given, str):
            return given
    return _ranking(value["ranker"]) if "ranker" in value else None


def _ranking(ranker: Any) -> dict[str, int]:
    """`{response: rank}` of the one bucket that holds the order; what was left in the pool has no rank."""
    buckets = {"": ranker} if isinstance(ranker, list) else ranker
    if not isinstance(buckets, dict) or not all(isinstance(one, list) for one in buckets.values()):
        raise BadRow("ranker", "Lists of the ids of the answers are expected here.")
    filled = {name: order for name, order in buckets.items() if order and name != _UNRANKED}
    if not filled and (pool := buckets.get(_UNRANKED)):
        filled = {_UNRANKED: pool}  # a ranker without buckets
    if len(filled) != 1:
        names = excerpt(", ".join(filled) or "none", 80)
        raise BadRow("ranker", f"The order is spread over buckets ({names}); only one list can be read as a ranking.")
    return {str(name): rank for rank, name in enumerate(next(iter(filled.values())), start=1)}


def _short(row: Mapping[str, Any]) -> Sheet:
    """JSON-MIN: the task's data beside the answers, a row per annotation; cancelled ones are not in it."""
    values, fields = {}, {}
    for name, value in row.items():
        if name in _OF_MIN:
            continue
        said = _unwrapped(value)
        if said is None:
            fields[name] = value
        else:
            values[name] = said
    if not values:  # choices and texts stand bare beside the data
        values = {name: value for name, value in fields.items() if isinstance(value, str) and _short_word(value)}
    task = row.get("id")
    answer = Answer(values, "submitted", _who(row.get("annotator")), row.get("created_at"), row.get("lead_time"))
    return Sheet(fields, [answer], None if task is None else str(task))


def _unwrapped(value: Any) -> Any:
    """The answer in the list of results that JSON-MIN keeps, or None when the column is data."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        shape = value[0].keys() & {"selected", "rating", "ranker", "choices", "number"}
        return _said(value[0]) if shape else None
    if isinstance(value, dict) and isinstance(value.get("choices"), list):
        return _said(value)
    return None


def _short_word(value: str) -> bool:
    return len(value) <= 60 and "\n" not in value


def fields_of(config: str) -> dict[str, str]:
    """Which field of the data each tag of a labeling config shows: `{tag name: field}`.  Not an XML reader: entities,
    doctypes and nesting mean nothing to it, so a config cannot do harm."""
    found: dict[str, str] = {}
    for match in _TAG.finditer(config[:MAX_CONFIG]):
        attributes = {name.lower(): first or second for name, first, second in _ATTRIBUTE.findall(match[2])}
        name, value = attributes.get("name"), attributes.get("value", "")
        if name and value.startswith("$"):
            found[name] = value.removeprefix("$")
    return found


def sides_of(config: str) -> tuple[str, tuple[str, ...]] | None:
    """The control that compares, and the fields that it compares in order; None when the config has none."""
    fields = fields_of(config)
    for match in _TAG.finditer(config[:MAX_CONFIG]):
        if match[1].lower() in ("pairwise", "ranker"):
            attributes = {name.lower(): first or second for name, first, second in _ATTRIBUTE.findall(match[2])}
            names = [name.strip() for name in attributes.get("toname", "").split(",") if name.strip()]
            if attributes.get("name") and names:
                return attributes["name"], tuple(fields.get(name, name) for name in names)
    return None


FORMAT: Final = Surveyed(
    Tool(
        NAME,
        "Label Studio export",
        claims,
        sheet,
        (
            "Each annotation becomes a label with its annotator's email or id, its time, and its lead time as seconds; "
            "a cancelled one a skip.",
            "Drafts and predictions are left out and counted, unless you ask for them.",
            "JSON-MIN has no cancelled annotations, and annotators by number.",
        ),
        '{"id":1,"data":{"prompt":"Name a color.","answer1":"Red.","answer2":"Seven."},"annotations":[{"completed_by":'
        '{"email":"ann@example.org"},"lead_time":12.3,"created_at":"2024-05-01T12:00:00Z","result":[{"from_name":'
        '"better","to_name":"answer1,answer2","type":"pairwise","value":{"selected":"left"}}]}]}',
    )
)
