"""Exports of Argilla: records of feedback datasets (1.x, as records or as a Datasets table) and of datasets (2.x)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

import orjson

from alignment.formats.canonical import BadRow, excerpt, kind_of
from alignment.formats.survey import Answer, Sheet, Status, UnsupportedVersion
from alignment.formats.surveyed import Surveyed, Tool

NAME: Final = "argilla"
HOW: Final = (
    "Export it with Argilla 2.x: dataset.records.to_list(flatten=True) written as JSON lines, or dataset.records."
    "to_json(path); with 1.x, FeedbackDataset.format_as(“datasets”).to_json(path)."
)
NO_TIMES: Final = "The export of Argilla 2.x holds no times of answers."
_SUGGESTED: Final = "-suggestion-metadata"  # 1.x, as a table
_USERS: Final = ".responses.users"  # 2.x, flattened
_FLAT: Final = re.compile(r"(.+)\.(responses|suggestion)(\.users|\.status|\.score|\.agent)?$")
_STATUS: Final[Mapping[str, Status]] = {"submitted": "submitted", "draft": "draft", "discarded": "discarded"}
_OLD: Final = ("annotation_agent", "prediction_agent")
_VERSION: Final = ("argilla_version", "argilla")


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row is a record of any Argilla, read or not."""
    nested = isinstance(row.get("fields"), dict) and ("responses" in row or "suggestions" in row)
    return nested or _is_old(row) or _version(row) is not None or _is_table(row) or _is_flat(row)


def _is_old(row: Mapping[str, Any]) -> bool:
    return ("annotation" in row or "prediction" in row) and any(name in row for name in _OLD)


def _is_table(row: Mapping[str, Any]) -> bool:
    return any(name.endswith(_SUGGESTED) and name.removesuffix(_SUGGESTED) in row for name in row)


def _is_flat(row: Mapping[str, Any]) -> bool:
    return any(name.endswith(_USERS) for name in row) or (
        "_server_id" in row and any(name.endswith(".suggestion") for name in row)
    )


def _version(row: Mapping[str, Any]) -> str | None:
    """The version that the row itself states."""
    return next((str(row[name]) for name in _VERSION if isinstance(row.get(name), str | int | float)), None)


def require_version(version: str) -> None:
    """Raise UnsupportedVersion unless exports of this version are known."""
    if version.split(".")[0] not in ("1", "2"):
        raise UnsupportedVersion(
            f"The export says that it comes from Argilla {excerpt(version, 20)}; 1.x and 2.x are known.", HOW
        )


def sheet(row: Mapping[str, Any]) -> Sheet:
    """The record of a row.  Raises UnsupportedVersion for what no known version writes."""
    if (version := _version(row)) is not None:
        require_version(version)
    if _is_old(row):
        raise UnsupportedVersion(
            "These are records of Argilla before feedback datasets (0.x to 1.5: TextClassification, Text2Text), which "
            "hold no responses to compare.",
            f"Migrate them to a dataset with fields and questions first. {HOW}",
        )
    if isinstance(row.get("fields"), dict):
        return _nested(row)
    return _flat(row) if _is_flat(row) else _table(row)


def _nested(row: Mapping[str, Any]) -> Sheet:
    """`fields` apart; responses in a list by user (1.x) or by question (2.x)."""
    responses, suggestions = row.get("responses") or [], row.get("suggestions") or []
    if isinstance(responses, list) and isinstance(suggestions, list | tuple):
        answers = [_response(one, f"responses[{index}]") for index, one in enumerate(responses)]
        agents = [_suggestion(one.get("question_name"), one) for one in suggestions if _suggests(one)]
    elif isinstance(responses, dict | list) and isinstance(suggestions, dict | list):
        given = responses if isinstance(responses, dict) else {}
        answers = _by_user({name: _answers(name, said) for name, said in given.items()})
        told = suggestions if isinstance(suggestions, dict) else {}
        agents = [_suggestion(name, one) for name, one in told.items() if _suggests(one)]
    else:
        raise UnsupportedVersion(
            f"The responses are {kind_of(responses)}: no Argilla from 1.7 to 2.8 writes them so, and the export "
            "does not state its version.",
            HOW,
        )
    name = row.get("id") or row.get("external_id")
    return Sheet(
        row["fields"], [*answers, *agents], None if name is None else str(name), _metadata(row.get("metadata"))
    )


def _response(one: Any, field: str) -> Answer:
    """A user's answers in 1.x: `{user_id, status, values: {question: {value}}}`."""
    if not isinstance(one, dict) or not isinstance(one.get("values") or {}, dict):
        raise BadRow(field, "A response {user_id, status, values} is expected here.")
    values = {
        name: _value(said.get("value") if isinstance(said, dict) else said)
        for name, said in (one.get("values") or {}).items()
    }
    who = one.get("user_id")
    given = {name: said for name, said in values.items() if said is not None}
    when = one.get("updated_at") or one.get("inserted_at")
    return Answer(given, _status(one.get("status"), field), None if who is None else str(who), when)


def _status(status: Any, field: str) -> Status:
    """A response without status was submitted: 2.x leaves it out of its JSON."""
    if status is None:
        return "submitted"
    found = _STATUS.get(str(status).rpartition(".")[2].lower())
    if found is None:
        raise UnsupportedVersion(
            f"{field} has the status {excerpt(status, 30)}, which no Argilla from 1.7 to 2.8 knows.", HOW
        )
    return found


