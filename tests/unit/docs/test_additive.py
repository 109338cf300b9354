"""A change of the events is an addition: held against the commit before, and the last tag."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

import pytest

from console.contract.export import COMMITTED
from console.contract.schemas import event_schemas
from tests.building.breaks import breaks
from tests.building.pages import ROOT
from tests.building.schemas import problems

SCHEMAS: Final = event_schemas()
ID: Final = "https://callstitch.dev/schemas/call.completed/1.{}.json"
OLD: Final[Mapping[str, Any]] = {
    "$id": ID.format(1),
    "title": "CallCompleted",
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "Which one"},
        "at": {"type": "string", "format": "date-time"},
        "outcome": {"$ref": "#/$defs/Outcome"},
        "mode": {"anyOf": [{"$ref": "#/$defs/Mode"}, {"type": "null"}]},
        "seconds": {"type": ["number", "null"]},
        "code": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
        "rows": {"type": "array", "items": {"$ref": "#/$defs/Row"}},
        "raw": {"type": "object", "additionalProperties": True},
    },
    "required": ["id", "outcome", "mode", "seconds", "code", "rows"],
    "$defs": {
        "Outcome": {"type": "string", "enum": ["answered", "busy"]},
        "Mode": {"type": "string", "enum": ["AX", "AXB"]},
        "Row": {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
    },
}
GONE: Final = object()


def changed(*changes: tuple[str, Any], minor: int = 2) -> dict[str, Any]:
    """OLD with other values at these paths, or without them."""
    new: Any = deepcopy(OLD)
    new["$id"] = ID.format(minor)
    for path, value in changes:
        *way, last = path.split("/")
        inner = new
        for name in way:
            inner = inner[name]
        if value is GONE:
            del inner[last]
        else:
            inner[last] = value
    return dict(new)


@pytest.mark.parametrize(
    "changes",
    [
        [("properties/late", {"type": "boolean"})],
        [("$defs/Row/properties/name", {"type": ["string", "null"]})],
        [("$defs/Outcome/enum", ["answered", "busy", "declined"])],
        [("properties/id/description", "The same for every delivery"), ("title", "Completed")],
        [("properties/raw", {"type": "object"})],
        [("properties/outcome", {"allOf": [{"$ref": "#/$defs/Outcome"}], "description": "How it ended"})],
        [("properties/outcome", {"type": "string", "enum": ["answered", "busy"]})],
        [("properties/seconds", {"anyOf": [{"type": "number"}, {"type": "null"}]})],
        [("required", ["rows", "code", "seconds", "mode", "outcome", "id"])],
    ],
)
def test_an_addition_breaks_nobody(changes: list[tuple[str, Any]]) -> None:
    assert breaks(OLD, changed(*changes)) == []


@pytest.mark.parametrize(
    ("path", "value", "broken"),
    [
        ("properties/at", GONE, ".at: is gone"),
        ("$defs/Row/properties/key", GONE, ".rows[].key: is gone"),
        ("required", ["outcome", "mode", "seconds", "code", "rows"], ".id: may be left out now"),
        ("required", ["id", "at", "outcome", "mode", "seconds", "code", "rows"], ".at: is required now"),
        ("$defs/Row", {**OLD["$defs"]["Row"], "required": []}, ".rows[].key: may be left out now"),
        ("properties/id", {"type": "integer"}, ".id: is no string any more"),
        ("properties/id", {"type": ["string", "null"]}, ".id: may be null now"),
        ("properties/seconds", {"type": "number"}, ".seconds: is no null any more"),
        ("properties/seconds", {"type": ["integer", "null"]}, ".seconds: is no number any more"),
        ("properties/code", {"type": ["string", "null"]}, ".code: is no integer any more"),
        ("properties/mode", {"$ref": "#/$defs/Mode"}, ".mode: is no null any more"),
        ("properties/id", {}, ".id: may be any now"),
        ("$defs/Outcome/enum", ["answered"], ".outcome: has the word busy no more"),
        ("$defs/Mode/enum", ["AX"], ".mode: has the word AXB no more"),
        ("properties/outcome", {"type": "string"}, ".outcome: is no set of words any more"),
        ("properties/id", {"type": "string", "const": "1"}, ".id: is one of a set of words now"),
        ("properties/at", {"type": "string"}, ".at: its format was date-time, and is None"),
        ("properties/id", {"type": "string", "format": "uuid"}, ".id: its format was None, and is uuid"),
        ("properties/rows", {**OLD["properties"]["rows"], "minItems": 1}, ".rows: its minItems was None, and is 1"),
        ("properties/rows/items", {"type": "string"}, ".rows[]: is no object any more"),
        ("properties/raw", {"type": "object", "additionalProperties": False}, ".raw.*: is otherwise"),
        ("$defs/Row", {**OLD["$defs"]["Row"], "additionalProperties": False}, ".rows[].*: is otherwise"),
    ],
)
def test_whatever_else_changes_breaks_somebody(path: str, value: Any, broken: str) -> None:
    assert broken in breaks(OLD, changed((path, value)))


def test_a_new_field_that_is_required_is_missing_in_what_was_stored_before() -> None:
    new = changed(("properties/late", {"type": "boolean"}), ("required", [*OLD["required"], "late"]))
    assert breaks(OLD, new) == [".late: is new, and required"]


def test_an_addition_raises_the_minor_and_words_for_people_do_not() -> None:
    assert breaks(OLD, changed(("properties/late", {"type": "boolean"}), minor=1)) != []
    assert breaks(OLD, changed(("$defs/Outcome/enum", ["answered", "busy", "declined"]), minor=1)) != []
    assert breaks(OLD, changed(("properties/id/description", "other"), minor=1)) == []
    assert breaks(OLD, changed(("properties/outcome", {"allOf": [{"$ref": "#/$defs/Outcome"}]}), minor=1)) == []
    assert breaks(OLD, changed(minor=0)) != []


def git(*arguments: str) -> bytes | None:
    """What it prints; None where it fails, as without a history."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def commits_before() -> list[str]:
    """That which is worked on, the one before it, and the last tag: as far as they are there."""
    tag = git("describe", "--tags", "--abbrev=0", "HEAD~1")
    names = ["HEAD", "HEAD~1", *([tag.decode().strip()] if tag else [])]
    return [name for name in names if git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") is not None]


def committed(commit: str) -> dict[str, Any]:
    """The files of docs/contract at that commit, by their path; none where it had none."""
    packed = git("archive", commit, str(COMMITTED))
    if packed is None:
        return {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        files = {one.name: tar.extractfile(one) for one in tar.getmembers() if one.isfile()}
        return {
            name.removeprefix(f"{COMMITTED}/"): json.loads(file.read())
            for name, file in files.items()
            if file is not None
        }


def test_the_history_is_there_where_ci_looks_at_it() -> None:
    """A clone of one commit alone would compare nothing: fetch-depth."""
    in_ci = os.environ.get("GITHUB_ACTIONS") == "true"
    assert not in_ci or len(commits_before()) > 1


def test_no_event_breaks_whoever_reads_it_by_the_schema_of_before() -> None:
    for commit in commits_before():
        before = {path: old for path, old in committed(commit).items() if path.startswith("schemas/")}
        for path, old in before.items():
            name = path.removeprefix("schemas/").removesuffix(".json")
            assert name in SCHEMAS, f"{name} of {commit} is gone"
            assert breaks(old, SCHEMAS[name]) == [], f"{name} against {commit}"


def test_the_golden_events_of_before_are_what_the_schemas_of_today_say() -> None:
    """As what was stored before goes out as it was stored."""
    for commit in commits_before():
        events = {path: event for path, event in committed(commit).items() if path.startswith("events/")}
        assert {path: problems(event) for path, event in events.items() if problems(event)} == {}
