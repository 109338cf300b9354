"""The JSON Schema (2020-12) of each event, made from the types that it is built by.

Objects are open, so that a field more breaks nobody; a set of words is a definition with a name, so that generators
make a type of it; a field has one type of number. Generators name a type by its title, and make another one where a
reference has neighbours: so a definition has its name as title, and a reference that is described stands in `allOf`.
What every event of any 1.N has is required: what came with a later minor is not, because what was stored before goes
out as it was stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import TypeAdapter

from schemas import vocabulary
from schemas.envelope import JsonObject
from schemas.events.shapes import SHAPES, SINCE, TIMELESS_BEFORE, WITH_REVISION
from schemas.events.versions import DATASCHEMAS, TEST
from schemas.topology import EVENT_TYPES

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NAMED: Final = (
    "TimelineType", "Missing", "Outcome", "Mode", "Direction", "MediaType", "RecordingState", "Action", "DecidedBy",
    "SmsStatus", "Repair", "ChangeReason",
)  # fmt: skip
_WORDS: Final[Mapping[frozenset[str], str]] = {frozenset(get_args(getattr(vocabulary, name))): name for name in _NAMED}
_LEFT_OUT_BEFORE: Final = "since 1.{}, left out in an event of before"
_NULL: Final = {"type": "null"}


def event_schemas() -> dict[str, JsonObject]:
    """The schema of each event, by its short type."""
    return {short_type: event_schema(short_type) for short_type in (*EVENT_TYPES, TEST)}


def event_schema(short_type: str) -> JsonObject:
    """The schema of the events of that type: CloudEvents 1.0 in JSON, whose `data` is a definition of its own."""
    shape = SHAPES[short_type]
    data = TypeAdapter(shape).json_schema()
    name = f"{shape.__name__}Data"
    found = {**data.pop("$defs", {}), name: data}
    parts: dict[str, JsonObject] = {}
    tidied = {
        one: {"title": one, **_object(shape.__name__ if one == name else one, found[one], parts)} for one in found
    }
    attributes = dict(_attributes(short_type))
    attributes["data"] = {"$ref": f"#/$defs/{name}"}
    return {
        "$schema": DIALECT,
        "$id": DATASCHEMAS[short_type],
        "title": shape.__name__,
        "description": data["description"],
        "type": "object",
        "properties": attributes,
        "required": _required("", list(attributes), leave=_not_always(short_type)),
        "$defs": dict(sorted({**tidied, **parts}.items())),
    }


def _attributes(short_type: str) -> Iterator[tuple[str, JsonObject]]:
    yield "specversion", {"const": "1.0", "type": "string"}
    yield "id", _text("The same for every delivery of this event")
    yield "type", {"const": f"callstitch.{short_type}.v1", "type": "string"}
    yield "source", {**_text("/callstitch/<source>"), "format": "uri-reference"}
    if short_type != TEST:
        yield "subject", _text("Whom it is about: <source>:<session id> of a call")
        yield "callid", _text("The same, as an extension attribute")
    yield "time", {**_text("When it happened; by which clock, depends on the type"), "format": "date-time"}
    yield "datacontenttype", {"const": "application/json", "type": "string"}
    yield "dataschema", {**_text("Which schema it follows", since=SINCE[""]["dataschema"]), "format": "uri"}
    if short_type in WITH_REVISION:
        yield "revision", {"type": "integer", "description": "Counts the events about this callid"}


def _text(description: str, *, since: int = 0) -> JsonObject:
    return {"type": "string", "description": _described(description, since)}


def _described(description: str, since: int) -> str:
    return f"{description}; {_LEFT_OUT_BEFORE.format(since)}" if since else description


def _not_always(short_type: str) -> frozenset[str]:
    return frozenset({"time"} if short_type in TIMELESS_BEFORE else ())


def _required(model: str, names: list[str], *, leave: frozenset[str] = frozenset()) -> list[str]:
    return [name for name in names if name not in SINCE.get(model, {}) and name not in leave]


def _object(model: str, schema: JsonObject, parts: dict[str, JsonObject]) -> JsonObject:
    """A definition of an object; `parts` takes up the sets of words that it refers to."""
    since = SINCE.get(model, {})
    properties = {}
    for name, told in schema["properties"].items():
        described = _described(told["description"], since.get(name, 0))
        tidied = _tidy(told, parts)
        properties[name] = {**({"allOf": [tidied]} if "$ref" in tidied else tidied), "description": described}
    return {
        "description": schema["description"],
        "type": "object",
        "properties": properties,
        "required": _required(model, schema.get("required", [])),
    }


def _tidy(schema: Any, parts: dict[str, JsonObject]) -> JsonObject:
    """Without titles; null beside one type as that type or null; a known set of words by its name."""
    plain = {name: value for name, value in schema.items() if name not in ("title", "description")}
    if "enum" in plain:
        word = _WORDS[frozenset(plain["enum"])]
        parts[word] = {"title": word, "type": "string", "enum": list(get_args(getattr(vocabulary, word)))}
        return {"$ref": f"#/$defs/{word}"}
    if "items" in plain:
        plain["items"] = _tidy(plain["items"], parts)
    if isinstance(plain.get("additionalProperties"), dict):
        plain["additionalProperties"] = _tidy(plain["additionalProperties"], parts)
    if "anyOf" in plain:
        choices = [_tidy(choice, parts) for choice in plain["anyOf"]]
        types = [choice for choice in choices if choice != _NULL]
        if len(types) == 1 and _NULL in choices and "type" in types[0]:
            return {**types[0], "type": [types[0]["type"], "null"]}
        plain["anyOf"] = choices
    return plain
