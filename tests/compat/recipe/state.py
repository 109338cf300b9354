"""Records a state: files (or a PostgreSQL dump) that this tree leaves in the middle of its work.

python -m tests.compat.recipe.state DIRECTORY sqlite|postgresql
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.compat.going_on import goes_on
from tests.compat.outside import Outside, outside
from tests.compat.recipe.tellings import tellings
from tests.compat.recorded import write_rows
from tests.compat.stored import SQLITE_FILES, STATES, State, Telling, config_text, dumped
from tests.e2e.programs import Role, end
from tests.e2e.running import Up, prepared_up
from tests.services.postgresql import PostgreSQL

CRASH: Final = {"CALLSTITCH_CRASH_AT": "correlate.after_handle:1"}
QUIET_SECONDS: Final = 5.0  # deadlines, the webhook's second attempt, and a recording's
STAGE_SECONDS: Final = 2.0


def main() -> None:
    directory, kind = Path(sys.argv[1]).resolve(), sys.argv[2]
    with _store(kind) as (store, dump), outside(is_open=False) as there:
        state = _left_behind(directory, store, there, dump)
        outcome = _gone_on(directory, store, there, state)
    rows: list[Mapping[str, Any]] = [{"at": state.at.isoformat()}]
    rows += [{"told": asdict(telling)} for telling in state.tellings]
    rows += [{"file": name, "text": text} for name, text in state.files.items()]
    rows.append({"outcome": outcome})
    write_rows(STATES[kind], rows)
    sys.stdout.write(f"{json.dumps(outcome, indent=1)}\n{STATES[kind].stat().st_size} bytes\n")


@contextmanager
def _store(kind: str) -> Iterator[tuple[str, Callable[[], dict[str, str]]]]:
    """The config's store, and what dumps it where it is no file."""
    if kind == "sqlite":
        yield "sqlite:state", dict
        return
    cluster = PostgreSQL()
    dsn = cluster.make_database()
    try:
        yield dsn, lambda: {"postgresql.sql": _pg_dump(dsn)}
    finally:
        cluster.close()


def _pg_dump(dsn: str) -> str:
    command = ["pg_dump", "--schema=callstitch", "--no-owner", "--inserts", "--rows-per-insert=100", dsn]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return "".join(line for line in told.splitlines(keepends=True) if not line.startswith(("\\", "--")))


def _left_behind(directory: Path, store: str, there: Outside, dump: Callable[[], dict[str, str]]) -> State:
    told = tuple(tellings())
    up = prepared_up(directory, config_text(store=store, outside=there.address))
    up.start()
    _push(up, told, "before")
    time.sleep(QUIET_SECONDS)
    _push(up, told, "amended")
    time.sleep(QUIET_SECONDS)
    up.terminate()
    _accept(up, told, "outbox")
    _work(up, "dedupe")
    _work(up, "correlate", environ=CRASH)
    _accept(up, told, "unique")
    _work(up, "dedupe")
    _accept(up, told, "received")
    files = {name: dumped(directory / name) for name in SQLITE_FILES if (directory / name).exists()}
    files |= {"calls.jsonl": (directory / "calls.jsonl").read_text(), **dump()}
    return State(at=datetime.now(UTC), tellings=told, files=files, outcome={})


def _push(up: Up, told: Sequence[Telling], phase: str) -> None:
    for telling in told:
        if telling.phase == phase:
            assert telling.post(up).status == 200


def _accept(up: Up, told: Sequence[Telling], phase: str) -> None:
    """The door alone: nobody reads what it stores."""
    door = replace(up, arguments=("ingest", *up.arguments[1:]), name="ingest")
    door.start()
    try:
        _push(door, told, phase)
    finally:
        end(door)


def _work(up: Up, stage: str, environ: Mapping[str, str] | None = None) -> None:
    role = Role(
        arguments=("work", stage, *up.arguments[1:]),
        directory=up.directory,
        environ={**up.environ, **(environ or {})},
        name=f"work-{stage}",
        admin=up.admin,
    )
    role.start(ready=environ is None)
    if environ is not None:
        assert role.wait(20) == 137, role.tail()
        return
    time.sleep(STAGE_SECONDS)
    end(role)


def _gone_on(directory: Path, store: str, there: Outside, state: State) -> dict[str, Any]:
    """What this very version makes of it after the same interruption."""
    there.open = True
    up = prepared_up(directory, config_text(store=store, outside=there.address))
    up.start()
    try:
        return goes_on(up, state, there)
    finally:
        end(up)


if __name__ == "__main__":
    main()
