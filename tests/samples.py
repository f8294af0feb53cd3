"""The smallest thing that a JSON schema allows."""

from typing import Any

FORMATS = {"uuid": "01890000-0000-7000-8000-000000000001", "date-time": "2026-01-01T00:00:00Z"}
PLAIN = {"string": "text", "integer": 1, "number": 0.5, "boolean": False, "null": None}
Schema = dict[str, Any]


def sample(schema: Schema, definitions: Schema) -> Any:
    """An instance of `schema`, whose references are names of `definitions`; only what must be there is."""
    if "$ref" in schema:
        return sample(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return sample(schema[several][0], definitions)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: sample(parts[name], definitions) for name in schema.get("required", ())}
    if kind == "array":
        return [sample(part, definitions) for part in schema.get("prefixItems") or [schema.get("items", {})]]
    return FORMATS.get(schema.get("format", ""), PLAIN.get(str(kind), {}))
