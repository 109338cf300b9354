"""A `correlate.db` in which states still held what was said last, and the outbox when it was sent, is gone on with."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from schemas.envelope import JsonObject
from tests.building.going_on import going_on
from tests.building.schemas import problems
from tests.building.stores import SqliteRig, asked
from tests.compat.additions import as_then
from workers.stores.reads import Reads

FIXTURES: Final = Path(__file__).parents[1] / "fixtures" / "sqlite-5"
CALLS: Final = ("sent", "other", "recorded", "incomplete", "open", "unsent")


@pytest.fixture
def rig(tmp_path: Path) -> SqliteRig:
    (tmp_path / "state").mkdir()
    with closing(sqlite3.connect(tmp_path / "state" / "correlate.db")) as db:
        db.executescript((FIXTURES / "correlate.sql").read_text())
    return SqliteRig(tmp_path / "state")


async def test_what_it_says_from_then_on_is_what_that_version_would_have_said(rig: SqliteRig) -> None:
    """Amendments of what it said first, a recording, what was not sent yet: byte for byte, but for fields of since."""
    async with rig.open_sessions() as store:
        told = await going_on(store)
    then = (FIXTURES / "said.ndjson").read_text().splitlines()
    assert as_then(told) == as_then(then)
    (unsent,) = (body for body in then if '"subject":"huawei-bj:unsent"' in body)
    assert unsent in told, "what is stored goes out as it was stored"
    assert [problem for body in told for problem in problems(json.loads(body))] == [], "and stays valid"


async def test_an_operator_reads_the_same_before_and_after(rig: SqliteRig) -> None:
    before = await asked(rig, seen)
    assert [sent for _, sent in before["huawei-bj:unsent"]] == [False]
    assert [sent for _, sent in before["huawei-bj:recorded"]] == [True, True]
    async with rig.open_sessions():
        assert await asked(rig, seen) == before


async def seen(reads: Reads) -> JsonObject:
    """What is told of the outbox: by call, by route, and by the ledger."""
    told: JsonObject = {
        "events": await reads.events(),
        "ids": await reads.event_ids(),
        "said": await reads.books.said(),
    }
    for name in CALLS:
        session = await reads.session(f"huawei-bj:{name}")
        assert session is not None
        told[session["id"]] = [(row["id"], row["sent"]) for row in session["outbox"]]
    return told
