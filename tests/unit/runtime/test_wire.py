"""Envelopes to messages: which route each kind takes."""

from __future__ import annotations

from runtime.wire import monotonic_message_ids, pack
from schemas.envelope import Envelope, EnvelopeKind, Kind
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