def _value(said: Any) -> Any:
    """A choice, a rating or a text as it is; a ranking as `{response: rank}`."""
    if isinstance(said, dict) and isinstance(said.get("rank"), list) and isinstance(said.get("value"), list):
        return dict(zip(said["value"], said["rank"], strict=False))
    if isinstance(said, list):
        if said and all(isinstance(one, dict) and "rank" in one and "value" in one for one in said):
            return {str(one["value"]): one["rank"] for one in said}
        return said[0] if len(said) == 1 and isinstance(said[0], str) else (", ".join(map(str, said)) or None)
    return said


def _answers(question: str, said: Any) -> list[tuple[str, Any, Any]]:
    """User, value and status of each answer to one question."""
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        raise BadRow(f"responses.{excerpt(question, 40)}", "A list of {user_id, value} is expected here.")
    return [(str(one.get("user_id")), _value(one.get("value")), one.get("status")) for one in said]


def _by_user(questions: Mapping[str, list[tuple[str, Any, Any]]]) -> list[Answer]:
    """The answers of each user to all questions."""
    values: dict[str, dict[str, Any]] = {}
    statuses: dict[str, Any] = {}
    for question, answers in questions.items():
        for who, said, status in answers:
            given = values.setdefault(who, {})
            if said is not None:
                given[question] = said
            statuses[who] = status if status is not None else statuses.get(who)
    return [
        Answer(given, _status(statuses[who], "responses"), None if who == "None" else who)
        for who, given in values.items()
    ]


def _suggests(one: Any) -> bool:
    return isinstance(one, dict) and one.get("value") is not None


def _suggestion(question: Any, one: Mapping[str, Any]) -> Answer:
    said, agent = _value(one.get("value")), one.get("agent")
    return Answer({str(question): said}, "predicted", None if agent is None else str(agent))


def _table(row: Mapping[str, Any]) -> Sheet:
    """1.x as a Datasets table: a column per field and per question."""
    questions = [name.removesuffix(_SUGGESTED) for name in row if name.endswith(_SUGGESTED)]
    answers = _by_user({name: _answers(name, _listed(row.get(name))) for name in questions})
    agents = [
        _suggestion(name, {"value": row[f"{name}-suggestion"]} | (row.get(name + _SUGGESTED) or {}))
        for name in questions
        if row.get(f"{name}-suggestion") is not None
    ]
    kept = {*questions, "metadata", "external_id", "vectors"}
    fields = {name: value for name, value in row.items() if name not in kept and not _about(name, questions)}
    record = row.get("external_id")
    return Sheet(fields, [*answers, *agents], None if record is None else str(record), _metadata(row.get("metadata")))


def _about(name: str, questions: list[str]) -> bool:
    return any(name in (f"{one}-suggestion", one + _SUGGESTED) for one in questions)


def _listed(said: Any) -> Any:
    """A list of answers, also where Datasets has turned it into one list per key."""
    if isinstance(said, dict) and isinstance(users := said.get("user_id"), list):
        values, statuses = (said.get(name) or [None] * len(users) for name in ("value", "status"))
        return [
            {"user_id": user, "value": value, "status": status}
            for user, value, status in zip(users, values, statuses, strict=False)
        ]
    return [] if said is None else said


def _flat(row: Mapping[str, Any]) -> Sheet:
    """2.x flattened: `question.responses` beside `.users` and `.status`; fields and metadata share the columns."""
    found: dict[str, dict[str, Any]] = {}
    fields: dict[str, Any] = {}
    for name, value in row.items():
        if (match := _FLAT.match(name)) is not None:
            found.setdefault(match[1], {})[match[2] + (match[3] or "")] = value
        elif name not in ("id", "_server_id", "status", "score"):
            fields[name] = value
    answers = _by_user({name: _zipped(name, parts) for name, parts in found.items() if parts.get("responses")})
    agents = [
        _suggestion(name, {"value": parts["suggestion"], "agent": parts.get("suggestion.agent")})
        for name, parts in found.items()
        if parts.get("suggestion") is not None
    ]
    record = row.get("id")
    return Sheet(fields, [*answers, *agents], None if record is None else str(record))


def _zipped(question: str, parts: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    values, users = parts["responses"], parts.get("responses.users")
    statuses = parts.get("responses.status") or [None] * len(values)
    if not isinstance(values, list) or not isinstance(users, list) or len(users) != len(values):
        raise BadRow(f"{excerpt(question, 40)}.responses.users", "One user per response is expected here.")
    return [(str(user), _value(value), status) for user, value, status in zip(users, values, statuses, strict=False)]


def _metadata(given: Any) -> dict[str, Any]:
    """Metadata, which 1.x writes as JSON in a text."""
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError:
            given = {"metadata": given}
    return cast(dict[str, Any], given) if isinstance(given, dict) else {}


FORMAT: Final = Surveyed(
    Tool(
        NAME,
        "Argilla export",
        claims,
        sheet,
        (
            "Each person's answer becomes a label with their id or name; a discarded record a skip.",
            "Drafts and suggestions are left out and counted, unless you ask for them.",
            NO_TIMES,
        ),
        '{"fields":{"prompt":"Name a color.","response_a":"Red.","response_b":"Seven."},"responses":[{"user_id":"ann",'
        '"status":"submitted","values":{"better":{"value":"response_a"}}}],"suggestions":[]}',
    )
)
