"""Envelopes to messages and back: which route each kind takes, and what a broken message becomes."""

from __future__ import annotations

import base64
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import orjson

from runtime.broker.base import DEATH, DIED_IN, ROUTE, Delivery, Message
from runtime.events.batch import batches, events_of, is_batch
from runtime.events.edge import as_it_was, death_of, died_at_the_edge, identity, message_of, source_of
from runtime.events.messages import OUR_QUEUES, event_messages, goes_back, is_event, single_event
from schemas.envelope import (
    BUNDLE_CONTENT_TYPE,
    Envelope,
    Kind,
    decode_bundle,
    derived_id,
    encode_bundles,
    encode_envelope,
    quarantine_copy,
)
from schemas.errors import Malformed
from schemas.topology import DEAD, ROUTES, SINGLY, Forms, retry_exchange

BEGINNING_BYTES: Final = 4 * 1024  # of a message that is too large for the broker, kept in its dead letter
LETTER_BYTES: Final = 16 * BEGINNING_BYTES  # a dead letter of that kind is smaller: JSON may write six for one
SUSPICION: Final = "callstitch-suspicion"  # header: how much a bundle of one is suspected to kill (runtime/poison.py)

_BY_THE_BROKER: Final = "given up by the broker"
_DEATHS: Final[Mapping[str, str]] = {  # the broker's own words for why it moved a message to the dead letters
    "": _BY_THE_BROKER,
    "delivery_limit": "delivered too often",
    "expired": "expired in its queue: a policy of the broker limits its age",
    "maxlen": "its queue was full: a policy of the broker limits its length",
    "rejected": "rejected by a consumer that is none of ours",
}


def pack(envelopes: Sequence[Envelope], message_ids: Iterator[str], forms: Forms = SINGLY) -> list[Message]:
    """Events in the forms that are wanted, what is replayed to its one queue alone; everything else in bundles.

    One sequence of bundles per queue, order kept. Work for fetch_recording travels in bundles of one, because a
    download takes its own time.
    """
    by_kind: defaultdict[str, list[Envelope]] = defaultdict(list)
    for envelope in envelopes:
        by_kind[envelope.kind].append(envelope)
    unknown = by_kind.keys() - ROUTES.keys() - {Kind.EVENT, Kind.MESSAGE}
    if unknown:
        raise ValueError(f"no route for {sorted(unknown)}")
    messages = event_messages(by_kind[Kind.EVENT], message_ids, forms)
    for event in filter(goes_back, by_kind[Kind.EVENT]):
        messages.append(_alone(event, exchange="", queue=event.route, message_id=next(message_ids), headers={}))
    messages += [message_of(envelope, next(message_ids)) for envelope in by_kind[Kind.MESSAGE]]
    for kind, (exchange, queue) in ROUTES.items():
        chosen = by_kind[kind]
        groups: Iterable[Sequence[Envelope]] = [[one] for one in chosen] if kind == Kind.RECORDING_WANTED else [chosen]
        for group in groups:
            messages += bundles(group, exchange, queue, message_ids)
    return messages


def bundles(envelopes: Iterable[Envelope], exchange: str, routing_key: str, ids: Iterator[str]) -> list[Message]:
    """Envelopes as bundles for one queue."""
    return [
        Message(
            exchange=exchange,
            routing_key=routing_key,
            body=body,
            content_type=BUNDLE_CONTENT_TYPE,
            message_id=next(ids),
        )
        for body, _ in encode_bundles(envelopes)
    ]


def retry(envelope: Envelope, *, queue: str, delay: str, message_id: str) -> Message:
    """A bundle of one in a delay tier, which hands it back to `queue`."""
    return _alone(envelope.retried(), exchange=retry_exchange(delay), queue=queue, message_id=message_id, headers={})


def put_back(envelope: Envelope, *, queue: str, message_id: str) -> Message:
    """A bundle of one for the same queue, of the same attempt."""
    return _alone(envelope, exchange="", queue=queue, message_id=message_id, headers={})


