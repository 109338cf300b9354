"""docs/events.md is the contract in words: each event and field of the schemas, and nothing that is in none."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest

from schemas.envelope import BUNDLE_BYTES
from schemas.fact_json import RAW_BYTES
from schemas.facts import FactKind
from schemas.platforms import DIALECTS
from schemas.topology import EVENT_TYPES
from tests.building.contract import GOLDEN, SCHEMAS
from tests.building.pages import ROOT, blocks
from tests.unit.docs.schema_fields import Field, Schema, fields_of
from workers.calls.bounds import ROOMS
from workers.calls.changes import CHANGED_BYTES
from workers.calls.sms import NOTICE_WAIT
from workers.calls.step import Patience
from workers.retention import Retention

PAGE: Final = "docs/events.md"
TEXT: Final = (ROOT / PAGE).read_text()
CODE: Final = re.compile(r"`([^`]+)`")
LINK: Final = re.compile(r"\[[\w ]+\]\(#([\w-]+)\)")
VALUES: Final = "11. Values"
TYPES: Final = "2. Which events there are"
EVERY_TYPE_ITS_OWN: Final = {"type", "dataschema"}  # one word in each schema; the table of types has these


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a table of fields: its path, the cells beside it, and the set of values that its type links."""

    types: str
    null: str
    meaning: str

    @property
    def values(self) -> str | None:
        found = LINK.search(self.types)
        return found[1] if found else None


def tables(text: str) -> list[list[list[str]]]:
    """Each table of a text: rows of cells, the first its heading."""
    lines = [line if line.startswith("|") else "" for line in text.splitlines()]
    found = [part.strip().splitlines() for part in "\n".join(lines).split("\n\n") if part.strip()]
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in (rows[0], *rows[2:])] for rows in found]


def told_fields(text: str) -> dict[str, Row]:
    """Every field that a table tells, by its path; a heading that names objects stands before each of its rows."""
    told: dict[str, Row] = {}
    for heading, *rows in tables(text):
        if not heading[0].startswith("field"):
            continue
        for field, types, null, meaning in rows:
            for before in CODE.findall(heading[0]) or [""]:
                path = f"{before}.{field.strip('`')}".lstrip(".")
                assert path not in told, f"{path} is told twice"
                told[path] = Row(types=types, null=null, meaning=meaning)
    return told


