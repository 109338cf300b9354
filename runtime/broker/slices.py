"""A large publish goes in slices: each is confirmed before the next is sent, with a deadline that grows with its bytes.

So what a handler made of a batch is never in a broker's buffers as a whole, and a slow disk costs time, not the same
bytes again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from runtime.broker.base import Message
from schemas.errors import Refused, Unconfirmed, Unroutable

SLICE_BYTES: Final = 4 * 1024 * 1024
BYTES_A_SECOND: Final = 1024 * 1024  # of a disk that is waited for

PublishSlice = Callable[[Sequence[Message], float], Awaitable[None]]


async def in_slices(batch: Sequence[Message], publish: PublishSlice, *, most: int, seconds: float) -> None:
    """Call `publish(slice, seconds)` for slice after slice; a body of more than `most` bytes is refused unsent.

    Raises:
        Refused, Unroutable, Unconfirmed: as `Broker.publish`, of all of the batch.
    """
    size = sum([len(message.body) for message in batch])
    if size <= SLICE_BYTES and size <= most:
        return await publish(batch, seconds + size / BYTES_A_SECOND)
    left = [message for message in batch if len(message.body) <= most]
    refused = {message.message_id for message in batch if len(message.body) > most}
    unrouted: set[str] = set()
    while left:
        part, size = _first(left)
        left = left[len(part) :]
        try:
            await publish(part, seconds + size / BYTES_A_SECOND)
        except Unroutable as error:
            unrouted |= error.message_ids
        except Refused as error:
            refused |= error.message_ids
            unrouted |= error.open_ids
        except Unconfirmed as error:
            still_open = {*error.message_ids, *(message.message_id for message in left), *unrouted, *refused}
            raise Unconfirmed(str(error), frozenset(still_open), why=error.why) from None
    if refused:
        raise Refused(frozenset(refused), open_ids=frozenset(unrouted))
    if unrouted:
        raise Unroutable(frozenset(unrouted))
    return None


def _first(left: Sequence[Message]) -> tuple[Sequence[Message], int]:
    """The next slice, at least one message, and its bytes."""
    size = 0
    for n, message in enumerate(left):
        if n and size + len(message.body) > SLICE_BYTES:
            return left[:n], size
        size += len(message.body)
    return left, size
