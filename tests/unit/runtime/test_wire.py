"""Envelopes to messages: which route each kind takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.broker.base import Delivery
from runtime.wire import dead_envelope, monotonic_message_ids, pack, unpack
from schemas.envelope import EVENT_CONTENT_TYPE, Envelope, EnvelopeKind, Kind, encode_envelope
from schemas.topology import DEAD, RECEIVED, UNIQUE
from tests.building.facts import T0


def an_envelope(kind: EnvelopeKind, n: int) -> Envelope:
    return Envelope(id=f"{kind}{n}", kind=kind, source="s", at=T0, body={"n": n})


def test_work_for_recordings_travels_in_bundles_of_one_and_facts_together() -> None:
    orders = [an_envelope(Kind.RECORDING_WANTED, n) for n in range(3)]
    facts = [an_envelope(Kind.FACT, n) for n in range(3)]
    messages = pack([*orders, *facts], monotonic_message_ids("t"))
    assert sorted(m.routing_key for m in messages) == ["callstitch.recordings.v1"] * 3 + ["callstitch.unique.v1"]
    assert len({message.message_id for message in messages}) == 4


def test_an_event_is_one_message_under_its_own_key_with_its_id_in_a_header() -> None:
    event = Envelope(id="e1", kind=Kind.EVENT, source="s", at=T0, body=b'{"x":1}', route="call.completed.s", trace="t")
    (message,) = pack([event], monotonic_message_ids("t"))
    assert (message.exchange, message.routing_key, message.body) == ("calls", "call.completed.s", b'{"x":1}')
    assert (message.content_type, message.headers["cloudEvents_id"]) == ("application/cloudevents+json", "e1")
    assert message.message_id != "e1"


def a_delivery(body: bytes, *, message_id: str = "", queue: str = RECEIVED, **headers: str) -> Delivery:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Delivery(1, 1, body, "application/json", message_id, queue, named)


@pytest.mark.parametrize("message_id", ["", "always-the-same"])
def test_unreadable_messages_without_an_id_of_their_own_are_kept_each(message_id: str) -> None:
    """Twenty that a script of somebody's sent became one dead letter with twenty attempts."""
    sent = [a_delivery(b"%d" % n, message_id=message_id) for n in range(20)]
    letters = [letter for delivery in sent for letter in unpack(delivery, T0, queue=RECEIVED)]
    assert len({letter.id for letter in letters}) == 20
    (again,) = unpack(sent[0], T0, queue=RECEIVED)
    assert again.id == letters[0].id, "a redelivery is another attempt of the same"


def test_events_without_an_id_are_told_apart_too() -> None:
    for body in (b'{"id": null, "n": 1}', b'{"id": "", "n": 2}', b'{"id": 0}', b"[]"):
        (letter,) = unpack(a_delivery(body)._replace(content_type=EVENT_CONTENT_TYPE), T0, queue="callstitch.sink.s.v1")
        assert (letter.kind, isinstance(letter.body, dict) and letter.body["reason"]) == (Kind.DEAD, "not_an_event")
    one, other = (dead_envelope(replace(an_envelope(Kind.FACT, n), id=""), reason="r", stage="s") for n in (1, 2))
    assert one.id != other.id


@pytest.mark.parametrize(
    ("died", "told"),
    [
        ("delivery_limit", "delivered too often"),
        ("expired", "expired in its queue"),
        ("maxlen", "its queue was full"),
        ("rejected", "rejected by a consumer"),
        ("new_word", "given up by the broker: new_word"),
    ],
)
def test_why_the_broker_gave_a_message_up_is_told(died: str, told: str) -> None:
    body = b"[" + encode_envelope(an_envelope(Kind.FACT, 1)) + b"]"
    (letter,) = unpack(a_delivery(body, queue=UNIQUE, x_first_death_reason=died), T0, queue=DEAD)
    assert isinstance(letter.body, dict)
    assert letter.body["reason"].startswith(told)
    assert letter.body["stage"] == UNIQUE
