"""What is known of each sink beside the config: whether an operator paused it, how its last batch ended, its log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from schemas.value import value
from workers.stores.deliveries import DeliveryStore


@value
class SinkState:
    """One sink; `resumed_at` is when an operator last said so, `outcome` how its last batch ended, in a few words.

    `away_at`: since when its far end is away.
    """

    paused_at: datetime | None = None
    paused_by: str = ""
    resumed_at: datetime | None = None
    outcome: str = ""
    outcome_at: datetime | None = None
    away_at: datetime | None = None


class SinkStore(DeliveryStore, Protocol):
    """Shared by all processes that serve sinks, and by the operator's commands; Unavailable as for every store."""

    async def sinks(self) -> Mapping[str, SinkState]:
        """What is known, by the sink's name; one of which nothing is known is not in it."""
        ...

    async def pause(self, name: str, *, by: str, now: datetime) -> bool:
        """Let it rest until it is resumed; False when it does already, which stays as it is."""
        ...

    async def resume(self, name: str, *, now: datetime) -> None:
        """Let it go on, whether an operator paused it or its endpoint asked for that."""
        ...

    async def away(self, name: str, since: datetime | None) -> None:
        """Keep since when its far end is away; None: it is back."""
        ...

    async def tell(self, name: str, outcome: str, *, now: datetime) -> None:
        """Keep how its last batch ended."""
        ...
