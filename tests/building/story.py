"""A call's session as a test tells it: facts at moments, and what was said about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import orjson

from schemas.envelope import Envelope, JsonObject, Kind
from schemas.facts import Fact
from tests.building.facts import T0, kept, seconds
from tests.building.states import come_back
from workers.calls.session import Session
from workers.calls.step import Patience, Step, step

PATIENCE = Patience()


class Story:
    """A session that is told facts at moments; remembers everything it said."""

    def __init__(self, patience: Patience = PATIENCE) -> None:
        self.session: Session | None = None
        self.patience = patience
        self.said: list[JsonObject] = []
        self.ordered: list[Envelope] = []
        self.due_at: datetime | None = None

    def told(self, facts: Sequence[Fact], *, at: float) -> Story:
        taken = step(self.session, [*map(kept, facts)], now=T0 + seconds(at), patience=self.patience)
        return self._kept(taken)

    def waits(self, *, until: float) -> Story:
        """Sweep as the tick does, once a second, up to the moment."""
        for moment in range(int(until) + 1):
            while self.due_at is not None and self.due_at <= T0 + seconds(moment):
                self._kept(step(self.session, [], now=T0 + seconds(moment), patience=self.patience))
        return self

    def _kept(self, taken: Step) -> Story:
        # what a store keeps is what comes back
        self.session, self.due_at = come_back(taken.session), taken.due_at
        for envelope in taken.envelopes:
            if envelope.kind == Kind.EVENT:
                assert isinstance(envelope.body, bytes)
                self.said.append(orjson.loads(envelope.body))
            else:
                self.ordered.append(envelope)
        assert sum(envelope.kind == Kind.EVENT for envelope in taken.envelopes) <= 1
        return self

    @property
    def types(self) -> list[str]:
        return [event["type"].removeprefix("callstitch.").removesuffix(".v1") for event in self.said]

    @property
    def record(self) -> JsonObject:
        record: JsonObject = self.said[-1]["data"]["call"]
        return record
