"""What every sink promises (workers/fan_out.py), over all kinds of `AnySink`: a new one adds its rig to `RIGS`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.envelope import Envelope
from schemas.errors import Misconfigured, Permanent, Transient, Unavailable
from tests.contracts.sinks import KINDS, NUMBER, RIGS, SinkRig, an_event, now
from workers.config import Config
from workers.fan_out import Sink


@pytest.fixture(params=KINDS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SinkRig]:
    async with RIGS[request.param](tmp_path) as rig:
        yield rig


@pytest.fixture
async def sink(rig: SinkRig) -> AsyncIterator[Sink]:
    async with rig.settings().open(now) as opened:
        yield opened


def bodies(events: Iterable[Envelope]) -> set[bytes]:
    return {event.body for event in events if isinstance(event.body, bytes)}


async def errors_of(sink: Sink, batch: Sequence[Envelope]) -> Sequence[Exception | None]:
    """What came of each event; a sink that takes nothing may say so of the whole batch."""
    try:
        return await sink.write(batch)
    except Unavailable as error:
        return [error] * len(batch)


async def test_what_it_says_is_written_is_there_byte_for_byte(rig: SinkRig, sink: Sink) -> None:
    first, second = [an_event(n) for n in range(3)], [an_event(n) for n in range(3, 40)]
    assert await sink.write(first) == [None] * 3
    assert set(rig.received()) == bodies(first)
    assert await sink.write(second) == [None] * 37
    assert set(rig.received()) == bodies(first + second)


async def test_an_event_may_come_again(rig: SinkRig, sink: Sink) -> None:
    assert await sink.write([an_event(1)]) == [None]
    assert await sink.write([an_event(1), an_event(2), an_event(1)]) == [None] * 3
    assert set(rig.received()) == bodies([an_event(1), an_event(2)])


async def test_an_event_that_it_refuses_is_refused_alone(rig: SinkRig, sink: Sink) -> None:
    results = await sink.write([an_event(1), rig.refused_alone(an_event(2)), an_event(3)])
    assert [error is None for error in results] == [True, False, True]
    assert isinstance(results[1], Transient | Permanent)
    assert NUMBER not in str(results[1])
    assert set(rig.received()) == bodies([an_event(1), an_event(3)])


async def test_a_target_that_takes_nothing_is_told_of_and_nothing_is_left_half_written(
    rig: SinkRig, sink: Sink
) -> None:
    events = [an_event(n) for n in range(9)]
    await sink.write(events[:1])
    with rig.refusing():
        refused = await errors_of(sink, events)
    assert len(refused) == len(events)
    assert all(isinstance(error, Unavailable | Transient) for error in refused)
    assert [str(error) for error in refused if NUMBER in str(error)] == []
    assert set(rig.received()) == bodies(events[:1])

    assert await sink.write(events) == [None] * 9
    assert set(rig.received()) == bodies(events)


async def test_a_slow_target_holds_up_nobody_else(rig: SinkRig, sink: Sink, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(make(tmp_path / f"of-{kind}")) for kind, make in RIGS.items()]
        held = stack.enter_context(rig.holding())
        writing = asyncio.create_task(sink.write([an_event(1), an_event(2)]))
        await held.reached()
        for other in others:
            async with other.settings().open(now) as quick:
                assert await quick.write([an_event(3)]) == [None]
        assert not writing.done()
        held.let_go()
        assert await writing == [None, None]
    assert set(rig.received()) == bodies([an_event(1), an_event(2)])


async def test_a_cancelled_write_leaves_whole_events_or_none(rig: SinkRig) -> None:
    events = [an_event(n) for n in range(5)]
    async with rig.settings().open(now) as sink:
        with rig.holding() as held:
            writing = asyncio.create_task(sink.write(events))
            await held.reached()
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
    assert set(rig.received()) <= bodies(events)
    async with rig.settings().open(now) as sink:
        assert await sink.write(events) == [None] * 5
    assert set(rig.received()) == bodies(events)


async def test_batches_written_at_once_do_not_mix(rig: SinkRig, sink: Sink) -> None:
    batches = [[an_event(n), an_event(100 + n)] for n in range(20)]
    assert await asyncio.gather(*map(sink.write, batches)) == [[None, None]] * 20
    assert set(rig.received()) == bodies(event for batch in batches for event in batch)


async def test_what_was_written_stays_when_it_is_closed_and_opened_again(rig: SinkRig) -> None:
    for n in range(3):
        async with rig.settings().open(now) as sink:
            assert await sink.write([an_event(n)]) == [None]
    assert set(rig.received()) == bodies(an_event(n) for n in range(3))


async def test_a_target_for_one_process_is_opened_once(rig: SinkRig, sink: Sink) -> None:
    """The supervisor gives it to one process by `one_process`; two that share it by mistake are told."""
    if not rig.settings().one_process:
        async with rig.settings().open(now) as second:
            assert [await one.write([an_event(1)]) for one in (sink, second)] == [[None], [None]]
        return
    with pytest.raises(Misconfigured):
        async with rig.settings().open(now):
            pass
    assert await sink.write([an_event(1)]) == [None]


def test_its_kind_names_it_in_the_config_and_a_fault_repeats_no_value(rig: SinkRig) -> None:
    table = rig.settings().model_dump()
    assert Config.model_validate({"sink": [table]}).sink == (rig.settings(),)
    with pytest.raises(ValidationError, match="extra_forbidden") as refused:
        Config.model_validate({"sink": [{**table, "no_such_key": NUMBER}]})
    assert NUMBER not in str(refused.value)
