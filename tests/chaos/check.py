"""The checker: what the platform was answered 200, against what a consumer could read and what the store counted."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from console.demo.check import Truth, faults
from console.reading import ask_store
from runtime.broker import open_broker
from schemas.envelope import JsonObject
from schemas.settings.addresses import broker_address, store_address
from tests.building.reading import all_totals, parked_by_box
from tests.chaos.consumer import Consumer
from tests.chaos.receiver import Receiver
from tests.chaos.tail import Events, Sent


@dataclass(kw_only=True)
class Findings:
    """Everything that is wrong, one sentence each; all of these must be empty."""

    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    two_bodies: list[str] = field(default_factory=list)
    completed_twice: list[str] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    webhook: list[str] = field(default_factory=list)
    not_drained: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        """Every sentence."""
        return [sentence for group in vars(self).values() for sentence in group]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Where the checker looks; `broker` is a RabbitMQ to ask for the depth of its queues, or None."""

    sent: Sent
    events: Events
    receiver: Receiver
    store: str
    broker: str | None
    queues: Sequence[str]
    consumer: Consumer | None


def is_quiet(evidence: Evidence) -> bool:
    """Whether all that the store made is delivered and nothing waits: cheap, so that it can be asked often."""
    return not any(_not_drained(evidence)) and not any(_undelivered(evidence)) and not any(_on_their_way(evidence))


def check(evidence: Evidence) -> Findings:
    """Compare everything; takes seconds after a long run."""
    events, receiver = evidence.events, evidence.receiver
    found = Findings(
        lost=[*_unaccounted(evidence), *_undelivered(evidence), *_not_taken(evidence)],
        two_bodies=[f"event {one}: one id with two bodies" for one in sorted(_two_bodies(evidence))],
        completed_twice=[f"{call}: more than one call.completed" for call in events.completed_twice()],
        parked=list(_parked(evidence.store)),
        webhook=list(_webhook(events, receiver)),
        not_drained=list(_not_drained(evidence)),
    )
    for session, fault in _record_faults(evidence.sent, events):
        (found.lost if _is_short(evidence.sent, events, session) else found.wrong).append(fault)
    return found


def _record_faults(sent: Sent, events: Events) -> Iterator[tuple[str, str]]:
    """For each call that is not as it should be, its session id and one sentence with all that is wrong."""
    calls = {session: row for session, row in sent.calls.items() if session in events or not _may_be_silent(row)}
    by_session: defaultdict[str, list[str]] = defaultdict(list)
    for fault in faults(Truth(calls=calls, end=sent.end), events.latest()):
        session, _, what = fault.partition(": ")
        by_session[session].append(what)
    for session, whats in by_session.items():
        yield session, f"{session}: {'; '.join(whats)}"


def _is_short(sent: Sent, events: Events, session: str) -> bool:
    """Whether something that was accepted is not in the record, rather than something in it being wrong."""
    if session not in events:
        return True
    record, row = events.record(session), sent.calls.get(session)
    if row is None:
        return False
    expect = row["expect"]
    return len(record["cdrs"]) < len(expect["cdrs"]) or len(record["timeline"]) < len(expect["timeline"])


def _may_be_silent(row: JsonObject) -> bool:
    """The platform gave up on the call's CDR: no record is due before a deadline that no run waits for."""
    return bool(row["given_up"]) and not row["expect"]["cdr_accepted"]


def _unaccounted(evidence: Evidence) -> Iterator[str]:
    end = evidence.sent.end
    if end is None:
        yield "the platform was not through in time"
        return
    counts = ask_store(store_address(evidence.store), all_totals)
    if counts["receipts"] < end["posts_200"]:
        yield f"{end['posts_200'] - counts['receipts']} posts that were answered 200 have no receipt"
    distinct = counts["unique"] + counts["amended"]
    if distinct < end["distinct_items_accepted"]:
        yield f"{end['distinct_items_accepted'] - distinct} distinct notifications were accepted and are not known"
    if (parts := distinct + counts["duplicate"] + counts["quarantined"]) != counts["items"]:
        yield f"{counts['items']} notifications were read, {parts} are accounted for one by one"


def _undelivered(evidence: Evidence) -> Iterator[str]:
    missing = ask_store(store_address(evidence.store), lambda reads: reads.event_ids()) - evidence.events.digests.keys()
    if missing:
        yield f"{len(missing)} events were made and did not reach the file"


def _on_their_way(evidence: Evidence) -> Iterator[str]:
    """Recordings to come: what fell due in a change of leaders is in no depth (docs/notes/amqp.md trap 27)."""
    events = evidence.events
    for session, row in evidence.sent.calls.items():
        if session in events and not _may_be_silent(row):
            states = [recording["state"] for recording in events.record(session)["recordings"]]
            if "wanted" in states and states.count("stored") < len(row["expect"]["recordings"]):
                yield f"{session}: a recording is still to come"


def _not_taken(evidence: Evidence) -> Iterator[str]:
    consumer = evidence.consumer
    if consumer is not None and (missing := evidence.events.digests.keys() - consumer.taken.keys()):
        yield f"{len(missing)} events did not reach the consumer of the narrow queue"


def _two_bodies(evidence: Evidence) -> set[str]:
    readers: list[Receiver | Consumer] = [evidence.receiver, *filter(None, [evidence.consumer])]
    digests = evidence.events.digests.items()
    between = {one for one, digest in digests for reader in readers if reader.bodies.get(one, digest) != digest}
    return evidence.events.two_bodies.union(between, *(reader.two_bodies for reader in readers))


def _parked(store: str) -> Iterator[str]:
    for box, groups in ask_store(store_address(store), parked_by_box).items():
        for group in groups:
            yield f"{group['count']} in {box} from {group['stage']}: {group['reason']}"


def _webhook(events: Events, receiver: Receiver) -> Iterator[str]:
    if missing := events.digests.keys() - receiver.accepted.keys():
        yield f"{len(missing)} events did not reach the webhook"
    if receiver.badly_signed:
        yield f"{receiver.badly_signed} webhook requests were not signed right"


def _not_drained(evidence: Evidence) -> Iterator[str]:
    silent = sum(_may_be_silent(row) for row in evidence.sent.calls.values())
    if (due := ask_store(store_address(evidence.store), lambda reads: reads.due())) > silent:
        yield f"{due} sessions still wait for a deadline"
    if missing := evidence.events.digests.keys() - evidence.receiver.accepted.keys():
        yield f"{len(missing)} events are still on their way to the webhook"
    yield from _not_taken(evidence)
    for queue, depth in _depths(evidence).items():
        if depth:
            yield f"{depth} message(s) in {queue}"


def _depths(evidence: Evidence) -> dict[str, int]:
    async def ask(url: str) -> dict[str, int]:
        async with open_broker(broker_address(url)) as broker:
            return dict(await broker.depths(evidence.queues))

    return asyncio.run(ask(evidence.broker)) if evidence.broker else {}
