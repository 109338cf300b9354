"""What an event says of itself, as properties and headers, read back by pamqp from what we encode."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from runtime.broker.base import Delivery, Message
from runtime.broker.rabbitmq import attributes
from runtime.broker.rabbitmq.contents import Content, delivery_of
from runtime.broker.rabbitmq.frames import Encoder
from runtime.events.batch import batches
from runtime.events.messages import event_messages, single_event
from runtime.wire import monotonic_message_ids
from schemas.envelope import EVENT_CONTENT_TYPE, Envelope
from schemas.topology import BATCHES, SINGLY
from workers.calls.events import Event, event_envelope

NOW: Final = datetime(2026, 1, 5, 8, 0, 9, 123456, tzinfo=UTC)
NUMBER: Final = 3 * 2**32 + 1
TRACE: Final = f"00-{'a' * 32}-{'b' * 16}-01"


def an_event(subject: str = "hw:s1", *, time: Any = NOW, revision: int | None = 1, trace: str = TRACE) -> Envelope:
    event = Event(
        type="call.completed", source="hw", subject=subject, time=time, data={"k": ',"data":'}, revision=revision
    )
    return event_envelope(event, at=NOW, trace=trace)


def alone(event: Envelope) -> Message:
    (message,) = event_messages([event], monotonic_message_ids("t"), SINGLY)
    return message


def header_of(message: Message) -> bytes:
    """The header frame as it is sent."""
    parts: list[bytes] = []
    Encoder(1, frame_max=4096).encode(message, parts, NUMBER)
    data = b"".join(parts)
    method, _, _ = frame.unmarshal(data)
    header, _, _ = frame.unmarshal(data[method:])
    return data[method : method + header]


def sent(message: Message) -> Basic.Properties:
    """The properties as a client of the broker reads them."""
    _, _, header = frame.unmarshal(header_of(message))
    assert isinstance(header, ContentHeader)
    return header.properties


def headers_of(message: Message) -> dict[str, Any]:
    return dict(sent(message).headers or {})


def said_by(body: bytes) -> dict[str, Any]:
    """What the CloudEvents AMQP binding makes headers of it, for one that JSON reads."""
    rows = orjson.loads(body)
    return {f"cloudEvents_{name}": row for name, row in rows.items() if name not in {"data", "datacontenttype"}}


subjects = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
times = st.integers(0, 2**32 * 10**6 - 1).map(lambda us: datetime.fromtimestamp(us / 10**6, UTC))


@given(subject=subjects, time=times, revision=st.none() | st.integers(1, 10**6), traced=st.booleans())
def test_every_attribute_is_a_header_whatever_it_says(
    subject: str, time: datetime, revision: int | None, *, traced: bool
) -> None:
    event = an_event(subject, time=time, revision=revision, trace=TRACE if traced else "")
    assert isinstance(event.body, bytes)

    told = sent(alone(event))

    trace = {"traceparent": TRACE} if traced else {}
    assert told.headers == {"callstitch_publish": NUMBER, **trace, **said_by(event.body)}
    assert (told.message_id, told.message_type, told.app_id) == (event.id, "callstitch.call.completed.v1", "callstitch")
    assert told.timestamp == time.replace(microsecond=0)
    assert told.content_type == EVENT_CONTENT_TYPE


def test_an_event_that_another_version_stored_says_what_that_version_said() -> None:
    event = an_event()
    assert isinstance(event.body, bytes)
    added = event.body.replace(b'"datacontenttype"', b'"dataschema":"https://x/1.1.json","datacontenttype"')
    moved = event.body.replace(b'"subject":"hw:s1",', b"").replace(b'"data":', b'"subject":"hw:s1","extra":7,"data":')
    for body in (added, moved):
        event.body = body
        assert headers_of(alone(event)) == {"callstitch_publish": NUMBER, "traceparent": TRACE, **said_by(body)}


def test_our_own_heads_are_copied_and_not_parsed_once_one_like_them_was(monkeypatch: pytest.MonkeyPatch) -> None:
    sent(alone(an_event("hw:first")))
    monkeypatch.setattr(attributes, "orjson", None)
    assert headers_of(alone(an_event("hw:second")))["cloudEvents_subject"] == "hw:second"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"data":1}', b'{"id":"1","subject":"', b'{"id":"1","specversion":7,"time":"soon"}']
)
def test_what_is_no_event_of_ours_goes_out_all_the_same(body: bytes) -> None:
    message = Message("calls", "k", body, EVENT_CONTENT_TYPE, "m1", {"cloudEvents_id": "x" * 300, "odd": 1})
    told = sent(message)
    assert (told.message_id, told.app_id, told.timestamp) == ("m1", "callstitch", None)
    assert headers_of(message)["odd"] == 1


def test_in_binary_mode_the_headers_say_it() -> None:
    said = {"cloudEvents_id": "e1", "cloudEvents_type": "t.v1", "cloudEvents_time": "2026-01-05T08:00:09.5+08:00"}
    told = sent(Message("", "billing", b"{}", "application/json", "m1", said))
    assert (told.message_id, told.message_type, told.headers) == ("e1", "t.v1", {**said, "callstitch_publish": NUMBER})
    assert told.timestamp == NOW.replace(microsecond=0) - timedelta(hours=8)


def test_a_batch_has_an_id_of_its_own_and_the_type_of_its_events() -> None:
    (message,) = batches([an_event(), an_event("hw:s2")], monotonic_message_ids("t"), exchange=BATCHES)
    told = sent(message)
    assert (told.message_id, told.message_type) == (message.message_id, "callstitch.call.completed.v1")
    assert (told.app_id, told.timestamp) == ("callstitch", None)
    assert told.headers == {"callstitch_publish": NUMBER, **message.headers}


@given(subject=subjects, traced=st.booleans(), counted=st.booleans())
def test_we_read_back_the_event_and_nothing_that_its_body_says_too(
    subject: str, *, traced: bool, counted: bool
) -> None:
    event = an_event(subject, trace=TRACE if traced else "")
    header = header_of(alone(event))
    if counted:  # the broker writes the table anew
        properties = sent(alone(event))
        assert properties.headers is not None
        properties.headers["x-delivery-count"] = 2
        header = frame.marshal(ContentHeader(body_size=0, properties=properties), 1)

    delivery = delivered(header)

    read = single_event(delivery, NOW)
    assert (read.id, read.trace, delivery.message_id) == (event.id, event.trace, event.id)
    assert delivery.deliveries == (3 if counted else 1)
    if not counted and "x-" not in subject:
        assert delivery.headers.keys() == {"cloudEvents_id"} | ({"traceparent"} if traced else set())


def delivered(header: bytes) -> Delivery:
    method = Basic.Deliver(consumer_tag="c", delivery_tag=1, exchange="calls", routing_key="call.completed.hw")
    return delivery_of(Content(frame.marshal(method, 1)[7:-1], header[7:-1], b""), generation=1, base=0)
