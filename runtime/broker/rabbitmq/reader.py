"""What RabbitMQ sends, sorted as it comes: deliveries, returns and confirms go straight to who waits for them.

aiormq takes several awaits for each frame and a task for each delivery, more than all of our own work on it. So this
is the stream that aiormq reads from, and takes out what is frequent. All else stays in it, in order: answers, cancels,
closes, heartbeats, whatever nobody here can read. Layout of the frames: AMQP 0-9-1, section 4.2.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable
from typing import Final, Protocol, SupportsIndex

from runtime.broker.rabbitmq.contents import Content

_FRAME_HEAD: Final = struct.Struct(">BHI")  # type, channel, size of the payload
_METHOD_ID: Final = struct.Struct(">I")  # class and method
_OUTCOME: Final = struct.Struct(">QB")  # delivery tag, bits of which the first is `multiple`
_BODY_SIZE: Final = struct.Struct(">Q")
_IDS: Final = 4  # the bytes of class and method (or weight) in front of a payload's own
_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_FRAME_TYPES: Final = frozenset({_METHOD, _HEADER, _BODY, _HEARTBEAT})
_END: Final = 0xCE
_RETURN, _DELIVER, _ACK, _NACK = (60 << 16 | method for method in (50, 60, 80, 120))
_CLOSE, _BLOCKED, _UNBLOCKED = (10 << 16 | method for method in (50, 60, 61))
_A_HEARTBEAT: Final = _FRAME_HEAD.pack(_HEARTBEAT, 0, 0) + bytes((_END,))
_ALIVE_SECONDS: Final = 1.0

Take = Callable[[Content], None]


def _nobody(_: str) -> None:
    return


class Publishes(Protocol):
    """Who published on a channel and waits for the outcome."""

    def confirmed(self, tag: int, *, multiple: bool) -> None:
        """The broker stored the message of this tag, or all up to it."""
        ...

    def refused(self, tag: int, *, multiple: bool) -> None:
        """The broker did not store the message of this tag, or any up to it."""
        ...

    def returned(self, content: Content) -> None:
        """No queue wanted this message; it is confirmed after this all the same."""
        ...


class FrameReader(asyncio.StreamReader):
    """The stream that aiormq reads from, without what is meant for the channels that are listed here."""

    def __init__(self) -> None:
        super().__init__()
        self.consumers: dict[int, Take] = {}
        self.publishers: dict[int, Publishes] = {}
        self._contents: dict[int, _Incoming] = {}
        self._rest = b""
        self._readable = True
        self._alive_at = 0.0
        self.farewell = ""  # why the broker closed the connection, in its own words
        self.alarm: Callable[[str], None] = _nobody  # told why the broker blocks us, and nothing once it does not

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Take what is ours of these bytes and leave the rest to aiormq; half a frame waits for its other half."""
        if not self._readable:
            super().feed_data(data)
            return
        data = self._rest + bytes(data)
        at = theirs = 0
        while at + _FRAME_HEAD.size < len(data):
            kind, channel, size = _FRAME_HEAD.unpack_from(data, at)
            start = at + _FRAME_HEAD.size
            end = start + size
            if kind not in _FRAME_TYPES or (end < len(data) and data[end] != _END):
                self._readable = False
                at = len(data)  # with all that follows it is aiormq's to refuse
                break
            if end >= len(data):
                break
            if self._takes(kind, channel, data[start:end]):
                if theirs < at:
                    super().feed_data(data[theirs:at])
                theirs = end + 1
            at = end + 1
        self._rest = data[at:]
        if theirs < at:
            super().feed_data(data[theirs:at])
        elif theirs:
            self._keep_alive()

    def feed_eof(self) -> None:
        """Leave half a frame to aiormq, which tells that it is half."""
        if self._rest:
            super().feed_data(self._rest)
            self._rest = b""
        super().feed_eof()

    def _keep_alive(self) -> None:
        """A broker that sends other frames sends no heartbeats; aiormq, which sees none of these, would hang up."""
        now = asyncio.get_running_loop().time()
        if now - self._alive_at > _ALIVE_SECONDS:
            self._alive_at = now
            super().feed_data(_A_HEARTBEAT)

    def _takes(self, kind: int, channel: int, payload: bytes) -> bool:
        if kind == _METHOD:
            return self._takes_method(channel, payload)
        content = self._contents.get(channel)
        if content is None:
            return False
        if content.add(kind, payload):
            del self._contents[channel]
            content.hand_over()
        return True

    def _takes_method(self, channel: int, payload: bytes) -> bool:
        (method,) = _METHOD_ID.unpack_from(payload)
        if method == _DELIVER:
            consumer = self.consumers.get(channel)
            if consumer is not None:
                self._contents[channel] = _Incoming(payload, consumer)
            return consumer is not None
        publisher = self.publishers.get(channel)
        if publisher is None or method not in (_ACK, _NACK, _RETURN):
            if not channel:
                self._note(method, payload[_IDS:])
            return False
        if method == _RETURN:
            self._contents[channel] = _Incoming(payload, publisher.returned)
            return True
        tag, bits = _OUTCOME.unpack_from(payload, _IDS)
        tell = publisher.confirmed if method == _ACK else publisher.refused
        tell(tag, multiple=bool(bits & 1))
        return True

    def _note(self, method: int, arguments: bytes) -> None:
        """What aiormq keeps to itself of the connection's own methods."""
        if method == _CLOSE:
            code = int.from_bytes(arguments[:2], "big")
            self.farewell = f"{_short_text(arguments[2:])} ({code})"
        if method == _BLOCKED:
            self.alarm(_short_text(arguments) or "it does not say why")
        if method == _UNBLOCKED:
            self.alarm("")


def _short_text(field: bytes) -> str:
    return field[1 : 1 + field[0]].decode(errors="replace") if field else ""


class _Incoming:
    """A message of which some frames are still to come."""

    __slots__ = ("_body", "_header", "_left", "_method", "_take")

    def __init__(self, method: bytes, take: Take) -> None:
        self._method = method
        self._take = take
        self._header = b""
        self._body = b""
        self._left = 0

    def add(self, kind: int, payload: bytes) -> bool:
        """Add its next frame; whether that was the last one."""
        if kind == _HEADER:
            self._header = payload
            (self._left,) = _BODY_SIZE.unpack_from(payload, _IDS)
        else:
            self._body = self._body + payload if self._body else payload
            self._left -= len(payload)
        return self._left <= 0

    def hand_over(self) -> None:
        self._take(Content(self._method, self._header, self._body))