def suspected(envelope: Envelope, *, queue: str, message_id: str, suspicion: int) -> Message:
    """A bundle of one for the same queue, marked, with a delivery count that starts again."""
    return _alone(envelope, exchange="", queue=queue, message_id=message_id, headers={SUSPICION: suspicion})


def _alone(envelope: Envelope, *, exchange: str, queue: str, message_id: str, headers: Mapping[str, int]) -> Message:
    return Message(
        exchange=exchange,
        routing_key=queue,
        body=b"[" + encode_envelope(envelope) + b"]",
        content_type=BUNDLE_CONTENT_TYPE,
        message_id=message_id,
        headers=headers,
    )


def again(delivery: Delivery, *, queue: str, message_id: str) -> Message:
    """The same content for the same queue, with a delivery count that starts again.

    A lone event becomes a bundle of one, because the message's own routing key now has to name the queue; a batch of
    them says in a header which was theirs. What died in a downstream queue becomes its dead letter, as on the dead
    queue nothing else tells any more where it died.
    """
    if queue == DEAD and (stage := died_at_the_edge(delivery)):
        letter = _of_the_edge(delivery, stage, datetime.now(UTC))
        return _alone(letter, exchange="", queue=queue, message_id=message_id, headers={})
    if is_batch(delivery):
        copy = _copy(delivery, queue, message_id)
        return copy._replace(headers={ROUTE: delivery.routing_key, **delivery.headers})
    if not is_event(delivery):
        return _copy(delivery, queue, message_id)
    try:
        event = single_event(delivery, datetime.fromtimestamp(0, UTC))
    except Malformed:
        return _copy(delivery, queue, message_id)
    return _alone(event, exchange="", queue=queue, message_id=message_id, headers={})


def _copy(delivery: Delivery, queue: str, message_id: str) -> Message:
    return Message(
        exchange="",
        routing_key=queue,
        body=delivery.body,
        content_type=delivery.content_type,
        message_id=message_id,
        headers=delivery.headers,
    )


def unpack(delivery: Delivery, now: datetime, *, queue: str) -> list[Envelope]:
    """The envelopes of one delivery from `queue`.

    What the broker itself put on the dead queue is wrapped with that reason; a message that nobody can read
    becomes a dead letter with its bytes.
    """
    if queue == DEAD and (stage := died_at_the_edge(delivery)):
        return [_of_the_edge(delivery, stage, now)]
    try:
        found = _found(delivery, now)
    except Malformed as error:
        raw = {"base64": base64.b64encode(delivery.body).decode(), "content_type": delivery.content_type}
        return [
            dead(raw, reason=error.reason, stage=delivery.routing_key, source="", at=now, unique=_identity(delivery))
        ]
    if queue != DEAD:
        return found
    return [envelope if envelope.kind == Kind.DEAD else _given_up(envelope, delivery) for envelope in found]


def _found(delivery: Delivery, now: datetime) -> list[Envelope]:
    if is_batch(delivery):
        return events_of(delivery, now)
    return [single_event(delivery, now)] if is_event(delivery) else decode_bundle(delivery.body)


def _identity(delivery: Delivery) -> str:
    """What tells an unreadable message from others: a foreign one may have no message id, or one that others have."""
    content = hashlib.blake2b(delivery.body, digest_size=16).hexdigest()
    return f"{delivery.message_id}|{delivery.content_type}|{content}"


def _of_the_edge(delivery: Delivery, stage: str, now: datetime) -> Envelope:
    """The dead letter of a whole message, whatever it holds: one event, a batch, or something of the team's own."""
    return dead(
        {"events": delivery.events, "message": as_it_was(delivery)},
        reason=_why(death_of(delivery)),
        stage=stage,
        source=source_of(delivery),
        at=now,
        unique=identity(delivery),
        trace=str(delivery.headers.get("traceparent", "")),
    )


