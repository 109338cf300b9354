"""Whether a play is through the pipeline, and how it compares: for the demo, and for containers that run elsewhere."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from console.demo.books import demo_ledger
from console.demo.check import faults, latest_records, left_open, read_events, read_truth
from console.reading import ask_store
from runtime.broker import open_broker
from schemas.envelope import JsonObject
from schemas.errors import Misconfigured
from workers.config import Config, config_topology
from workers.stores import open_reads
from workers.stores.reads import OutboxReads

SETTLE_SECONDS: Final = 45.0  # for everything to drain after the last push
STILL_SECONDS: Final = 1.5


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Where a play is told: by the platforms (`truth`), by the store, and by a jsonl sink (`events`)."""

    config: Config
    truth: Path
    events: Path


async def refuse_leftovers(config: Config) -> None:
    """What a queue or a database still holds of another run would make this ledger a riddle.

    Raises:
        Misconfigured: it holds some.
    """
    async with open_reads(config.store) as reads:
        if await reads.holds_state():
            raise Misconfigured("the demo needs an empty database")
    if config.broker.embedded:
        return
    async with open_broker(config.broker) as broker:
        depths = await broker.depths([queue.name for queue in config_topology(config).queues])
    full = [f"{name} ({depth})" for name, depth in depths.items() if depth]
    if full:
        raise Misconfigured(f"the demo needs an empty virtual host; these queues hold messages: {', '.join(full)}")


def is_settled(evidence: Evidence) -> bool:
    """Nothing is due, everything made is at the sink, and every recording has ended; and so it stays for a moment."""
    if not _is_quiet(evidence):
        return False
    time.sleep(STILL_SECONDS)
    return _is_quiet(evidence)


def _is_quiet(evidence: Evidence) -> bool:
    delivered = {event["id"] for event in read_events(evidence.events)}
    due, made = ask_store(evidence.config.store, _left_to_do)
    if due > left_open(read_truth(evidence.truth)) or not made <= delivered:
        return False
    records = latest_records(read_events(evidence.events))
    return not any(row["state"] == "wanted" for record in records.values() for row in record["recordings"])


async def _left_to_do(reads: OutboxReads) -> tuple[int, frozenset[str]]:
    return await reads.due(), await reads.event_ids()


def compared(evidence: Evidence, *, settled: bool, deaths: int = 0) -> JsonObject:
    """The demo's ledger, with everything that differs; `deaths` of the door, see `faults`."""
    truth, events = read_truth(evidence.truth), read_events(evidence.events)
    ledger = asyncio.run(demo_ledger(evidence.config, truth, events, now=datetime.now(UTC)))
    found = [*faults(truth, events, deaths=deaths), *ledger["differences"]]
    if not settled:
        found.append(f"not everything had drained {SETTLE_SECONDS:.0f} s after the last push")
    return ledger | {"balanced": not found, "differences": found}
