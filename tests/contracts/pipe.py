"""Dedupe and correlate over one store: pushes go in, events and dead letters come out, and the clock is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from schemas.envelope import Envelope, JsonObject, Kind, encode_envelope
from schemas.notification import Notification, to_json
from schemas.platforms import DIALECTS
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.platforms.huawei.voicecall.settings import VoiceCallSource
from schemas.settings.source import Source
from schemas.stage import Failed, Stage
from tests.building.stores import SOURCE, StoreRig, at
from workers.calls.bounds import LEFT_OUT
from workers.correlate import correlate
from workers.dedupe import dedupe

VOICE = "huawei-vc"
ALIYUN = "aliyun"
_SOURCES: dict[str, Source] = {
    SOURCE: PrivateNumberSource(name=SOURCE, platform="huawei_privatenumber", tokens=["t" * 32]),
    ALIYUN: AliyunSource(name=ALIYUN, platform="aliyun_pnp", tokens=["t" * 32]),
    VOICE: VoiceCallSource(name=VOICE, platform="huawei_voicecall", tokens=["t" * 32]),
}


@dataclass
class Pipe:
    """Both stages over one store, with a clock of its own."""

    rig: StoreRig
    dedupe: Stage
    correlate: Stage
    now: datetime = field(default_factory=lambda: at(0))
    events: list[bytes] = field(default_factory=list)
    dead: list[Envelope] = field(default_factory=list)
    received: int = 0

    async def pushes(self, *bodies: JsonObject | list[JsonObject], source: str = SOURCE, zipped: bool = False) -> None:
        """One batch of pushes, told in their order."""
        batch = []
        for body in bodies:
            self.received += 1
            batch.append(self._pushed(json.dumps(body).encode(), source, zipped=zipped))
        outcome = await self.dedupe.handle(batch)
        assert {item.kind for item in outcome if isinstance(item, Envelope)} <= {Kind.FACT}
        await self.takes([item for item in outcome if isinstance(item, Envelope)])

    def _pushed(self, body: bytes, source: str, *, zipped: bool) -> Envelope:
        sent = Notification(
            path="",
            remote="192.0.2.1",
            content_type="application/json",
            headers={"content-encoding": "gzip"} if zipped else {},
            body=gzip.compress(body, 1) if zipped else body,
        )
        return Envelope(
            id=f"n{self.received}", kind=Kind.NOTIFICATION, source=source, at=at(self.received), body=to_json(sent)
        )

    async def takes(self, facts: Sequence[Envelope]) -> None:
        """What correlate makes of them as they come from its queue, and of what it sends back to it."""
        batch = [replaced(fact) for fact in facts]
        if batch:
            self._left(outcome := await self.correlate.handle(batch))
            await self.takes([item for item in outcome if isinstance(item, Envelope) and item.kind == Kind.FACT])

    async def sent(self) -> None:
        """The broker has confirmed all that was told."""
        assert self.correlate.published is not None
        await self.correlate.published([orjson.loads(event)["id"] for event in self.events])

    async def waits(self, told: float) -> None:
        assert self.correlate.tick is not None
        self.now = at(told)
        self._left(await self.correlate.tick(self.now))

    def _left(self, outcome: Sequence[Envelope | Failed]) -> None:
        for item in outcome:
            if isinstance(item, Failed):
                assert str(item.error) == LEFT_OUT
                self.dead.append(item.envelope)
            elif item.kind == Kind.EVENT:
                assert isinstance(item.body, bytes)
                self.events.append(item.body)

    def records(self) -> list[JsonObject]:
        return [event["data"]["call"] for event in map(orjson.loads, self.events) if "call" in event["data"]]


def replaced(fact: Envelope) -> Envelope:
    """As the broker brings it."""
    row = orjson.loads(encode_envelope(fact))
    return Envelope(id=row["id"], kind=row["kind"], source=row["source"], at=fact.at, body=row["body"])


@asynccontextmanager
async def open_pipe(rig: StoreRig) -> AsyncIterator[Pipe]:
    """Both stages, as if just started on that state."""
    async with AsyncExitStack() as stack:
        claims = await stack.enter_async_context(rig.open_claims())
        sessions = await stack.enter_async_context(rig.open_sessions())
        made: list[Pipe] = []
        correlating = correlate(sessions, patience={}, progress=frozenset(_SOURCES), clock=lambda: made[0].now)
        deduping = dedupe(claims, sources=_SOURCES, dialects=DIALECTS, count=lambda *_: None)
        made.append(Pipe(rig, deduping, correlating))
        yield made[0]
