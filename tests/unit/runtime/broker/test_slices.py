"""How a large publish is cut, what its deadline is, and what its errors name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from runtime.broker.base import Message
from runtime.broker.slices import BYTES_A_SECOND, SLICE_BYTES, in_slices
from schemas.errors import Refused, Unconfirmed, Unroutable

MOST: Final = 2 * SLICE_BYTES


def a_message(name: str, size: int) -> Message:
    return Message(exchange="", routing_key="q", body=b"x" * size, content_type="", message_id=name)


class Disk:
    """Takes slices, and raises what it is told to for a slice that holds a message of that name."""

    def __init__(self, **raises: Exception) -> None:
        self.taken: list[tuple[str, float]] = []
        self._raises = raises

    async def __call__(self, part: Sequence[Message], seconds: float) -> None:
        self.taken.append(("".join(message.message_id for message in part), seconds))
        for message in part:
            if message.message_id in self._raises:
                raise self._raises[message.message_id]


async def publish(disk: Disk, **sizes: int) -> None:
    await in_slices([a_message(name, size) for name, size in sizes.items()], disk, most=MOST, seconds=3)


async def test_what_is_small_goes_as_one() -> None:
    disk = Disk()
    await publish(disk, a=10, b=20)
    assert disk.taken == [("ab", 3 + 30 / BYTES_A_SECOND)]


async def test_each_slice_has_a_deadline_of_its_own_that_grows_with_its_bytes() -> None:
    disk = Disk()
    await publish(disk, a=10, b=SLICE_BYTES - 10, c=1, d=SLICE_BYTES + 1, e=7)
    assert [names for names, _ in disk.taken] == ["ab", "c", "d", "e"]
    assert [seconds - 3 for _, seconds in disk.taken] == pytest.approx([4, 1e-6, 4, 7e-6], abs=1e-5)


async def test_what_is_confirmed_is_not_named_as_open() -> None:
    disk = Disk(c=Unconfirmed("late", frozenset("c")))
    with pytest.raises(Unconfirmed, match="late") as unconfirmed:
        await publish(disk, a=SLICE_BYTES, b=SLICE_BYTES, c=10, d=10, e=SLICE_BYTES)
    assert unconfirmed.value.message_ids == set("ce")
    assert [names for names, _ in disk.taken] == ["a", "b", "cd"]


async def test_what_was_returned_or_is_too_large_stays_open_when_a_later_slice_is_not_confirmed() -> None:
    disk = Disk(a=Unroutable(frozenset("a")), c=Unconfirmed("late", frozenset("c")))
    with pytest.raises(Unconfirmed) as unconfirmed:
        await publish(disk, a=SLICE_BYTES, b=MOST + 1, c=10)
    assert unconfirmed.value.message_ids == set("abc")


async def test_what_is_too_large_is_never_sent_and_everything_else_is() -> None:
    disk = Disk(c=Unroutable(frozenset("c")))
    with pytest.raises(Refused) as refused:
        await publish(disk, a=10, b=MOST + 1, c=SLICE_BYTES, d=SLICE_BYTES)
    assert (refused.value.message_ids, refused.value.open_ids) == (frozenset("b"), frozenset("c"))
    assert [names for names, _ in disk.taken] == ["a", "c", "d"]
