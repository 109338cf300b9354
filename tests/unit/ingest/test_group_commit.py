"""One envelope that nobody can pack keeps no other from being stored, and the loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ingest.group_commit import GroupCommit
from runtime.broker.base import Message
from runtime.broker.embedded import open_embedded
from runtime.tasks import watched
from runtime.telemetry import Telemetry
from schemas.envelope import BUNDLE_BYTES
from schemas.errors import Unconfirmed, Unroutable
from schemas.topology import RECEIVED, topology
from tests.building.loops import IDS, an_envelope, number, read

SECONDS = 30.0


async def test_what_cannot_be_packed_is_refused_alone() -> None:
    poison = replace(an_envelope(1), body={"n": 1, "path": "/\udcff"})  # a lone surrogate: JSON has none
    async with open_embedded(None) as broker:
        await broker.declare(topology([], []))
        commit = GroupCommit(broker, IDS, Telemetry().bundles)
        async with watched(commit.run()):
            bundle = [an_envelope(0), poison, an_envelope(2)]
            waiting = [commit.store(envelope, timeout_seconds=SECONDS) for envelope in bundle]
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(one) for one in found] == [type(None), Unconfirmed, type(None)]
            with pytest.raises(Unconfirmed, match="cannot be packed"):
                await commit.store(poison, timeout_seconds=SECONDS)
            await commit.store(an_envelope(3), timeout_seconds=SECONDS)
            assert commit.trouble == ""
        assert [number(envelope) for envelope in await read(broker, RECEIVED, expected=3)] == [0, 2, 3]


async def test_it_tells_why_it_stores_nothing_until_it_does() -> None:
    async with open_embedded(None) as broker:
        commit = GroupCommit(broker, IDS, Telemetry().bundles)
        async with watched(commit.run()):
            with pytest.raises(Unroutable):
                await commit.store(an_envelope(0), timeout_seconds=SECONDS)
            assert commit.trouble == f"unroutable: no queue takes {RECEIVED} (`callstitch declare` makes it)"
            await broker.declare(topology([], []))
            await commit.store(an_envelope(1), timeout_seconds=SECONDS)
            assert commit.trouble == ""


async def test_what_the_broker_takes_never_is_refused_alone_and_is_no_trouble_of_the_door() -> None:
    large = replace(an_envelope(1), body={"n": 1, "pad": "x" * BUNDLE_BYTES})
    async with open_embedded(None, message_bytes=BUNDLE_BYTES) as broker:
        await broker.declare(topology([], []))
        commit = GroupCommit(broker, IDS, Telemetry().bundles)
        async with watched(commit.run()):
            bundle = [an_envelope(0), large, an_envelope(2)]
            waiting = [commit.store(envelope, timeout_seconds=SECONDS) for envelope in bundle]
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(one) for one in found] == [type(None), Unconfirmed, type(None)]
            assert commit.trouble == ""
        assert [number(envelope) for envelope in await read(broker, RECEIVED, expected=2)] == [0, 2]


class Gone:
    """A broker that is known to take nothing, and has not given up."""

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble

    async def publish(self, _: Sequence[Message]) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("trouble", "why", "text"),
    [
        ("alarm: low on memory", "alarm", "low on memory"),
        ("away: no connection", "away", "no connection"),
        ("late: 1 confirm(s) are overdue", "late", "no confirm before the door's deadline"),
        ("", "late", "no confirm before the door's deadline"),
    ],
)
async def test_a_deadline_says_what_the_broker_is_known_to_suffer_from(trouble: str, why: str, text: str) -> None:
    commit = GroupCommit(Gone(trouble), IDS, Telemetry().bundles)
    async with watched(commit.run()):
        with pytest.raises(Unconfirmed) as failed:
            await commit.store(an_envelope(0), timeout_seconds=0.0)
    assert (failed.value.why, str(failed.value)) == (why, text)


class OnlyThere:
    """A broker that stores the first of the messages it is given, and finds no queue for the others."""

    trouble = ""

    async def publish(self, batch: Sequence[Message]) -> None:
        raise Unroutable(frozenset(message.message_id for message in batch[1:]))


async def test_who_was_stored_is_told_so_though_others_found_no_queue() -> None:
    commit = GroupCommit(OnlyThere(), IDS, Telemetry().bundles)
    large = [replace(an_envelope(n), body={"n": n, "pad": "x" * BUNDLE_BYTES}) for n in range(2)]
    async with watched(commit.run()):
        waiting = [commit.store(envelope, timeout_seconds=SECONDS) for envelope in large]
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in found] == [type(None), Unroutable]


class SlowDisk:
    """A broker that confirms only the first of the messages it is given."""

    trouble = ""

    async def publish(self, batch: Sequence[Message]) -> None:
        raise Unconfirmed("late", frozenset(message.message_id for message in batch[1:]))


async def test_who_was_stored_is_told_so_though_others_were_not() -> None:
    commit = GroupCommit(SlowDisk(), IDS, Telemetry().bundles)
    large = [replace(an_envelope(n), body={"n": n, "pad": "x" * BUNDLE_BYTES}) for n in range(2)]
    async with watched(commit.run()):
        waiting = [commit.store(envelope, timeout_seconds=SECONDS) for envelope in large]
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in found] == [type(None), Unconfirmed]
