"""Both doors over time: pushes that wait for their confirm, peers that are slow or gone, limits, drains and bugs.

tests/integration/test_both_doors.py has the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any, Final

import pytest

import ingest.body
from ingest import server
from schemas.envelope import Envelope
from tests.building.door_plays import PUSH, SOURCES, signed
from tests.building.loops import until
from tests.building.two_doors import TOKEN, AtDoor, a_door, a_push, on_uvloop, statuses, with_a_dialect, without_dates

SHORT_SECONDS: Final = 0.6
WAYS: Final = (False, True)


@asynccontextmanager
async def both(seen: list[Any], short_way: bool, **options: Any) -> AsyncIterator[AtDoor]:
    async with a_door(SOURCES, short_way=short_way, **options) as door:
        yield door
        seen.append(door.seen())


@on_uvloop
async def test_what_cannot_be_stored_is_refused_and_the_connection_stays() -> None:
    seen: list[Any] = []
    for way in WAYS:
        async with both(seen, way, declared=False) as door:
            wire = await door.connect()
            heard = b""
            for _ in range(2):
                wire.send(PUSH)
                heard += await wire.answers(1)
            assert (statuses(heard), heard.count(b"Retry-After: 5\r\n")) == ([503] * 2, 2)
            seen.append(without_dates(heard))
    assert seen[:2] == seen[2:]
    assert seen[1]["unstored"] == {("unroutable",): 2.0}


@on_uvloop
async def test_what_comes_while_a_push_waits_is_answered_after_it_in_its_order() -> None:
    for way in WAYS:
        async with a_door(SOURCES, short_way=way) as door:
            door.broker.open.clear()
            wire = await door.connect()
            wire.send(PUSH)
            await door.asked()
            for _ in range(40):
                wire.send(a_push("/v1/huawei-x/other"), PUSH)
            assert await wire.quiet() == b""
            door.broker.open.set()
            assert statuses(await wire.answers(81)) == [200] + [404, 200] * 40


@on_uvloop
async def test_a_peer_that_reads_nothing_gets_all_of_it_in_order_once_it_reads() -> None:
    for way in WAYS:
        async with a_door(SOURCES, short_way=way) as door:
            wire = await door.connect()
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(600):
                wire.send(PUSH, a_push("/v1/huawei-x/other"))
            wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert statuses(await wire.answers(1200)) == [200, 404] * 600


@on_uvloop
async def test_a_push_of_a_peer_that_is_gone_is_stored_all_the_same() -> None:
    seen: list[Any] = []
    for way in WAYS:
        async with both(seen, way) as door:
            door.broker.open.clear()
            wire = await door.connect()
            wire.send(PUSH)
            await door.asked()
            wire.writer.transport.abort()
            await until(lambda: door.connections == 0)
            door.broker.open.set()
            await until(lambda: door.seen()["accepted"]["huawei-x"] == 1)
    assert seen[0] == seen[1]
    assert seen[1]["answered"]["huawei-x"] == {200: 1}


@on_uvloop
async def test_a_half_closed_peer_hears_what_both_doors_say_while_its_push_waits() -> None:
    seen: list[Any] = []
    for way in WAYS:
        async with both(seen, way) as door:
            door.broker.open.clear()
            wire = await door.connect()
            wire.send(PUSH)
            await door.asked()
            wire.send_no_more()
            heard = await wire.quiet()
            door.broker.open.set()
            seen.append(heard + await wire.quiet())
    assert seen[:2] == seen[2:]


@pytest.mark.parametrize("before", [True, False])
@on_uvloop
async def test_a_door_that_leaves_says_so_with_each_answer(*, before: bool) -> None:
    seen: list[Any] = []
    for way in WAYS:
        async with both(seen, way) as door:
            door.broker.open.clear()
            door.state.leaving = before
            wire = await door.connect()
            wire.send(PUSH)
            await door.asked()
            door.state.leaving = True
            door.broker.open.set()
            heard = await wire.end()
            assert (statuses(heard), b"Connection: close" in heard) == ([200], True)
            seen.append(without_dates(heard))
    assert seen[:2] == seen[2:]


@on_uvloop
async def test_a_drain_in_the_middle_answers_what_is_under_way_and_closes_the_rest() -> None:
    seen: list[Any] = []
    for way in WAYS:
        async with a_door(SOURCES, short_way=way) as door:
            idle, used, busy = [await door.connect() for _ in range(3)]
            used.send(PUSH)
            await used.answers(1)
            door.broker.asked.clear()
            door.broker.open.clear()
            busy.send(PUSH)
            await door.asked()
            asyncio.get_running_loop().call_later(0.3, door.broker.open.set)
            ends = [asyncio.ensure_future(one.end()) for one in (idle, used, busy)]
            wires, door.wires[:] = list(door.wires), []
        heard = [without_dates(await end) for end in ends]
        for wire in wires:
            wire.writer.close()
        assert [statuses(one) for one in heard] == [[], [], [200]]
        assert b"Connection: close" not in heard[2], "aiohttp closes without saying so before"
        seen.append((heard, door.seen()))
    assert seen[0] == seen[1]


@on_uvloop
async def test_a_silent_connection_is_closed_and_one_whose_push_waits_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEPALIVE_SECONDS", SHORT_SECONDS)
    for way in WAYS:
        async with a_door(SOURCES, short_way=way) as door:
            silent, trickling, used, waiting = [await door.connect() for _ in range(4)]
            trickling.send(PUSH[:20])
            used.send(PUSH)
            assert statuses(await used.answers(1)) == [200]
            door.broker.asked.clear()
            door.broker.open.clear()
            waiting.send(PUSH)
            await door.asked()
            assert [await one.end() for one in (silent, trickling, used)] == [b""] * 3
            await asyncio.sleep(2 * SHORT_SECONDS)
            door.broker.open.set()
            assert statuses(await waiting.answers(1)) == [200]
            waiting.send(PUSH)
            assert statuses(await waiting.answers(1)) == [200]
            assert await waiting.end() == b"", "and it is closed in its turn"


@on_uvloop
async def test_a_body_that_stops_is_refused_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest.body, "BODY_SECONDS", SHORT_SECONDS)
    seen: list[Any] = []
    for way in WAYS:
        async with both(seen, way) as door:
            wire = await door.connect()
            wire.send(PUSH, PUSH[:-1])
            heard = await wire.answers(2)  # it then reads on for ten seconds, and closes
            assert statuses(heard) == [200, 408]
            seen.append(without_dates(heard))
    assert seen[:2] == seen[2:]


@pytest.mark.parametrize(("connections", "each"), [(3, 0), (1000, 3)])
@on_uvloop
async def test_whoever_does_nothing_makes_room_and_whoever_waits_does_not(connections: int, each: int) -> None:
    for way in WAYS:
        async with a_door(SOURCES, short_way=way, connections=connections, each=each) as door:
            busy, first, second = [await door.connect() for _ in range(3)]
            for one in (first, second, first):
                one.send(PUSH)
                await one.answers(1)
            door.broker.asked.clear()
            door.broker.open.clear()
            busy.send(PUSH)
            await door.asked()
            newest = await door.connect()
            assert await second.end() == b"", "it was used before the other"
            door.broker.open.set()
            assert statuses(await busy.answers(1)) == [200]
            for one in (first, newest):
                one.send(PUSH)
                assert statuses(await one.answers(1)) == [200]
            assert [line["event"] for line in door.log] == ["port.connections_full"]


@on_uvloop
async def test_one_source_has_its_share_of_all_that_is_under_way() -> None:
    seen: list[Any] = []
    for way in WAYS:
        async with both(seen, way, connections=4) as door:
            door.broker.open.clear()
            waiting = [await door.connect() for _ in range(2)]
            for one in waiting:
                one.send(PUSH)
                await one.quiet()
            late = await door.connect()
            late.send(PUSH)
            heard = await late.answers(1)
            other = await door.connect()
            other.send(a_push(f"/v1/jiuyun/{TOKEN}"))
            door.broker.open.set()
            assert statuses(heard) == [503]
            assert [statuses(await one.quiet()) for one in (*waiting, other)] == [[200]] * 3
            late.send(PUSH)
            assert statuses(await late.answers(1)) == [200], "nothing is held for good"
            seen.append(without_dates(heard))
    assert seen[:2] == seen[2:]


@on_uvloop
async def test_bodies_that_wait_are_counted_together() -> None:
    for way in WAYS:
        async with a_door(SOURCES, short_way=way) as door:
            door.broker.open.clear()
            heard = []
            for _ in range(4):
                wire = await door.connect()
                wire.send(a_push(body=b"x" * 50_000))
                heard.append(wire)
                await wire.quiet()
            door.broker.open.set()
            assert [statuses(await wire.quiet()) for wire in heard] == [[200]] * 4


@pytest.mark.parametrize("broken", ["verify", "reply"])
@pytest.mark.filterwarnings("ignore")
@on_uvloop
async def test_a_bug_is_a_500_at_both_doors(broken: str) -> None:
    def bug(*_: Any) -> Any:
        raise ZeroDivisionError

    seen: list[Any] = []
    for way in WAYS:
        async with both(seen, way, dialects=with_a_dialect("huawei_privatenumber", **{broken: bug})) as door:
            wire = await door.connect()
            wire.send(signed("1"))
            seen.append(without_dates(await wire.end()))
            assert statuses(seen[-1]) == [500]
    assert seen[:2] == seen[2:]


class Told:
    """A tracing that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    @contextmanager
    def accepting(self, source: str, started: float) -> Iterator[str]:
        assert started > 0
        try:
            yield f"00-{1:032x}-{1:016x}-01"
        except Exception as error:
            self.told.append((source, str(error)))
            raise
        self.told.append((source, ""))

    def storing(self, _: Iterable[Envelope]) -> AbstractContextManager[object]:
        return nullcontext()


@pytest.mark.parametrize("declared", [True, False])
@on_uvloop
async def test_the_trace_of_a_push_ends_with_what_became_of_it(*, declared: bool) -> None:
    seen: list[Any] = []
    for way in WAYS:
        tracing: Any = Told()
        async with both(seen, way, tracing=tracing, declared=declared) as door:
            wire = await door.connect()
            for sent in (PUSH, signed("1"), signed("2", "wrong")):
                wire.send(sent)
                await wire.answers(1)
        assert [source for source, _ in tracing.told] == ["huawei-x", "signed"]
        seen.append(tracing.told)
    assert seen[:2] == seen[2:]