def _why(death: str) -> str:
    return _DEATHS.get(death, f"{_BY_THE_BROKER}: {death}")


def _given_up(envelope: Envelope, delivery: Delivery) -> Envelope:
    """The stage is the queue in the routing key; an event's key names no queue, but its first death does."""
    died_in = delivery.headers.get(DIED_IN, "")
    stage = delivery.routing_key if delivery.routing_key.startswith(OUR_QUEUES) else str(died_in)
    return dead_envelope(envelope, reason=_why(str(delivery.headers.get(DEATH, ""))), stage=stage)


def dead_envelope(envelope: Envelope, *, reason: str, stage: str) -> Envelope:
    """The dead letter of an envelope: it can be replayed as it is."""
    return dead(
        {"envelope": orjson.loads(encode_envelope(envelope))},
        reason=reason,
        stage=stage,
        source=envelope.source,
        at=envelope.at,
        unique=envelope.id or hashlib.blake2b(encode_envelope(envelope), digest_size=16).hexdigest(),
        trace=envelope.trace,
    )


def dead(
    raw: Mapping[str, object], *, reason: str, stage: str, source: str, at: datetime, unique: str, trace: str = ""
) -> Envelope:
    """A dead letter with whatever is left of the message."""
    return Envelope(
        id=derived_id("dead", stage, unique),
        kind=Kind.DEAD,
        source=source,
        at=at,
        body={"reason": reason, "stage": stage, **raw},
        trace=trace,
    )


def each_alone(bundle: Message, message_ids: Iterator[str]) -> list[Message]:
    """Its envelopes in bundles of one, its events in batches of one; nothing where it holds only one, or no such."""
    held = _held_by(bundle)
    if len(held) == 1:
        return []
    if is_batch(bundle):
        parts = batches(held, message_ids, exchange=bundle.exchange, most=1)
        return parts if bundle.exchange else [_for(bundle.routing_key, part) for part in parts]
    exchange, queue = bundle.exchange, bundle.routing_key
    return [_alone(one, exchange=exchange, queue=queue, message_id=next(message_ids), headers={}) for one in held]


def _for(queue: str, batch: Message) -> Message:
    return batch._replace(routing_key=queue, headers={**batch.headers, ROUTE: batch.routing_key})


def too_large(message: Message, *, stage: str, at: datetime) -> Envelope:
    """The dead letter of a lone message that no broker takes: what it was and how it began; it cannot be replayed."""
    source, unique = message.routing_key.rpartition(".")[2], str(message.headers.get("cloudEvents_id", ""))
    for envelope in _held_by(message):
        source, unique = envelope.source, envelope.id
    told = {
        "bytes": len(message.body),
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "content_type": message.content_type,
        "id": unique,
        "begins": message.body[:BEGINNING_BYTES].decode(errors="replace"),
    }
    return dead(told, reason="too_large", stage=stage, source=source, at=at, unique=unique or message.message_id)


def _held_by(message: Message) -> list[Envelope]:
    """The envelopes of a bundle or a batch; none in what is neither, which may be a foreign message."""
    try:
        if is_batch(message):
            return events_of(message, datetime.fromtimestamp(0, UTC))
        return decode_bundle(message.body) if message.content_type == BUNDLE_CONTENT_TYPE else []
    except Malformed:
        return []


def quarantined(envelope: Envelope, *, reason: str, stage: str) -> Envelope:
    """The quarantine copy of an envelope that a stage could not read."""
    parked_id = derived_id("quarantined", stage, envelope.id)
    return quarantine_copy(envelope, parked_id=parked_id, reason=reason, stage=stage)


def monotonic_message_ids(prefix: str) -> Iterator[str]:
    """Message ids that no other message has: errors name messages by them."""
    start, n = time.time_ns(), 0
    while True:
        n += 1
        yield f"{prefix}.{start:x}.{n:x}"
