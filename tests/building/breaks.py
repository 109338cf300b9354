"""What a change of a published schema breaks, for whom it was written: the difference of two schemas, as lines.

Two sides count. A reader made from the old schema reads what is written by the new one: nothing may be gone, wider than
it was, or left out where it always stood. And what was written before goes out as it was stored, to be read by the new
one: nothing may be narrower, or required that was not there. Between the two only additions are left: a field that is
not required, and a word more in a set, for which a reader has a branch (docs/events.md section 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]

_WORDS: Final = ("title", "description", "examples", "$comment", "$id", "$schema", "$defs", "deprecated", "default")
_READ: Final = {
    "$ref",
    "type",
    "anyOf",
    "allOf",
    "enum",
    "const",
    "properties",
    "required",
    "items",
    "additionalProperties",
}


def breaks(old: Schema, new: Schema) -> list[str]:
    """Each thing that breaks somebody, a line; none where it only adds."""
    found = list(_breaks("", (old, old), (new, new)))
    if not found and old["$id"] == new["$id"] and shape_of(old, old) != shape_of(new, new):
        found.append(": it changed, so its minor has to rise")
    if _minor(new) < _minor(old):
        found.append(": its minor fell")
    return found


def shape_of(schema: Schema, root: Schema) -> Any:
    """What it says, without what only people read, and whatever stands behind which reference."""
    return {kind: _said(one, root) for kind, one in sorted(_by_type((schema, root)).items())}


def _said(schema: Schema, root: Schema) -> Any:
    fields = {name: shape_of(value, root) for name, value in sorted(schema.get("properties", {}).items())}
    rest = schema.get("additionalProperties", True)
    return {
        **{name: value for name, value in schema.items() if name not in {*_WORDS, *_READ}},
        "words": _set_of(schema),
        "fields": fields,
        "required": sorted(schema.get("required", [])),
        "items": shape_of(schema["items"], root) if "items" in schema else None,
        "rest": shape_of(rest, root) if isinstance(rest, Mapping) else rest,
    }


def _minor(schema: Schema) -> tuple[int, ...]:
    version = schema["$id"].rpartition("/")[2].removesuffix(".json")
    return tuple(int(part) for part in version.split("."))


_Part = tuple[Schema, Schema]  # a schema, and the root in which its references lead


def _breaks(path: str, old: _Part, new: _Part) -> Iterator[str]:
    before, now = _by_type(old), _by_type(new)
    for gone in before.keys() - now.keys():
        yield f"{path}: is no {gone} any more"
    for come in now.keys() - before.keys():
        yield f"{path}: may be {come} now"
    for kind in before.keys() & now.keys():
        one, other = (before[kind], old[1]), (now[kind], new[1])
        yield from _words(path, before[kind], now[kind])
        yield from _others(path, before[kind], now[kind])
        if kind == "object":
            yield from _objects(path, one, other)
        if kind == "array":
            yield from _breaks(
                f"{path}[]", (before[kind].get("items", {}), old[1]), (now[kind].get("items", {}), new[1])
            )


def _by_type(part: _Part) -> dict[str, Schema]:
    """What it may be, one type each; `any` where it says none."""
    schema, root = part
    if "$ref" in schema:
        target: Any = root
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return _by_type((target, root))
    if "allOf" in schema:
        (one,) = schema["allOf"]  # a reference that has neighbours
        return _by_type((one, root))
    if "anyOf" in schema:
        return {kind: one for choice in schema["anyOf"] for kind, one in _by_type((choice, root)).items()}
    told = schema.get("type", "any")
    return dict.fromkeys([told] if isinstance(told, str) else told, schema)


def _words(path: str, old: Schema, new: Schema) -> Iterator[str]:
    before, now = _set_of(old), _set_of(new)
    if before is None or now is None:
        if now is not None:
            yield f"{path}: is one of a set of words now"
        if before is not None:
            yield f"{path}: is no set of words any more"
        return
    for word in before:
        if word not in now:
            yield f"{path}: has the word {word} no more"


def _set_of(schema: Schema) -> Sequence[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _others(path: str, old: Schema, new: Schema) -> Iterator[str]:
    """Formats, bounds, and whatever else there may be."""
    for name in sorted((old.keys() | new.keys()) - _READ - {*_WORDS}):
        if old.get(name) != new.get(name):
            yield f"{path}: its {name} was {old.get(name)}, and is {new.get(name)}"


def _objects(path: str, old: _Part, new: _Part) -> Iterator[str]:
    before, now = old[0].get("properties", {}), new[0].get("properties", {})
    had, has = set(old[0].get("required", ())), set(new[0].get("required", ()))
    for name in before:
        if name not in now:
            yield f"{path}.{name}: is gone"
            continue
        if name in had - has:
            yield f"{path}.{name}: may be left out now"
        if name in has - had:
            yield f"{path}.{name}: is required now"
        yield from _breaks(f"{path}.{name}", (before[name], old[1]), (now[name], new[1]))
    for name in now.keys() - before.keys():
        if name in has:
            yield f"{path}.{name}: is new, and required"
    yield from _rest(path, old, new)


def _rest(path: str, old: _Part, new: _Part) -> Iterator[str]:
    """Fields without a name: absent and `true` are the same."""
    before, now = old[0].get("additionalProperties", True), new[0].get("additionalProperties", True)
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        yield from _breaks(f"{path}.*", (before, old[1]), (now, new[1]))
    elif isinstance(before, Mapping) or isinstance(now, Mapping) or before != now:
        yield f"{path}.*: is otherwise"
