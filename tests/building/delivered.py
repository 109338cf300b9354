"""What `callstitch trace` tells of the deliveries of one call, in short."""

from __future__ import annotations

from console.trace.outlets import outlets_told
from tests.building.stores import StoreRig, asked
from workers.config import Config


async def delivered(rig: StoreRig, config: Config, call_id: str) -> dict[str, tuple[str, int]]:
    """By outlet the state of the one event of that call, and how many dead letters are named."""
    session = await asked(rig, lambda reads: reads.session(call_id))
    told = await asked(rig, lambda reads: outlets_told(reads, config, session or {}))
    return {one.name: (row.state, len(row.letters)) for one in told for row in one.events}
