"""Examples made of a schema: the smallest sensible instance, with words that people know."""

from typing import Any

from backend.reference.words import ID, MOMENT, WORDS

Schema = dict[str, Any]
FORMATS = {"uuid": ID, "date-time": MOMENT, "date": MOMENT[:10]}
DEEPEST = 12


def example(schema: Schema, parts: Schema, name: str = "", *, whole: bool, depth: int = 0) -> Any:
    """An instance of `schema`, whose references are names of `parts`; `whole` has what may be left out, too.

    `name` is the field's, by which a value is chosen where one is known that fits.
    """
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    if "examples" in schema:
        return schema["examples"][0]
    if name in WORDS and WORDS[name] is not None and _may_be(WORDS[name], schema, parts):
        return WORDS[name]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return _one_of(schema[several], parts, name, whole, depth)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if schema.get("type") == "object":
        return _object(schema, parts, whole, depth)
    if schema.get("type") == "array":
        return _array(schema, parts, name, whole, depth)
    return _plain(schema)


def _one_of(choices: list[Schema], parts: Schema, name: str, whole: bool, depth: int) -> Any:
    """Null where the word for the field is null, or where it gets too deep; else the first that is something."""
    empty = {"type": "null"} in choices
    if empty and (depth > DEEPEST or (name in WORDS and WORDS[name] is None)):
        return None
    chosen = next((one for one in choices if one != {"type": "null"}), choices[0])
    return example(chosen, parts, name, whole=whole, depth=depth)


def _object(schema: Schema, parts: Schema, whole: bool, depth: int) -> Any:
    fields = schema.get("properties", {})
    wanted = [name for name in fields if whole or name in schema.get("required", ())]
    made = {name: example(fields[name], parts, name, whole=whole, depth=depth + 1) for name in wanted}
    inner = schema.get("additionalProperties")
    if not fields and isinstance(inner, dict):
        names = schema.get("propertyNames", {})
        key = names.get("enum", [FORMATS.get(names.get("format", ""), "loss")])[0]
        made[key] = example(inner, parts, whole=whole, depth=depth + 1)
    return made


def _array(schema: Schema, parts: Schema, name: str, whole: bool, depth: int) -> Any:
    if "prefixItems" in schema:
        return [example(part, parts, whole=whole, depth=depth + 1) for part in schema["prefixItems"]]
    if depth > DEEPEST:
        return []
    one = example(schema.get("items", {}), parts, name.removesuffix("s"), whole=whole, depth=depth + 1)
    return [one] * max(1, schema.get("minItems", 1))


def _plain(schema: Schema) -> Any:
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return _number(schema, 1 if kind == "integer" else 0.5)
    if kind == "boolean":
        return bool(schema.get("default", False))
    if kind == "string":
        return FORMATS.get(schema.get("format", ""), "text".ljust(schema.get("minLength", 0), "-"))
    return None if kind == "null" else {}


def _number(schema: Schema, usual: float) -> float:
    """The usual one, or the nearest that its bounds allow."""
    least, most = schema.get("minimum", usual), schema.get("maximum", usual)
    return type(usual)(min(max(usual, least), most))


def _may_be(value: Any, schema: Schema, parts: Schema) -> bool:
    """Whether a word is of the schema's type; bounds are not looked at."""
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return any(_may_be(value, one, parts) for one in schema[several])
    if "enum" in schema or "const" in schema or schema.get("format") in FORMATS:
        return value in schema.get("enum", [schema.get("const")])
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items", {})
        return isinstance(value, list) and all(_may_be(one, items, parts) for one in value)
    if kind == "object":
        # A model has fields of its own; only what is open takes any object.
        open_to_all = "properties" not in schema and schema.get("additionalProperties", True) is True
        return isinstance(value, dict) and open_to_all
    known: dict[Any, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float)}
    return isinstance(value, known.get(kind, ()))
