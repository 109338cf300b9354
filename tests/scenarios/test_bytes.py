"""No input makes more than N times its bytes and so much an item: messages that are published, and what stores hold.

The real stages on the embedded broker and SQLite, fed with what the door would store.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, cast

import pytest

from runtime.broker.base import MESSAGE_BYTES, Broker, Message
from runtime.broker.embedded import open_embedded
from runtime.clock import system_clock
from runtime.telemetry import Telemetry
from runtime.wire import monotonic_message_ids, pack
from schemas.envelope import Envelope, Kind, new_id
from schemas.notification import Notification, to_json
from schemas.topology import DEAD, QUARANTINE, RECEIVED, UNIQUE, UNROUTED
from tests.scenarios.amplifiers import ALIYUN, HUAWEI, INPUTS, JIUYUN
from workers.config import Config, config_topology
from workers.process import Process, unwrapped
from workers.stores import open_forms, open_reads
from workers.wiring import open_role

TIMES: Final = 30
ITEM_BYTES: Final = 8 * 1024  # each item may be a call: its claim, its session, its event twice
ALLOWANCE: Final = 256 * 1024  # empty tables, indices and pages
SECONDS: Final = 60.0
QUIET_TIMES: Final = 4


class Counted:
    """The broker, with the bytes that stages publish."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.published = 0
        self.largest = 0

    async def publish(self, batch: Sequence[Message]) -> None:
        await self._broker.publish(batch)
        self.published += sum(len(message.body) for message in batch)
        self.largest = max([self.largest, *(len(message.body) for message in batch)])

    def __getattr__(self, name: str) -> object:
        return getattr(self._broker, name)


def a_config(directory: Path) -> Config:
    platforms = {HUAWEI: "huawei_privatenumber", ALIYUN: "aliyun_pnp", JIUYUN: "jiuyun_axb"}
    return Config.model_validate(
        {
            "broker": f"embedded:{directory / 'broker.db'}",
            "store": f"sqlite:{directory / 'state'}",
            "source": [
                {"name": name, "platform": platform, "tokens": ["t" * 32], "settle": "300ms"}
                for name, platform in platforms.items()
            ],
            "sink": [{"name": "file", "kind": "jsonl", "path": str(directory / "calls.jsonl")}],
        }
    )


@pytest.mark.parametrize("what", INPUTS)
async def test_no_input_makes_more_than_so_many_times_its_bytes(what: str, tmp_path: Path) -> None:
    source, bodies = INPUTS[what]
    pushes = bodies()
    config = a_config(tmp_path)
    at = datetime.now(UTC) - timedelta(minutes=1)
    envelopes = [notified(push, source, at + timedelta(milliseconds=n)) for n, push in enumerate(pushes)]
    async with open_embedded(tmp_path / "broker.db") as broker:
        counted = Counted(broker)
        topology = config_topology(config)
        await broker.declare(topology)
        async with open_forms(config.store) as forms:
            await forms.serve(topology.forms)
        await broker.publish(pack(envelopes, monotonic_message_ids("door")))
        async with running(config, counted):
            await until_idle(broker)
    async with open_reads(config.store) as reads:
        items = sum(row["items"] for row in await reads.books.ledger())
    stored = sum(path.stat().st_size for path in (tmp_path / "state").rglob("*.db"))
    made, read = counted.published + stored, sum(map(bytes_read, pushes))
    assert made < TIMES * read + ITEM_BYTES * items + ALLOWANCE, (made, read, items)
    assert counted.largest < MESSAGE_BYTES


def bytes_read(push: Notification) -> int:
    """What dedupe reads of it; gzip may be fifty times as much as was pushed, and no more than 1 MiB."""
    return len(gzip.decompress(push.body)) if push.headers else len(push.body)


@asynccontextmanager
async def running(config: Config, broker: Counted) -> AsyncIterator[None]:
    """The stages from the door to the sinks' queues."""
    process = Process(
        config=config,
        broker=cast("Broker", broker),
        telemetry=Telemetry(),
        clock=system_clock(),
        message_ids=monotonic_message_ids("test"),
        wrap=unwrapped,
    )
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for name in ("dedupe", "correlate", "park"):
            for loop in await stack.enter_async_context(open_role(process, name)):
                tasks.create_task(loop.run(stopping))
        yield
        stopping.set()


def notified(push: Notification, source: str, at: datetime) -> Envelope:
    return Envelope(id=new_id(at), kind=Kind.NOTIFICATION, source=source, at=at, body=to_json(push), trace="t")


async def until_idle(broker: Broker) -> None:
    """Nothing waits in a queue that a stage reads, for as long as what is due within a second takes."""
    deadline, quiet = time.monotonic() + SECONDS, 0
    while quiet < QUIET_TIMES:
        depths = await broker.depths([RECEIVED, UNIQUE, QUARANTINE, DEAD, UNROUTED])
        quiet = quiet + 1 if not any(depths.values()) else 0
        assert time.monotonic() < deadline, depths
        await asyncio.sleep(0.5)
