"""The table of hard faults: each begins, is seen, lasts a while and ends; one that nobody sees fails the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from tests.chaos import broker_faults as broker
from tests.chaos import process_faults as process
from tests.chaos import store_faults as store
from tests.chaos.scene import Scene, Seen

_NOTHING: Final = ("",)
_SCALED: Final = ("dedupe", "correlate", "fan_out.hook", "fetch_recording")


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One hard fault: `play` begins it, gives what shows it, and ends it.

    `ways`: what it may hit on RabbitMQ with PostgreSQL; `alone`: what it may hit where one process does everything;
    none: it is not played there. `away`: how long it goes on once it was seen. `takes`, `takes_alone`: seconds of a
    run that it needs in either place, its recovery too. `shared`: other faults may strike once it was seen.
    """

    play: Callable[[Scene, str], AbstractContextManager[Seen]]
    ways: Sequence[str] = _NOTHING
    alone: Sequence[str] = ()
    away: tuple[float, float] = (0.0, 2.0)
    takes: float = 10.0
    takes_alone: float = 5.0
    shared: bool = False


TROUBLES: Final[Mapping[str, Trouble]] = {
    "memory_alarm": Trouble(play=broker.memory_alarm, away=(1.0, 6.0), takes=10.0, shared=True),
    "disk_alarm": Trouble(play=broker.disk_alarm, away=(1.0, 6.0), takes=10.0, shared=True),
    "connections_closed": Trouble(play=broker.connections_closed, takes=4.0),
    "queue_deleted": Trouble(play=broker.queue_deleted, ways=tuple(broker.QUEUES), takes=8.0),
    "exchange_deleted": Trouble(play=broker.exchange_deleted, takes=6.0),
    "backends_terminated": Trouble(play=store.backends_terminated, takes=4.0),
    "tables_locked": Trouble(play=store.tables_locked, takes=14.0, shared=True),
    "schema_renamed": Trouble(play=store.schema_renamed, away=(1.0, 6.0), takes=10.0),
    "grants_revoked": Trouble(play=store.grants_revoked, away=(1.0, 6.0), takes=10.0),
    "disk_full": Trouble(play=process.disk_full, alone=_NOTHING, away=(1.0, 4.0), takes=8.0),
    "frozen": Trouble(play=process.frozen, ways=("ingest", "workers"), alone=("up",), takes=5.0),
    "clock_skewed": Trouble(play=process.clock_skewed, ways=("ingest", "workers"), alone=("up",), takes=14.0),
    "descriptors_short": Trouble(
        play=process.descriptors_short,
        ways=("ingest", "dedupe", "correlate", "fetch_recording", "fan_out.hook"),
        alone=("up",),
        takes=10.0,
    ),
    "rolling_restart": Trouble(play=process.rolling_restart, takes=24.0),
    "scaled": Trouble(play=process.scaled, ways=_SCALED, takes=14.0),
}
