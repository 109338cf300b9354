"""The demo's ledger: the platforms' totals against the store's counts and the events that were delivered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from console.demo.check import Truth
from console.ledger.account import read_ledger, totals
from schemas.envelope import JsonObject
from workers.config import Config
from workers.stores import open_reads

DECIDED: Final = "callstitch.call.decided.v1"
# A pure function of one fact, so that no store keeps them, but for some states of numbers (docs/design.md section 5).
TOLD_AT_ONCE: Final = frozenset(
    {DECIDED, "callstitch.call.progress.v1", "callstitch.number.changed.v1", "callstitch.platform.notified.v1"}
)


async def demo_ledger(config: Config, truth: Truth, events: list[JsonObject], *, now: datetime) -> JsonObject:
    """What the platforms say that they sent, what the store counted, what was delivered, and how these differ."""
    async with open_reads(config.store) as reads:
        counts = totals(await read_ledger(reads.books, now=now))
        made = await reads.event_ids()
        parked = {
            box: sum(group["count"] for group in await reads.parked_groups(box))
            for box in ("quarantine", "dead", "unrouted")
        }
    end = truth.end or {}
    delivered = {event["id"] for event in events if event["type"] not in TOLD_AT_ONCE or event["id"] in made}
    decided = {event["subject"] for event in events if event["type"] == DECIDED or _is_decided_sms(event)}
    differences = list(_differences(end, counts, made=made, delivered=delivered, parked=parked))
    repeated = len(events) - len({event["id"] for event in events})
    return {
        "platform": end,
        "ours": counts,
        "events": {
            "made": len(made),
            "delivered": len(delivered),
            "delivered_again": repeated,
            "decided": len(decided),
        },
        "parked": parked,
        "differences": differences,
    }


def _is_decided_sms(event: JsonObject) -> bool:
    """An SMS that waited has its decision in `sms.notified` alone."""
    return event["data"].get("sms", {}).get("decision") is not None


def _differences(
    end: JsonObject, ours: JsonObject, *, made: frozenset[str], delivered: set[str], parked: JsonObject
) -> Iterator[str]:
    accounted = ours["unique"] + ours["amended"] + ours["duplicate"] + ours["quarantined"]
    distinct = ours["unique"] + ours["amended"]
    if ours["receipts"] < end["posts_200"]:
        yield f"{end['posts_200'] - ours['receipts']} posts were answered 200 and have no receipt"
    if ours["items"] != accounted:
        yield f"{ours['items']} items, but {accounted} are accounted for"
    if distinct < end["distinct_items_accepted"]:
        yield f"{end['distinct_items_accepted']} distinct items were accepted, {distinct} are known"
    told, played = end["calls_told"] + end["messages_told"], end["calls"] + end["messages"]
    if not told <= ours["sessions"] <= played:
        yield f"{told} calls and SMS were told of {played} played, {ours['sessions']} sessions are known"
    yield from (f"the platform's side: {fault}" for fault in end["faults"])
    if made != delivered:
        yield f"{len(made - delivered)} events were made and not delivered, {len(delivered - made)} the other way round"
    for box, count in parked.items():
        if count:
            yield f"{count} message(s) in {box}"
