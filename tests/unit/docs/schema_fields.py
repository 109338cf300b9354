"""The fields of JSON Schemas, each by its path: what docs/events.md says is held against them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

Schema = Mapping[str, Any]

_WORDS: Final = {"string": "text", "array": "list"}  # as the page calls them; others by their own name


@dataclass(frozen=True, slots=True)
class Field:
    """What is said of one field: its types as the page names them, its closed set of words, null, never left out."""

    types: frozenset[str]
    words: frozenset[str]
    null: bool
    always: bool


def fields_of(schemas: Iterable[Schema]) -> dict[str, Field]:
    """Every field of the objects that one of these describes, by its path: `data.call.cdrs[].record_id`.

    What stands at the top of some only may be left out; what lies deeper is of its own kind of object.
    """
    each = [dict(_fields(schema, schema, "")) for schema in schemas]
    found: dict[str, Field] = {}
    for fields in each:
        for path, field in fields.items():
            found[path] = _either(found.get(path, field), field)
    rare = [path for path in found if "." not in path and any(path not in fields for fields in each)]
    return found | {path: replace(found[path], always=False) for path in rare}


def _either(one: Field, other: Field) -> Field:
    return Field(
        types=one.types | other.types,
        words=one.words | other.words,
        null=one.null or other.null,
        always=one.always and other.always,
    )


def _fields(schema: Schema, root: Schema, before: str) -> Iterator[tuple[str, Field]]:
    for part in _parts(schema, root):
        for name, value in part.get("properties", {}).items():
            path = f"{before}{name}"
            yield path, _field(value, root, always=name in part.get("required", ()))
            yield from _fields(value, root, f"{path}.")
            for inner in _parts(value, root):
                yield from _fields(inner.get("items", {}), root, f"{path}[].")


def _field(schema: Schema, root: Schema, *, always: bool) -> Field:
    parts = list(_parts(schema, root))
    types = {kind for part in parts for kind in _types(part)}
    types -= {"integer"} if "number" in types else set()  # which is one
    items = [item for part in parts for item in _parts(part.get("items", {}), root)]
    words = {word for part in (*parts, *items) for word in _enum(part) if isinstance(word, str)}
    return Field(frozenset(types - {"null"}), frozenset(words), null="null" in types, always=always)


def _types(part: Schema) -> set[str]:
    of_words = {bool: "boolean", str: "string", type(None): "null"}
    stated = part.get("type") or [of_words[type(word)] for word in _enum(part)]
    words = _WORDS | ({"string": "time"} if part.get("format") == "date-time" else {})
    return {words.get(name, name) for name in ([stated] if isinstance(stated, str) else stated)}


def _enum(part: Schema) -> list[Any]:
    return [part["const"]] if "const" in part else part.get("enum", [])


def _parts(schema: Schema, root: Schema) -> Iterator[Schema]:
    """What a schema allows, one thing each, without references."""
    if "$ref" in schema:
        target: Any = root
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        yield from _parts(target, root)
        return
    choices = [choice for name in ("anyOf", "oneOf", "allOf") for choice in schema.get(name, ())]
    if not choices:
        yield schema
    for choice in choices:
        yield from _parts(choice, root)
