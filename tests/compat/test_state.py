"""State that version 7189888 left in the middle of its work is read, and gone on with, as that version would have.

Calls are half told, an SMS waits for its notice, a recording for its next attempt, a said record has not left,
messages lie in the broker's queues, parked ones in the store: `tests/fixtures/7189888/README.md`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from tests.compat.going_on import goes_on
from tests.compat.outside import Outside, outside
from tests.compat.stored import STATES, State, config_text, read_state, restore
from tests.e2e.programs import end
from tests.e2e.running import Up, callstitch, prepared_up
from tests.services import debian, postgresql
from tests.services.faketime import WallClock

LATER: Final = timedelta(seconds=94)  # the recording's next attempt is due some seconds after that
UNSENT: Final = "SELECT envelope FROM outbox WHERE sent_at IS NULL AND route LIKE 'call.%'"
DEAD: Final = "SELECT raw FROM parked WHERE box = 'dead'"
BILLING: Final = "SELECT body FROM message JOIN queue ON number = message.id >> 40 WHERE name = 'billing'"
BILLED: Final = ("callstitch.call.completed.v1", "callstitch.call.amended.v1")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    return debian.or_skip(lambda: WallClock(tmp_path))


def test_a_state_directory_is_gone_on_with(tmp_path: Path, wall: WallClock) -> None:
    state = read_state(STATES["sqlite"])
    restore(state, tmp_path)
    ((unsent,),) = in_file(tmp_path / "state/correlate.db", UNSENT)
    ((dead,),) = in_file(tmp_path / "state/park.db", DEAD)
    goes_on_as_it_would_have(tmp_path, state, "sqlite:state", wall, unsent=unsent, dead=dead)


async def test_a_postgresql_dump_is_gone_on_with(
    tmp_path: Path, wall: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's clock is what counts there, so it is set as the program's."""
    debian.or_skip(postgresql.install)
    state = read_state(STATES["postgresql"])
    restore(state, tmp_path)
    with monkeypatch.context() as patch:
        for name, value in wall.environ_of_now(by=since(state)).items():
            patch.setenv(name, value)
        cluster = postgresql.PostgreSQL()
    with closing(cluster):
        dsn = cluster.make_database()
        connection = await asyncpg.connect(dsn)
        await connection.execute(state.files["postgresql.sql"])
        await connection.execute("SET search_path = callstitch")
        ((unsent,),) = await connection.fetch(UNSENT)
        ((dead,),) = await connection.fetch(DEAD)
        await connection.close()
        await asyncio.to_thread(goes_on_as_it_would_have, tmp_path, state, dsn, wall, unsent=unsent, dead=dead)


def goes_on_as_it_would_have(
    directory: Path, state: State, store: str, wall: WallClock, *, unsent: bytes, dead: bytes
) -> None:
    """`unsent`: the envelope of the event that was said and never left; `dead`: of what the webhook would not take."""
    with resumed(directory, state, store, wall) as (up, there):
        assert goes_on(up, state, there) == state.outcome
        assert_told_once(up, state, unsent=json.loads(unsent)["body"])
        assert {body.decode() for body in there.hooked} == {json.loads(dead)["body"]["envelope"]["body"]}
        assert_known_to_the_operator(up)
        assert up.terminate() == 0
    assert_billed(up)


@contextmanager
def resumed(directory: Path, state: State, store: str, wall: WallClock) -> Iterator[tuple[Up, Outside]]:
    """Today's `up` on that state, a minute and a half after the old one was interrupted by its clock."""
    wall.set_wrong(by=since(state))
    with outside(is_open=True) as there:
        up = prepared_up(directory, config_text(store=store, outside=there.address), environ=wall.environ)
        try:
            up.start()
            yield up, there
        finally:
            end(up)


def since(state: State) -> timedelta:
    """How wrong a clock is that goes on where the old version's stopped."""
    return state.at + LATER - datetime.now(UTC)


def assert_told_once(up: Up, state: State, *, unsent: str) -> None:
    """What was told stays, and what is told again is the same bytes; a revision has one event, and none is left out."""
    lines = (up.directory / "calls.jsonl").read_text().splitlines()
    old = state.files["calls.jsonl"].splitlines()
    assert lines[: len(old)] == old
    assert unsent in lines[len(old) :]
    bodies = {json.loads(line)["id"]: line for line in lines}
    assert set(bodies.values()) == set(lines)
    revisions: defaultdict[str, list[int]] = defaultdict(list)
    for event in map(json.loads, bodies.values()):
        if "revision" in event:
            revisions[event["subject"]].append(event["revision"])
    assert {subject: sorted(told) for subject, told in revisions.items()} == {
        subject: list(range(1, len(told) + 1)) for subject, told in revisions.items()
    }


def assert_known_to_the_operator(up: Up) -> None:
    """What is parked and what a call was told before the interruption is listed still."""
    listed = callstitch(up, "quarantine", "list")
    assert all(reason in listed for reason in ("not_json", "no_session_id"))
    traced = callstitch(up, "trace", "said-but-unsent")
    assert all(word in traced for word in ("incoming", "ended", "callstitch.call.completed.v1"))


def assert_billed(up: Up) -> None:
    """The downstream queue, which nobody reads, holds each event that it wants, the old ones too, at least once."""
    lying = [body.decode() for (body,) in in_file(up.directory / "broker.db", BILLING)]
    wanted = [line for line in (up.directory / "calls.jsonl").read_text().splitlines() if is_billed(line)]
    assert set(lying) == set(wanted)


def is_billed(line: str) -> bool:
    """Whether the downstream queue of the config wants that event."""
    return json.loads(line)["type"] in BILLED


def in_file(path: Path, query: str) -> list[tuple[bytes]]:
    """What a SQLite file answers."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()
