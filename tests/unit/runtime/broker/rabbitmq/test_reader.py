"""Our own reading of what RabbitMQ sends: what is ours is handed over, the rest is left to aiormq as it came."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from runtime.broker.base import Delivery
from runtime.broker.rabbitmq.contents import Content, delivery_of, publish_of
from runtime.broker.rabbitmq.reader import FrameReader

CONSUMING, PUBLISHING, OTHER = 1, 2, 3
ALIVE = frame.marshal(Heartbeat(), 0)
BODY_MAX = 30
NUMBER = 5 * 2**32 + 1
texts = st.text(max_size=20)
numbers = st.integers(2**32, 2**63 - 1)  # as a session numbers its publishes: pamqp writes smaller ones otherwise
headers = st.dictionaries(
    st.text(max_size=10),
    st.text(max_size=10)
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.lists(st.text(max_size=3), max_size=2)
    | st.binary(max_size=3).map(bytearray),
    max_size=4,
)
properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": texts,
        "content_encoding": texts,
        "headers": headers,
        "delivery_mode": st.integers(1, 2),
        "priority": st.integers(0, 9),
        "correlation_id": texts,
        "reply_to": texts,
        "expiration": texts,
        "message_id": texts,
        "app_id": texts,
    },
)


@dataclass
class Publisher:
    """Keeps what it is told."""

    told: list[tuple[Any, ...]] = field(default_factory=list)

    def confirmed(self, tag: int, *, multiple: bool) -> None:
        self.told.append(("confirmed", tag, multiple))

    def refused(self, tag: int, *, multiple: bool) -> None:
        self.told.append(("refused", tag, multiple))

    def returned(self, content: Content) -> None:
        self.told.append(("returned", publish_of(content), content.body))


@dataclass
class Heard:
    """What became of a stream: taken by a consumer, told to a publisher, left to aiormq."""

    contents: list[Content]
    told: list[tuple[Any, ...]]
    left: bytes


async def heard(stream: bytes, pieces: list[int]) -> Heard:
    """Feed the stream in pieces of these sizes, over and over."""
    reader, publisher, contents = FrameReader(), Publisher(), list[Content]()
    reader.consumers[CONSUMING] = contents.append
    reader.publishers[PUBLISHING] = publisher
    at, turn = 0, 0
    while at < len(stream):
        size = pieces[turn % len(pieces)]
        reader.feed_data(stream[at : at + size])
        at, turn = at + size, turn + 1
    reader.feed_eof()
    return Heard(contents, publisher.told, await reader.read())


def a_delivery(
    tag: int, body: bytes, *, channel: int = CONSUMING, key: str = "k", properties: dict[str, Any] | None = None
) -> bytes:
    method = Basic.Deliver(consumer_tag="ctag", delivery_tag=tag, exchange="x", routing_key=key)
    return frame.marshal(method, channel) + a_content(body, channel, properties or {})


def a_return(number: int, body: bytes, *, channel: int = PUBLISHING) -> bytes:
    method = Basic.Return(reply_code=312, reply_text="NO_ROUTE", exchange="x", routing_key="k")
    told = {"content_type": "a/b", "headers": {"callstitch_publish": number, "k": "v"}}
    return frame.marshal(method, channel) + a_content(body, channel, told)


def a_content(body: bytes, channel: int, properties: dict[str, Any]) -> bytes:
    header = ContentHeader(body_size=len(body), properties=Basic.Properties(**properties))
    pieces = [body[start : start + BODY_MAX] for start in range(0, len(body), BODY_MAX)]
    return frame.marshal(header, channel) + b"".join(frame.marshal(ContentBody(piece), channel) for piece in pieces)


def an_ack(tag: int, *, multiple: bool = False, channel: int = PUBLISHING) -> bytes:
    return frame.marshal(Basic.Ack(delivery_tag=tag, multiple=multiple), channel)


def a_close(channel: int) -> bytes:
    return frame.marshal(Channel.Close(reply_code=404, reply_text="gone", class_id=60, method_id=20), channel)


frames = st.one_of(
    st.builds(a_delivery, st.integers(1, 2**40), st.binary(max_size=70), channel=st.sampled_from([CONSUMING, OTHER])),
    st.builds(a_return, numbers, st.binary(max_size=70), channel=st.sampled_from([PUBLISHING, OTHER])),
    st.builds(an_ack, st.integers(1, 2**40), multiple=st.booleans(), channel=st.sampled_from([PUBLISHING, OTHER])),
    st.builds(a_close, st.sampled_from([CONSUMING, PUBLISHING, OTHER])),
    st.just(ALIVE),
)


@given(stream=st.lists(frames, max_size=8).map(b"".join), pieces=st.lists(st.integers(1, 90), min_size=1, max_size=5))
def test_however_the_stream_is_cut_the_same_is_taken_and_the_same_is_left(stream: bytes, pieces: list[int]) -> None:
    whole, cut = asyncio.run(heard(stream, [len(stream) + 1])), asyncio.run(heard(stream, pieces))

    assert (cut.contents, cut.told) == (whole.contents, whole.told)
    assert cut.left.replace(ALIVE, b"") == whole.left.replace(ALIVE, b"")


async def test_each_channel_gets_what_is_its_own_and_aiormq_the_rest_in_order() -> None:
    parts = [
        theirs := a_delivery(7, b"not ours", channel=OTHER),
        a_delivery(1, b""),
        a_return(NUMBER, b"r" * 2 * BODY_MAX),
        an_ack(5, multiple=True),
        their_ack := an_ack(9, channel=OTHER),
        frame.marshal(Basic.Nack(delivery_tag=6), PUBLISHING),
        a_delivery(2, b"b" * (BODY_MAX + 1)),
        closed := a_close(CONSUMING),
    ]
    found = await heard(b"".join(parts), [10_000])

    assert [(content.body, delivered(content).tag) for content in found.contents] == [(b"", 1), (b"b" * 31, 2)]
    assert found.told == [("returned", NUMBER, b"r" * 60), ("confirmed", 5, True), ("refused", 6, False)]
    assert found.left == theirs + their_ack + closed


async def test_frames_of_two_channels_between_each_other_do_not_mix() -> None:
    one, other = a_delivery(1, b"a" * 2 * BODY_MAX), a_return(NUMBER, b"b" * 2 * BODY_MAX)
    mixed = b"".join(part for pair in zip(split(one), split(other), strict=True) for part in pair)

    found = await heard(mixed, [10_000])

    assert [content.body for content in found.contents] == [b"a" * 60]
    assert found.told == [("returned", NUMBER, b"b" * 60)]


async def test_aiormq_is_told_now_and_then_that_a_peer_lives_that_sends_only_what_is_ours() -> None:
    found = await heard(a_delivery(1, b"x") * 50, [100])
    assert len(found.contents) == 50
    assert found.left == ALIVE


async def test_where_nothing_is_ours_aiormq_reads_what_came_and_no_more() -> None:
    theirs = a_close(OTHER) + an_ack(1, channel=OTHER)
    assert await heard(theirs, [3]) == Heard([], [], theirs)


@pytest.mark.parametrize("garbage", [b"AMQP\0\0\x09\1", b"\x09\0\1\0\0\0\0\xce" * 2, ALIVE[:-1] + b"\0" + ALIVE])
async def test_what_is_no_frame_is_left_to_aiormq_with_all_that_follows(garbage: bytes) -> None:
    found = await heard(a_delivery(1, b"x") + garbage + a_delivery(2, b"y"), [7])
    assert [content.body for content in found.contents] == [b"x"]
    assert found.left.removeprefix(ALIVE) == garbage + a_delivery(2, b"y")


async def test_half_a_frame_at_the_end_is_left_to_aiormq() -> None:
    half = split(a_delivery(1, b"x"))[0][:-3]
    assert (await heard(a_delivery(1, b"x") + half, [10_000])).left.removeprefix(ALIVE) == half


@given(told=properties, key=texts, tag=st.integers(1, 2**60), body=st.binary(max_size=40))
def test_a_delivery_says_what_pamqp_would_say(told: dict[str, Any], key: str, tag: int, body: bytes) -> None:
    stream = a_delivery(tag, body, key=key, properties=told)
    (content,) = asyncio.run(heard(stream, [10_000])).contents
    header = read_header(stream)

    assert delivery_of(content, generation=3, base=100) == Delivery(
        tag=100 + tag,
        generation=3,
        body=body,
        content_type=header.content_type or "",
        message_id=header.message_id or "",
        routing_key=key,
        headers={key: value for key, value in (header.headers or {}).items() if isinstance(value, str | int)},
        reply_to=header.reply_to or "",
        correlation_id=header.correlation_id or "",
    )


async def test_the_broker_s_own_headers_are_told_as_a_count() -> None:
    told = {"headers": {"x-delivery-count": 2, "x-acquired-count": 9, "k": "v"}}
    (content,) = (await heard(a_delivery(1, b"", properties=told), [10_000])).contents
    assert (delivered(content).deliveries, delivered(content).headers) == (3, {"k": "v"})


@given(told=properties, number=numbers)
def test_the_number_of_a_publish_is_for_its_publisher_alone(told: dict[str, Any], number: int) -> None:
    numbered = {**told, "headers": {**told.get("headers", {}), "callstitch_publish": number}}
    with_it, without = (asyncio.run(heard(a_delivery(1, b"", properties=row), [10_000])) for row in (numbered, told))
    assert delivered(with_it.contents[0]) == delivered(without.contents[0])


async def test_what_has_no_number_of_ours_came_from_no_publish_of_ours() -> None:
    (content,) = (await heard(a_delivery(1, b"", properties={"content_type": "a/b"}), [10_000])).contents
    assert publish_of(content) == 0


async def test_text_that_is_not_utf_8_costs_no_connection() -> None:
    stream = a_delivery(1, b"x", properties={"message_id": "ab"}).replace(b"\x02ab", b"\x02\xff\xfe")
    (content,) = (await heard(stream, [10_000])).contents
    assert delivered(content).message_id == "\N{REPLACEMENT CHARACTER}" * 2


def delivered(content: Content) -> Delivery:
    return delivery_of(content, generation=1, base=0)


def split(stream: bytes) -> list[bytes]:
    found = []
    while stream:
        size, _, _ = frame.unmarshal(stream)
        found.append(stream[:size])
        stream = stream[size:]
    return found


def read_header(stream: bytes) -> Basic.Properties:
    _, _, header = frame.unmarshal(split(stream)[1])
    assert isinstance(header, ContentHeader)
    return header.properties