def sets_of_values(text: str) -> dict[str, set[str]]:
    """Every set of values by its anchor."""
    _, _, values = text.partition(f"\n## {VALUES}\n")
    sections = re.split(r"^### ", values, flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        heading, _, rest = section.partition("\n")
        _, *rows = tables(rest)[0]
        found[heading.strip().replace(" ", "-")] = {word for row in rows for word in CODE.findall(row[0])}
    return found


def differences(text: str, schemas: Mapping[str, Schema]) -> list[str]:
    """What the page says otherwise than the schemas, a line each."""
    told, there, values = told_fields(text), fields_of(schemas.values()), sets_of_values(text)
    found = [f"{path}: in no schema" for path in told.keys() - there.keys()]
    found += [f"{path}: not on the page" for path in there.keys() - told.keys()]
    for path in told.keys() & there.keys():
        found += [f"{path}: {what}" for what in _differs(told[path], there[path], path, values)]
    linked = {row.values for row in told.values()}
    return sorted(found + [f"{name}: no field has these values" for name in values.keys() - linked])


def _differs(row: Row, field: Field, path: str, values: Mapping[str, set[str]]) -> list[str]:
    found = []
    if row.null.startswith("never") == field.null:
        found.append("null" if field.null else "never null")
    if ("left out" in row.null) == field.always:
        found.append("never left out" if field.always else "may be left out")
    if not row.null or not row.meaning:
        found.append("says nothing")
    closed = len(field.words) > 1 and path not in EVERY_TYPE_ITS_OWN
    if closed != (row.values is not None) or (closed and values.get(row.values or "") != set(field.words)):
        found.append(f"has the values {sorted(field.words)}")
    types = {"list"} if row.types.startswith("list of ") else {"text"} if closed else set(row.types.split(" or "))
    return found if types == field.types else [*found, f"is {sorted(field.types)}"]


def types_told(text: str) -> dict[str, tuple[bool, set[str]]]:
    """Of each short type, whether it has a revision, and what its data holds."""
    _, _, section = text.partition(f"\n## {TYPES}\n")
    _, *rows = tables(section)[0]
    return {row[0].strip("`"): (row[3] == "yes", set(CODE.findall(row[4]))) for row in rows}


def of_schema(schema: Schema) -> tuple[bool, set[str]]:
    fields = fields_of([schema])
    within = {path.split(".")[1] for path in fields if path.startswith("data.")}
    return "revision" in fields, within


def test_every_field_and_value_is_told_as_the_schemas_have_it() -> None:
    assert len(fields_of(SCHEMAS.values())) > 100
    assert differences(TEXT, SCHEMAS) == []


def test_the_types_and_what_each_holds_are_those_of_the_schemas() -> None:
    assert set(EVENT_TYPES) <= SCHEMAS.keys()
    assert types_told(TEXT) == {name: of_schema(schema) for name, schema in SCHEMAS.items()}


@pytest.mark.parametrize(
    ("said", "instead", "noticed"),
    [
        ("`data.call.late`", "`data.call.slow`", ["data.call.late: not on the page", "data.call.slow: in no schema"]),
        ("| `data.call.id` | text | never |", "| `data.call.id` | text | at times |", ["data.call.id: never null"]),
        ("`data.sms.parts`", "`data.sms.pieces`", ["data.sms.parts: not on the page"]),
        ("| `by` | [by](#by) | never |", "| `by` | text | never |", ["has the values"]),
        ("| `busy` |", "| `engaged` |", ["outcome: has the values"]),
        ("| never; left out where nothing was mended |", "| never |", ["data.repaired: may be left out"]),
        ("| `milliseconds` | integer |", "| `milliseconds` | text |", ["milliseconds: is ['integer']"]),
    ],
)
def test_what_the_page_says_otherwise_is_noticed(said: str, instead: str, noticed: list[str]) -> None:
    assert said in TEXT
    found = differences(TEXT.replace(said, instead), SCHEMAS)
    assert [words for words in noticed if not any(words in line for line in found)] == []


def test_the_event_that_the_page_shows_has_fields_of_its_schema_alone() -> None:
    (shown,) = [json.loads(block.text) for block in blocks(PAGE) if block.info == "json sketch"]
    assert set(paths(shown)) <= fields_of([SCHEMAS["call.completed"]]).keys()


def paths(value: Any, before: str = "") -> Iterator[str]:
    """The path of each field of a value."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield f"{before}{name}"
        yield from paths(inner, f"{before}{name}.")
        for item in inner if isinstance(inner, list) else ():
            yield from paths(item, f"{before}{name}[].")


PATIENCE: Final = Patience()
KEPT: Final = Retention()


@pytest.mark.parametrize(
    "figure",
    [
        *[f"`{name}`" for name in DIALECTS],
        f"else {PATIENCE.settle.seconds} seconds later",
        f"no CDR has come for {PATIENCE.cdr_wait.seconds // 60} minutes",
        f"nobody has told its end for {PATIENCE.open_max // timedelta(hours=1)} hours",
        f"{NOTICE_WAIT.seconds} seconds have passed",
        f"quiet for {KEPT.sessions.days} days (`[retention] sessions`)",
        f"for {KEPT.tombstones.days} days (`[retention] tombstones`)",
        f"a CDR is taken for {KEPT.tombstones.days} days",
        f"more CDRs than a record holds ({ROOMS[FactKind.CDR].facts})",
        f"of more than {ROOMS[FactKind.CALL_EVENT].facts} live events",
        f"Above {CHANGED_BYTES // 1024} KiB of pointers",
        f"A `raw` that is too long ({RAW_BYTES // 1024} KiB",
        f"up to {BUNDLE_BYTES // 1024} KiB, or one larger event alone",
    ],
)
def test_a_figure_of_the_page_is_that_of_the_code(figure: str) -> None:
    assert figure in TEXT


RECORDS: Final = [golden.event["data"]["call"] for golden in GOLDEN if "call" in golden.event["data"]]


def test_the_null_rules_in_words_hold_in_the_golden_events() -> None:
    assert all(record["complete"] == (record["missing"] == []) for record in RECORDS)
    stored_only = ("place", "bytes", "sha256", "format", "media_type")
    for row in [row for record in RECORDS for row in record["recordings"]]:
        assert {name: row[name] is not None for name in stored_only} == dict.fromkeys(
            stored_only, row["state"] == "stored"
        )
        assert (row["reason"] is not None) == (row["state"] == "failed")
    for row in [row for record in RECORDS for row in record["cdrs"]]:
        assert (row["billed_minutes"] is None) == (not row["answered"] or row["talk_seconds"] is None)


def test_changed_is_what_the_page_says_in_the_golden_events() -> None:
    told = [(golden.type, golden.name, golden.event["data"]) for golden in GOLDEN if "changed" in golden.event["data"]]
    new = [data["changed"] for kind, _, data in told if kind in ("call.completed", "call.incomplete")]
    assert new
    assert max(map(len, new)) == 0
    assert [name for _, name, data in told if data["changed"] == [""]] == ["call.amended.forgotten"]
    assert [name for _, name, data in told if "/revision" in data["changed"]] == []


def test_the_statement_of_the_page_keeps_the_highest_revision_in_any_order() -> None:
    statement = next(block.text for block in blocks(PAGE) if block.info == "sql")
    rows = [_row("a", 1, 1.0), _row("a", 3, 2.0), _row("b", 3, 5.0), _row("a", 2, 9.0)]
    with closing(sqlite3.connect(":memory:")) as db:
        columns = "callid, record_id, revision, at, outcome, talk_seconds, billed_minutes"
        db.execute(f"CREATE TABLE cdrs ({columns}, PRIMARY KEY (callid, record_id))")
        for row in [*rows, *reversed(rows)]:
            db.execute(statement, row)
        assert db.execute("SELECT record_id, revision, billed_minutes FROM cdrs ORDER BY 1").fetchall() == [
            ("a", 3, 2.0),
            ("b", 3, 5.0),
        ]


def _row(record_id: str, revision: int, minutes: float) -> dict[str, Any]:
    return {
        "callid": "hw:1",
        "record_id": record_id,
        "revision": revision,
        "at": "2026-01-05T08:00:00Z",
        "outcome": "answered",
        "talk_seconds": minutes * 60,
        "billed_minutes": minutes,
    }
