"""Poison that kills the process: one envelope of a bundle, at which every process that handles it dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from console.demo.check import Truth, faults
from console.reading import ask_store
from runtime.broker import open_broker
from runtime.crash import EXIT_CODE, VARIABLE
from runtime.poison import REASON
from runtime.wire import bundles, monotonic_message_ids
from schemas.envelope import Envelope, Kind, new_id
from schemas.errors import Misconfigured
from schemas.notification import Notification, to_json
from schemas.settings.addresses import broker_address, store_address
from schemas.topology import RECEIVED, UNIQUE, topology
from tests.e2e.programs import end, wait_for
from tests.e2e.running import Up, prepared_up
from tests.scenarios.stacks import Stack
from tests.scenarios.traffic import Post, rounds
from workers.stores.reads import ParkedReads

MOST_DEATHS: Final = 9  # twice in its bundle, once among all, once among four, three times alone; two to spare
SECONDS: Final = 150.0  # every death costs a start


def test_poison_alone_is_dead_lettered_and_the_rest_of_its_bundle_is_done(stack: Stack, tmp_path: Path) -> None:
    (traffic,) = rounds(1)
    posts = [*traffic.first(), *traffic.second()]
    bundle = [notified(post, second=n) for n, post in enumerate(posts)]
    (poison,) = (envelope for envelope in bundle if traffic.marker in str(envelope.body))
    asyncio.run(published(stack.broker, in_the_middle(poison, bundle)))

    up = prepared_up(tmp_path, broker=stack.broker, store=stack.store, settle="300ms")
    up.environ = {**up.environ, VARIABLE: f"dedupe.before_handle={traffic.marker}"}
    healthy = {call.session_id for call in (traffic.plain, traffic.corrected)}
    truth = Truth(calls={session: line for session, line in traffic.truth() if session in healthy}, end=None)
    try:
        deaths = supervised(up, until=lambda: bool(dead_letters(stack)) and not faults(truth, up.events()))
    finally:
        end(up)
    assert deaths <= MOST_DEATHS
    ((letter, reason),) = dead_letters(stack)
    assert (letter["body"]["envelope"]["id"], reason) == (poison.id, REASON)
    (counts,) = ask_store(store_address(stack.store), lambda reads: reads.books.ledger())
    assert (counts["receipts"], counts["duplicate"]) == (len(bundle) - 1, 2)


@pytest.mark.parametrize(
    "stack_kind", [("embedded", "sqlite")]
)  # a dozen deaths, each with a start: where that is short
def test_what_kills_while_it_is_folded_is_buried_as_a_fact_and_the_ledger_balances(
    stack: Stack, tmp_path: Path
) -> None:
    (traffic,) = rounds(1)
    bundle = [notified(post, second=n) for n, post in enumerate([*traffic.first(), *traffic.second()])]
    asyncio.run(published(stack.broker, bundle))

    up = prepared_up(tmp_path, broker=stack.broker, store=stack.store, settle="300ms")
    up.environ = {**up.environ, VARIABLE: f"correlate.before_handle={traffic.marker}"}
    healthy = {call.session_id for call in (traffic.plain, traffic.corrected)}
    truth = Truth(calls={session: line for session, line in traffic.truth() if session in healthy}, end=None)
    try:
        deaths = supervised(up, until=lambda: bool(dead_letters(stack)) and not faults(truth, up.events()))
    finally:
        end(up)
    assert deaths <= 1 + MOST_DEATHS
    ((letter, reason),) = dead_letters(stack)
    assert (letter["body"]["stage"], letter["body"]["envelope"]["kind"], reason) == (UNIQUE, Kind.FACT, REASON)
    (counts,) = ask_store(store_address(stack.store), lambda reads: reads.books.ledger())
    assert counts["receipts"] == len(bundle)


def in_the_middle(poison: Envelope, bundle: Sequence[Envelope]) -> list[Envelope]:
    """The poison with healthy neighbours on both sides, however the bundle is cut into batches."""
    others = [envelope for envelope in bundle if envelope is not poison]
    return [*others[:5], poison, *others[5:]]


def notified(post: Post, *, second: int) -> Envelope:
    """A push as the door keeps it, one a second, so that the correction is later than what it corrects."""
    path, body = post
    at = datetime.now(UTC) - timedelta(minutes=5) + timedelta(seconds=second)
    raw = Notification(path=path, remote="127.0.0.1", content_type="application/json", body=body)
    return Envelope(id=new_id(at), kind=Kind.NOTIFICATION, source="huawei", at=at, body=to_json(raw), trace="t")


async def published(url: str, envelopes: Sequence[Envelope]) -> None:
    """Put all of them on the queue as one bundle."""
    (bundle,) = bundles(envelopes, "", RECEIVED, monotonic_message_ids("test"))
    async with open_broker(broker_address(url)) as broker:
        await broker.declare(topology([]))
        await broker.publish([bundle])


def supervised(up: Up, *, until: Callable[[], bool]) -> int:
    """Start it, and again whenever it dies, as a supervisor does; returns how often it died."""
    deaths = 0
    up.start(ready=False)

    def is_over() -> bool:
        nonlocal deaths
        if (code := up.process.poll()) is not None:
            assert code == EXIT_CODE, up.tail()
            deaths += 1
            up.start(ready=False)
        return until()

    wait_for(is_over, SECONDS, why=up.tail)
    return deaths


def dead_letters(stack: Stack) -> list[tuple[dict[str, Any], str]]:
    """Dead letters as they were parked, each with its reason; none before the stores were first opened."""
    try:
        return ask_store(store_address(stack.store), _dead_letters)
    except Misconfigured:  # their file, or its tables, are not there yet
        return []


async def _dead_letters(reads: ParkedReads) -> list[tuple[dict[str, Any], str]]:
    found = [
        await reads.parked("dead", wanted=group["signature"], limit=100) for group in await reads.parked_groups("dead")
    ]
    return [(row["raw"], row["reason"]) for rows in found for row in rows]
