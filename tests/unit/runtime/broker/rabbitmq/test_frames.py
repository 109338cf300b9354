"""Our own encoding of frames, read back by pamqp."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from runtime.broker.base import Message
from runtime.broker.rabbitmq.frames import Encoder

FRAME_MAX = 4096
NUMBER = 7 * 2**32
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60)
messages = st.builds(
    Message,
    exchange=st.text("abcXYZ019-_.:", max_size=60),  # pamqp refuses other characters
    routing_key=names,
    body=st.binary(max_size=50) | st.integers(4080, 4100).map(bytes) | st.integers(8170, 8190).map(bytes),
    content_type=names,
    message_id=names,
    headers=st.dictionaries(names, names | st.integers(-(2**63), 2**63 - 1), max_size=4),
    properties=st.none(),
)


@given(batch=st.lists(messages, min_size=1, max_size=4), channel=st.integers(1, 65535))
def test_what_is_encoded_fast_is_what_pamqp_reads(batch: list[Message], channel: int) -> None:
    encoder = Encoder(channel, frame_max=FRAME_MAX)
    parts: list[bytes] = []
    for number, message in enumerate(batch, NUMBER):
        encoder.encode(message, parts, number)

    frames = read(b"".join(parts), channel)

    for number, message in enumerate(batch, NUMBER):
        publish, header = next(frames), next(frames)
        assert isinstance(publish, Basic.Publish)
        assert (publish.exchange, publish.routing_key, publish.mandatory) == (
            message.exchange,
            message.routing_key,
            True,
        )
        assert isinstance(header, ContentHeader)
        assert told(header.properties) == {
            "content_type": message.content_type,
            "headers": {"callstitch_publish": number, **message.headers},
            "delivery_mode": 2,
            "message_id": message.message_id,
        }
        assert body_of(frames, header.body_size) == message.body
    assert list(frames) == []


def test_further_properties_travel_with_a_question() -> None:
    parts: list[bytes] = []
    question = Message(exchange="", routing_key="q", body=b"?", content_type="a/b", message_id="1", headers={"k": "v"})
    properties = {"reply_to": "amq.rabbitmq.reply-to", "expiration": "400", "correlation_id": "c"}
    Encoder(3, frame_max=FRAME_MAX).encode_special(question, parts, NUMBER, properties=properties, mandatory=False)

    publish, header, body = read(b"".join(parts), 3)

    assert publish.mandatory is False
    assert {name: getattr(header.properties, name) for name in properties} == properties
    assert (header.properties.message_id, header.properties.headers) == ("1", {"k": "v", "callstitch_publish": NUMBER})
    assert body.value == b"?"


def test_what_goes_back_as_it_was_has_its_own_properties_and_is_mandatory() -> None:
    parts: list[bytes] = []
    kept = Message("", "crm", b"x", "a/b", "1", {"k": "v"}, {"message_type": "t", "timestamp": 12, "priority": 3})
    Encoder(3, frame_max=FRAME_MAX).encode(kept, parts, 7)
    publish, header, _ = read(b"".join(parts), 3)
    told_of = header.properties
    assert (publish.mandatory, told_of.message_type, told_of.priority) == (True, "t", 3)
    assert (told_of.timestamp.timestamp(), told_of.delivery_mode) == (12, 2)
    assert told_of.headers == {"callstitch_publish": 7, "k": "v"}


def test_a_name_that_amqp_cannot_carry_is_refused_before_anything_is_sent() -> None:
    long = Message(exchange="", routing_key="q", body=b"", content_type="a/b", message_id="é" * 128)
    with pytest.raises(ValueError, match="256 bytes"):
        Encoder(1, frame_max=FRAME_MAX).encode(long, [], NUMBER)


def read(data: bytes, channel: int) -> Iterator[Any]:
    while data:
        size, number, value = frame.unmarshal(data)
        assert number == channel
        assert size <= FRAME_MAX
        yield value
        data = data[size:]


def body_of(frames: Iterator[Any], size: int) -> bytes:
    body = b""
    while len(body) < size:
        piece = next(frames)
        assert isinstance(piece, ContentBody)
        body += piece.value
    return body


def told(properties: Basic.Properties) -> dict[str, Any]:
    wanted = ("content_type", "headers", "delivery_mode", "message_id")
    return {name: getattr(properties, name) for name in wanted}
