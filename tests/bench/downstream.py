"""The events of a run where other teams would read them: on a downstream queue, or in the embedded stack's file."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from runtime.broker import open_broker
from runtime.events.batch import events_of, is_batch
from schemas.envelope import Envelope
from schemas.settings.addresses import broker_address
from tests.bench.bodies import EVENT_STEPS, call_of
from tests.bench.figures import counts_differ

IDLE_SECONDS: Final = 45.0  # without any event before a run is given up
LOOK_SECONDS: Final = 0.005
BATCH: Final = 200
PREFETCH: Final = 400


@dataclass(kw_only=True)
class Arrivals:
    """What has arrived of the run: when each call was completed first, and which progress events, by their ids."""

    run: str
    calls: int
    progress_wanted: int
    completed: dict[int, float] = field(default_factory=dict)
    progress: set[str] = field(default_factory=set)
    strangers: int = 0
    amended: int = 0
    last: float = 0.0

    def take(self, body: bytes, event_id: str, now: float) -> None:
        """One event."""
        self.last = now
        found = call_of(body)
        if found is None or found[0] != self.run or found[1] >= self.calls:
            self.strangers += 1
        elif b"callstitch.call.completed" in body:
            self.completed.setdefault(found[1], now)
        elif b"callstitch.call.progress" in body:
            self.progress.add(event_id)
        else:
            self.amended += 1

    def another(self) -> Arrivals:
        """Nothing yet, of the same run: for another place where the same must arrive."""
        return Arrivals(run=self.run, calls=self.calls, progress_wanted=self.progress_wanted)

    @property
    def whole(self) -> bool:
        """Whether everything that must arrive has."""
        return len(self.completed) >= self.calls and len(self.progress) >= self.progress_wanted

    @property
    def trouble(self) -> str | None:
        """Why the run does not count; None: each call was completed, and each step told."""
        if self.strangers:
            return f"{self.strangers} events of no call that was sent"
        if lost := counts_differ(wanted=self.calls, found=len(self.completed)):
            return f"call.completed: {lost}"
        if lost := counts_differ(wanted=self.progress_wanted, found=len(self.progress)):
            return f"call.progress: {lost}"
        return None

    def milliseconds(self, stamps: array[float]) -> list[float]:
        """From each call's last post to its call.completed."""
        return [(at - stamps[call]) * 1000 for call, at in self.completed.items()]


def arrivals(kind: str, *, run: str, calls: int) -> Arrivals:
    """Nothing yet, of that many calls."""
    return Arrivals(run=run, calls=calls, progress_wanted=calls * EVENT_STEPS if kind == "steps" else 0)


async def watch_queue(url: str, queue: str, found: Arrivals, ended: Callable[[], bool]) -> None:
    """Read and ack until all is there; given up after IDLE_SECONDS without an event once the posting has `ended`."""
    began = datetime.now(UTC)
    async with open_broker(broker_address(url)) as broker, broker.consume(queue, prefetch=PREFETCH) as consumer:
        while not found.whole:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    deliveries = await consumer.batch(BATCH)
            except TimeoutError:
                if ended():
                    return
                continue
            now = time.monotonic()
            for delivery in deliveries:
                if is_batch(delivery):
                    for event in events_of(delivery, began):
                        found.take(_bytes(event), event.id, now)
                else:
                    found.take(delivery.body, str(delivery.headers.get("cloudEvents_id", "")), now)
            await consumer.ack(deliveries)


def _bytes(event: Envelope) -> bytes:
    assert isinstance(event.body, bytes)
    return event.body


async def watch_file(path: Path, found: Arrivals, ended: Callable[[], bool]) -> None:
    """The same for a file that grows by whole lines."""
    rest, read, idle_since = b"", 0, time.monotonic()
    while not found.whole:
        grown = _after(path, read)
        now = time.monotonic()
        if not grown:
            if ended() and now - idle_since > IDLE_SECONDS:
                return
            await asyncio.sleep(LOOK_SECONDS)
            continue
        read, idle_since = read + len(grown), now
        *lines, rest = (rest + grown).split(b"\n")
        for line in lines:
            found.take(line, orjson.loads(line)["id"], now)


def _after(path: Path, position: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(position)
        return file.read()
