"""The models of `plumbline.client`, written from the API's own description.

`python -m tests.client_schemas` writes them; a test fails while they differ.
"""

import keyword
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "plumbline" / "client" / "schemas.py"
# What the client's methods return; what these hold comes with them.
WANTED = (
    "MeOut", "ProjectOut", "TokenOut", "NewTokenOut",
    "UploadOut", "ImportOut", "ImportDetail", "DatasetBrief", "DatasetOut", "DatasetDetail", "ItemOut", "LossesOut",
    "ConversionOut", "ConvertPreviewOut", "ConvertedOut", "SnapshotOut", "SnapshotLabelOut", "HubDatasetOut",
    "CardsOut", "SubmittedOut", "UndoneOut", "LabelOut", "DatasetProgress",
    "OutsideLabelsOut", "FeedbackOut", "PolicyPreviewOut",
    "TaskDetail", "TaskOut", "SuggestionsOut", "SuggestionOut", "SuggestedOut", "SuggestionJobOut", "SuggestionSizeOut",
    "CheckpointOut", "LineageOut", "HubModelOut", "FetchOut", "EndpointTestOut",
    "RunOut", "RunRow", "RunDetail", "PreflightOut", "MetricsOut", "EventsOut",
    "JudgeOut", "SizeOut", "EvaluationOut", "ReportOut", "MetersOut", "MatchOut", "MatchCardsOut", "JudgedOut",
    "DivergencesOut", "FrontierOut", "VerdictUndoneOut", "MatchExportOut", "BattleOut",
    "OfferedPromptOut", "TallyOut",
    "RegressionOut", "PromptCheckOut",
    "ExportOut", "PushOut",
)  # fmt: skip
HEADER = '''"""What the API answers, in its own words: written by `python -m tests.client_schemas`, not by hand."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Part of an answer.  Fields that a newer server adds are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)  # built when first read: quick to import


'''
FORMATS = {"uuid": "UUID", "date-time": "datetime"}
TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
Schema = dict[str, Any]


def render(api: Schema) -> str:
    """The module's text for a description of the API."""
    parts: Schema = api["components"]["schemas"]
    names = list(dict.fromkeys(name for wanted in WANTED for name in _with_parts(parts, wanted)))
    return _formatted(HEADER + "\n\n".join(_definition(name, parts[name]) for name in names) + "\n")


def _with_parts(parts: Schema, name: str) -> Iterator[str]:
    """What a schema refers to, however deep, then the schema."""
    for inner in dict.fromkeys(_references(parts[name])):
        yield from _with_parts(parts, inner)
    yield name


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield _name(schema)
        for key, value in schema.items():
            if key != "discriminator":
                yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _definition(name: str, schema: Schema) -> str:
    if "enum" in schema:
        return f"{name} = {_type(schema)}"
    lines = [f"class {name}(Answer):"]
    if "description" in schema:
        lines += [f'    """{schema["description"]}"""', ""]
    needed = set(schema.get("required", ()))
    lines += [_field(field, part, field in needed) for field, part in schema.get("properties", {}).items()]
    return "\n".join(lines) + "\n"


def _field(name: str, schema: Schema, needed: bool) -> str:
    spelled, facts = name, []
    if keyword.iskeyword(name) or name in {"schema", "json", "copy"}:  # names that Python or Pydantic has taken
        spelled, facts = f"{name}_", [f"alias={name!r}"]
    if "description" in schema:
        facts.append(f"description={schema['description']!r}")
    made = {"array": "list", "object": "dict"}.get(schema.get("type", ""))
    if needed or "default" in schema or made is None:
        default = [] if needed else [repr(schema.get("default"))]
    else:
        default, facts = [], [f"default_factory={made}", *facts]
    value = f"Field({', '.join([*default, *facts])})" if facts else "".join(default)
    return f"    {spelled}: {_type(schema)}" + (f" = {value}" if value else "")


def _type(schema: Schema) -> str:
    """A schema as a Python type."""
    if "$ref" in schema:
        return _name(schema)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " | ".join(dict.fromkeys(_type(part) for part in schema[several]))
    if "enum" in schema or "const" in schema:
        return f"Literal[{', '.join(map(repr, schema.get('enum', [schema.get('const')])))}]"
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return f"tuple[{', '.join(map(_type, schema['prefixItems']))}]"
        return f"list[{_type(schema.get('items', {}))}]"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties", True)
        key = _type(schema.get("propertyNames", {"type": "string"}))
        return f"dict[{key}, {'Any' if inner is True else _type(inner)}]"
    if "type" not in schema:
        return "Any"
    return FORMATS.get(schema.get("format", ""), TYPES[schema["type"]])


def _formatted(code: str) -> str:
    for command in (["check", "--fix", "-q", "--select", "I,UP,RUF100"], ["format", "-q"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET), "-"],
            input=code,
            capture_output=True,
            text=True,
            check=True,
        )
        code = done.stdout
    return code


if __name__ == "__main__":
    from backend.app import create_app
    from backend.settings import Settings

    TARGET.write_text(render(create_app(Settings(_env_file=None)).openapi()), encoding="utf-8")
