"""docs/contract is what `callstitch contract export` writes, and its golden events are what its schemas say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from jsonschema import Draft202012Validator

from console.contract.export import COMMITTED, contract_files, export, leftovers
from console.contract.golden import SCENES
from console.contract.schemas import event_schemas
from schemas.events.versions import DATASCHEMAS, TEST
from schemas.privacy.view import Manner, View
from schemas.topology import EVENT_TYPES
from schemas.vocabulary import Outcome
from tests.building import contract
from tests.building.pages import ROOT
from tests.building.schemas import problems
from tests.compat.recorded import recorded_events

FILES: Final = contract_files()
SCHEMAS: Final = event_schemas()
GOLDEN: Final[Mapping[str, Any]] = {
    path.removeprefix("events/").removesuffix(".json"): json.loads(text)
    for path, text in FILES.items()
    if path.startswith("events/")
}


def test_what_is_committed_is_what_the_code_makes() -> None:
    """Else: `make contract`."""
    there = {path: (ROOT / COMMITTED / path).read_text() for path in FILES if (ROOT / COMMITTED / path).exists()}
    assert [path for path in FILES if there.get(path) != FILES[path]] == [], "make contract"
    assert leftovers(ROOT / COMMITTED, FILES) == [], "make contract"


def test_an_export_leaves_alone_what_it_does_not_write(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "mine.json").write_text("{}")
    export(tmp_path, FILES)
    assert leftovers(tmp_path, FILES) == [tmp_path / "schemas" / "mine.json"]
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.json")} == {*FILES, "schemas/mine.json"}


def test_each_event_has_a_schema_under_the_name_that_it_tells() -> None:
    assert {name: schema["$id"] for name, schema in SCHEMAS.items()} == dict(DATASCHEMAS)
    assert SCHEMAS.keys() == {*EVENT_TYPES, TEST}


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema."""
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts(inner)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_open_titles_its_definitions_alone_and_has_one_type_of_number_a_field(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    inner = [part for part in parts(schema) if part is not schema]
    titled = [part["title"] for part in inner if isinstance(part.get("title"), str)]
    assert titled == list(schema["$defs"]), "by these generators name types, and by nothing else"
    assert [part for part in inner if "$ref" in part and len(part) > 1] == [], "generators make another type of it"
    assert [part for part in inner if part.get("additionalProperties") is False] == []
    either = [part["anyOf"] for part in inner if isinstance(part.get("anyOf"), list)]
    assert [parts for parts in either if {"integer", "number"} <= {part.get("type") for part in parts}] == []
    words = [part["enum"] for part in inner if isinstance(part.get("enum"), list)]
    named = [part["enum"] for part in schema["$defs"].values() if "enum" in part]
    assert words == named, "a set of words has a name"


def test_an_outcome_is_one_of_nine_words() -> None:
    assert SCHEMAS["call.completed"]["$defs"]["Outcome"]["enum"] == list(get_args(Outcome))
    assert len(get_args(Outcome)) == 9


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_event_is_what_its_schema_says(name: str) -> None:
    event = GOLDEN[name]
    assert problems(event) == []
    assert event["dataschema"] == DATASCHEMAS[name.rpartition(".")[0]]


def test_what_an_older_version_told_is_still_what_the_schemas_say() -> None:
    """Stored bodies go out as they were stored, so around an upgrade a consumer gets them too."""
    told = list(recorded_events())
    assert {event["type"] for event in told} == {f"callstitch.{name}.v1" for name in EVENT_TYPES}
    assert [(event["id"], found) for event in told if (found := problems(event))] == []


@pytest.mark.parametrize("manner", ["mask", "token", "drop"])
@pytest.mark.parametrize("golden", contract.GOLDEN, ids=lambda golden: golden.name)
def test_what_an_outlet_sees_of_an_event_is_still_what_its_schema_says(golden: contract.Golden, manner: Manner) -> None:
    without = frozenset({"raw", "timeline"} if manner == "drop" else ())
    view = View(numbers=manner, text=manner, user_data=manner, key=b"k" * 32, without=without)
    body = view(golden.envelope).body
    assert isinstance(body, bytes)
    assert problems(json.loads(body)) == []


def test_there_is_a_golden_event_of_each_type() -> None:
    assert {name.rpartition(".")[0] for name in GOLDEN} == SCHEMAS.keys()
    assert len(GOLDEN) == 1 + sum(len(types) for _, types in SCENES.values())


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        (("time",), "yesterday"),
        (("revision",), "1"),
        (("data", "call", "outcome"), "engaged"),
        (("data", "call", "caller"), 138),
        (("data", "call", "talk_seconds"), "16"),
        (("data", "call", "cdrs", 0, "ended_at"), "2026-01-05 08:00:00"),
    ],
)
def test_what_a_schema_does_not_say_is_noticed(where: tuple[Any, ...], wrong: Any) -> None:
    event = json.loads(FILES["events/call.completed.answered.json"])
    inner = event
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = wrong
    assert len(problems(event)) == 1
