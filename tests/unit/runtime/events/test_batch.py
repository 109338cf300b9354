"""Events in batches: what goes in comes out, each with its bytes, its id and its trace."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.broker.base import EVENTS_HELD, Delivery, Message, batch_size
from runtime.events.batch import BATCH_EVENTS, batches, events_of
from runtime.wire import again, each_alone, monotonic_message_ids, too_large, unpack
from schemas.envelope import BATCH_CONTENT_TYPE, BUNDLE_BYTES, Envelope, JsonObject, Kind
from schemas.topology import DEAD, sink_queue
from tests.building.facts import T0
from workers.calls.events import Event, event_envelope

QUEUE: Final = sink_queue("crm")
ROUTES: Final = ("call.completed", "call.progress", "sms.notified")
TEXTS: Final = st.text(max_size=20) | st.sampled_from(["\n", "},\n{", ',\n{"id":"', "\u2028", "\\n", "]\n["])
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def an_event(kind: str, source: str, data: JsonObject, *, trace: str = "") -> Envelope:
    event = Event(type=kind, source=source, subject=f"{source}:1", time=T0, data=data, revision=1)
    return event_envelope(event, at=T0, trace=trace)


EVENTS: Final = st.builds(
    an_event,
    st.sampled_from(ROUTES),
    st.sampled_from(["huawei", "jiuyun"]),
    st.dictionaries(TEXTS, JSON, max_size=4),
    trace=st.sampled_from(["", "00-a-b-01", "00-c-d-01"]),
)


def sent(message: Message, *, queue: str = "") -> Delivery:
    """As a consumer gets it."""
    return Delivery(
        1, 1, message.body, message.content_type, message.message_id, queue or message.routing_key, message.headers
    )


def said(envelopes: list[Envelope]) -> list[tuple[str, str, str, object, str]]:
    return sorted((one.route, one.id, one.source, one.body, one.trace) for one in envelopes)


@given(st.lists(EVENTS, max_size=200), st.integers(1, BATCH_EVENTS))
def test_what_is_put_together_comes_apart_again_as_it_was(events: list[Envelope], most: int) -> None:
    messages = batches(events, monotonic_message_ids("t"), exchange="x", most=most)
    found = [events_of(message, T0) for message in messages]
    assert said([one for some in found for one in some]) == said(events)
    for some, message in zip(found, messages, strict=True):
        assert [{one.route for one in some}, len(some) <= most] == [{message.routing_key}, True]
        assert [orjson.dumps(row) for row in orjson.loads(message.body)] == [one.body for one in some], "plain JSON too"
        assert sent(message).events == len(some)
    for route in {one.route for one in events}:
        assert [one.id for some in found for one in some if one.route == route] == [
            one.id for one in events if one.route == route
        ], "in their order"


def test_a_batch_of_another_making_is_read_as_json() -> None:
    rows = [{"id": "a", "x": 1.0}, {"x": "\n", "id": "b"}]
    body = orjson.dumps(rows, option=orjson.OPT_INDENT_2)
    message = Message("x", "call.completed.s", body, BATCH_CONTENT_TYPE, "m")
    assert [(one.id, one.body) for one in events_of(message, T0)] == [
        ("a", b'{"id":"a","x":1.0}'),
        ("b", b'{"x":"\\n","id":"b"}'),
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"[1]", b'[\n{"id":""}\n]', b"[\n\n]", b"\xff"])
def test_what_is_none_is_one_dead_letter_with_its_bytes(body: bytes) -> None:
    message = Message("x", "call.completed.s", body, BATCH_CONTENT_TYPE, "m", {EVENTS_HELD: 1})
    (letter,) = unpack(sent(message), T0, queue=QUEUE)
    assert letter.kind == Kind.DEAD
    assert isinstance(letter.body, dict)
    assert letter.body["reason"] in ("not_a_batch", "not_an_event")


def test_an_event_with_a_line_break_travels_alone_and_whole() -> None:
    plain = [an_event("call.completed", "s", {"n": n}) for n in range(2)]
    odd = replace(plain[0], id="odd", body=b'{"id":"odd",\n"n":\n[1,\n2]}')
    messages = batches([plain[0], odd, plain[1]], monotonic_message_ids("t"), exchange="x")
    assert [events_of(message, T0)[0].body for message in messages] == [plain[0].body, odd.body, plain[1].body]


def test_large_events_share_no_message_and_a_batch_counts_as_its_events() -> None:
    large = [an_event("call.completed", "s", {"n": n, "text": "x" * (BUNDLE_BYTES // 2)}) for n in range(3)]
    small = [an_event("call.completed", "s", {"n": n}) for n in range(130)]
    ids = monotonic_message_ids("t")
    assert [sent(message).events for message in batches(large, ids, exchange="x")] == [1, 1, 1]
    deliveries = [sent(message) for message in batches(small, ids, exchange="x")]
    assert [one.events for one in deliveries] == [64, 64, 2]
    assert [batch_size(deliveries, most) for most in (1, 64, 127, 128, 130, 500)] == [1, 1, 1, 2, 3, 3]


def test_put_back_it_keeps_the_route_of_its_events_and_given_up_each_is_a_dead_letter() -> None:
    events = [an_event("call.completed", "s", {"n": n}, trace="00-a-b-01") for n in range(3)]
    (message,) = batches(events, monotonic_message_ids("t"), exchange="x")
    twice = again(sent(again(sent(message), queue=QUEUE, message_id="m2")), queue=QUEUE, message_id="m3")
    assert (twice.exchange, twice.routing_key) == ("", QUEUE)
    assert said(unpack(sent(twice), T0, queue=QUEUE)) == said(events)

    died = sent(message)._replace(headers={**message.headers, "x-first-death-queue": QUEUE})
    letters = unpack(died, T0, queue=DEAD)
    assert [letter.body["stage"] for letter in letters if isinstance(letter.body, dict)] == [QUEUE] * 3
    assert len({letter.id for letter in letters}) == 3


def test_what_the_broker_finds_too_large_is_taken_apart_and_then_told_of() -> None:
    events = [an_event("call.completed", "s", {"n": n}) for n in range(3)]
    ids = monotonic_message_ids("t")
    (message,) = batches(events, ids, exchange="x")
    parts = each_alone(message, ids)
    assert [(part.exchange, part.routing_key, sent(part).events) for part in parts] == [
        ("x", "call.completed.s", 1)
    ] * 3
    assert each_alone(parts[0], ids) == []
    letter = too_large(parts[0], stage="s", at=T0)
    assert isinstance(letter.body, dict)
    assert (letter.body["id"], letter.source) == (events[0].id, "s")
