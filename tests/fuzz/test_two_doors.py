"""Whatever bytes reach the door, in whatever pieces: the short way and the long way say and store the same."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final

import orjson

from tests.building.door_plays import ONCE_PUSH, PATH, PUSH, SOURCES, signed
from tests.building.two_doors import TOKEN, AtDoor, a_door, a_push, on_uvloop, without_dates
from tests.fuzz.wire import bent

SEED: Final = int(os.environ.get("CALLSTITCH_DOORS_SEED", "1"))
TALKS: Final = int(os.environ.get("CALLSTITCH_DOORS_TALKS", "300"))
AT_ONCE: Final = 30
TIMES: Final = 4  # whether two pieces are read as one is the kernel's, and aiohttp answers some bytes by that
SILENCE_SECONDS: Final = 0.25
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
REQUESTS: Final = [
    *[PUSH] * 4,
    a_push(PATH, b"[" * 5000, "Content-Encoding: gzip"),
    a_push(PATH).replace(b"Content-Length: 2", b"Transfer-Encoding: chunked").replace(b"{}", b"2\r\n{}\r\n0\r\n\r\n"),
    a_push(PATH, b"{}", "Connection: close"),
    a_push(PATH, b"{}", "Expect: 100-continue"),
    a_push(PATH, b"{}", http="1.0"),
    a_push(PATH, method="GET"),
    a_push("/v1/nobody/nothing"),
    a_push(f"/v1/jiuyun/{TOKEN}?a=b#c"),
    a_push(f"/v1/asking/{TOKEN}"),
    ONCE_PUSH,
    signed("1"),
]
Pieces = Sequence[bytes]


def a_talk(rng: Random) -> Pieces:
    """What one connection sends: requests, most of them bent, in one piece or some."""
    count = rng.choice([1, 1, 2, 4])
    sent = b"".join(bent(rng, REQUESTS) if rng.random() < 0.7 else rng.choice(REQUESTS) for _ in range(count))
    if rng.random() < 0.05:
        sent = rng.randbytes(rng.randint(1, 300))
    cuts = sorted(rng.randint(0, len(sent)) for _ in range(rng.choice([0, 0, 1, 3])))
    return [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True) if end > start]


async def heard(door: AtDoor, pieces: Pieces) -> bytes:
    wire, read = await door.connect(), b""
    for piece in pieces:
        wire.send(piece)
        await asyncio.sleep(0.005)
    read += await wire.quiet(SILENCE_SECONDS)
    if not read.endswith((b"closed", b"reset")):
        wire.send_no_more()
        read += await wire.quiet(10.0)
    wire.writer.close()
    return without_dates(read.removesuffix(b"reset").removesuffix(b"closed")).replace(CONTINUE, b"")


async def said(talks: Sequence[Pieces], *, short_way: bool) -> tuple[list[bytes], Counter[bytes]]:
    """What each heard, and what was stored."""
    async with a_door(SOURCES, short_way=short_way) as door:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(pieces: Pieces) -> bytes:
            async with slots:
                return await heard(door, pieces)

        answers = await asyncio.gather(*map(one, talks))
        stored = Counter(orjson.dumps([source, body]) for source, body in door.broker.taken)
        return answers, stored


@on_uvloop
async def test_both_doors_say_and_store_the_same_of_whatever_comes() -> None:
    rng = Random(SEED)  # noqa: S311 - the same bytes each time
    talks = [a_talk(rng) for _ in range(TALKS)]
    long, short = [await said(talks, short_way=way) for way in (False, True)]
    unlike = [n for n, (one, other) in enumerate(zip(long[0], short[0], strict=True)) if one != other]
    for n in unlike:
        assert await _are_alike(talks[n]), (SEED, n, talks[n], long[0][n], short[0][n])
    if not unlike:
        assert long[1] == short[1]
    assert long[1].total() > TALKS / 10, "most talks are refused: the comparison is empty"


async def _are_alike(pieces: Pieces) -> bool:
    """Alone, some times."""
    for _ in range(TIMES):
        one, other = [await said([pieces], short_way=way) for way in (False, True)]
        if one == other:
            return True
    return False
