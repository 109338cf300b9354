"""A state directory as text and back, and what was, and is still to be, pushed to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tests.compat.let_out import record_without
from tests.compat.recorded import FIXTURES, read_rows
from tests.e2e.programs import Answer, request
from tests.e2e.running import Up

NEXT_TABLE: Final = "\n["
CONFIG: Final = FIXTURES / "state.toml"
STATES: Final = {kind: FIXTURES / f"state-{kind}.ndjson.xz" for kind in ("sqlite", "postgresql")}
SQLITE_FILES: Final = ("broker.db", "state/dedupe.db", "state/correlate.db", "state/park.db")


@dataclass(frozen=True, kw_only=True)
class Telling:
    """One push; `phase` is how far the old version came with it, `rest` what it never saw."""

    phase: str  # before, amended, outbox, unique, received, rest
    source: str
    path: str
    content_type: str
    text: str

    def post(self, up: Up) -> Answer:
        """Push it."""
        door = f"/v1/{self.source}/{up.token}{self.path}"
        return request(up.listen, "POST", door, self.text.encode(), {"Content-Type": self.content_type})


@dataclass(frozen=True, kw_only=True)
class State:
    """What was left: its moment, the pushes, the files' text by name; `outcome`: what the old version made of it."""

    at: datetime
    tellings: tuple[Telling, ...]
    files: Mapping[str, str]
    outcome: Mapping[str, Any]

    def phase(self, *names: str) -> Iterator[Telling]:
        """The pushes of these phases."""
        return (telling for telling in self.tellings if telling.phase in names)


def read_state(path: Path) -> State:
    """A state that an old version left."""
    rows = list(read_rows(path))
    return State(
        at=datetime.fromisoformat(rows[0]["at"]),
        tellings=tuple(_unread_still(Telling(**row["told"])) for row in rows if "told" in row),
        files={row["file"]: row["text"] for row in rows if "file" in row},
        outcome=_kept_in(next(row["outcome"] for row in rows if "outcome" in row)),
    )


def _kept_in(outcome: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is said again is said without what was let out then; what was stored goes out as it was stored."""
    return {**outcome, "records": {name: record_without(one) for name, one in outcome["records"].items()}}


def _unread_still(telling: Telling) -> Telling:
    """A CDR that names no session is none that nobody can read since, if it has an id of its own."""
    return replace(telling, text=telling.text.replace('{"icid": "no session"}', '{"bindNum": "no session"}'))


def config_text(*, store: str, outside: str) -> str:
    """The config of the states, at today's addresses; a [[queue]] on the embedded broker was allowed then.

    It stays in the broker's file, and bound.
    """
    before, queue, after = CONFIG.read_text().partition("[[queue]]")
    assert queue
    return f"{before}{after[after.index(NEXT_TABLE) :]}".replace("@STORE@", store).replace("@OUTSIDE@", outside)


def dumped(path: Path) -> str:
    """A SQLite file as SQL; what its WAL holds is in it."""
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        return "\n".join([*db.iterdump(), f"PRAGMA user_version = {version};"])


def restore(state: State, directory: Path) -> None:
    """Write the files into `directory`."""
    for name, text in state.files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix != ".db":
            path.write_text(text)
            continue
        with closing(sqlite3.connect(path)) as db:
            db.executescript(text)
