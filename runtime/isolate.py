"""Isolation: an exception means the whole batch, so the batch is halved until the culprit stands alone."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.envelope import Envelope
from schemas.errors import Unavailable
from schemas.stage import Failed, Handler


async def run_isolated(handle: Handler, batch: Sequence[Envelope]) -> list[Envelope | Failed]:
    """What the handler makes of the batch, with a `Failed` for each envelope that makes it raise.

    Handlers can be run again on the same envelope (claims and folds absorb it), so halving is harmless.

    Raises:
        Unavailable: something of ours is away; nobody in the batch is to blame.
    """
    if not batch:
        return []
    try:
        return list(await handle(batch))
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a handler raises has to end in a verdict
        if len(batch) == 1:
            return [Failed(batch[0], error)]
    middle = len(batch) // 2
    return await run_isolated(handle, batch[:middle]) + await run_isolated(handle, batch[middle:])
