"""A plain push on the short way: what `Door` does of any request, without a coroutine, a task or aiohttp's request.

Plain is what comes whole in one piece, for a source that asks nothing, and wants its connection to stay open. Both ways
are made of the same steps in the same order; tests/integration/test_both_doors.py holds them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aiohttp import StreamReader
from aiohttp.http import RawRequestMessage

from ingest.body import read_at_once
from ingest.entrance import Entrance
from ingest.group_commit import GroupCommit
from ingest.headers import as_text, read_headers
from ingest.outcomes import Outcomes
from ingest.response import OK, Whole, plain_response, whole_of
from ingest.shares import Shares, Stay
from runtime.port.short_way import ShortWay
from runtime.tracing.base import Tracing
from schemas.envelope import Envelope, Kind, new_id
from schemas.errors import Rejected, Unavailable
from schemas.notification import Notification, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a door has for each of its pushes."""

    commit: GroupCommit
    clock: Callable[[], datetime]
    shares: Shares
    tracing: Tracing
    outcomes: Outcomes


def envelope_of(stored: Notification, entrance: Entrance, now: datetime, trace: str) -> Envelope:
    """The push as it goes to the broker."""
    return Envelope(
        id=new_id(now),
        kind=Kind.NOTIFICATION,
        source=entrance.name,
        at=now,
        body=to_json(stored),
        trace=trace,
    )


class PlainPush:
    """One of them, from the bytes of its request to its answer; the group commit tells it what became of it."""

    __slots__ = (
        "_connection",
        "_desk",
        "_entrance",
        "_message",
        "_notification",
        "_now",
        "_over",
        "_path",
        "_started",
        "_stay",
        "_trace",
    )

    def __init__(self, desk: Desk, entrance: Entrance, path: str, message: RawRequestMessage) -> None:
        self._started = time.perf_counter()
        self._desk = desk
        self._entrance = entrance
        self._path = path
        self._message = message
        self._over = False
        self._stay: Stay | None = None

    def begin(self, connection: ShortWay, payload: StreamReader) -> None:
        """See `runtime.port.short_way.Work`."""
        self._connection = connection
        try:
            self._enter(connection, payload)
        except Exception as error:  # noqa: BLE001 - the long way tells what a bug is, as ever
            self._fail(error)

    def _enter(self, connection: ShortWay, payload: StreamReader) -> None:
        desk, entrance, headers = self._desk, self._entrance, self._message.headers
        remote = remote_of(connection) or ""
        self._stay = stay = desk.shares.enter(entrance.held, remote)
        self._notification = notification = Notification(
            path=self._path,
            remote=remote,
            content_type=as_text(headers.get("Content-Type", "")),
            headers=read_headers(headers.items()),
            body=read_at_once(payload, stay),
        )
        self._now = now = desk.clock()
        stored = entrance.without_signature(notification, now)
        self._trace = desk.tracing.accepting(entrance.name, self._started)
        trace = self._trace.__enter__()
        try:
            envelope = envelope_of(stored, entrance, now, trace)
            desk.commit.gather(envelope, self, entrance.dialect.confirm_seconds)
        except Exception as error:
            self._trace.__exit__(type(error), error, error.__traceback__)
            raise

    def done(self) -> bool:
        """See `ingest.group_commit.Stored`."""
        return self._over

    def set_result(self, _: None, /) -> None:
        """See `ingest.group_commit.Stored`."""
        entrance, outcomes = self._entrance, self._desk.outcomes
        try:
            outcomes.stored(entrance, self._now)
            reply = entrance.dialect.reply(self._notification)
        except Exception as error:  # noqa: BLE001 - as in `begin`
            self._broken(error)
            return
        self._trace.__exit__(None, None, None)
        self._leave()
        if outcomes.leaving or reply.status != OK:
            self._connection.leave(outcomes.ended(plain_response(reply), entrance, self._started))
            return
        whole = whole_of(reply)
        if not self._connection.answer(whole):
            self._connection.leave(Whole(whole))
        entrance.metrics.answered(OK, time.perf_counter() - self._started)

    def set_exception(self, exception: Unavailable, /) -> None:
        """See `ingest.group_commit.Stored`."""
        self._broken(self._desk.outcomes.not_stored(exception))

    def _broken(self, error: Exception) -> None:
        """It ended so after its trace had begun."""
        self._trace.__exit__(type(error), error, error.__traceback__)
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._leave()
        if isinstance(error, Rejected):
            outcomes, entrance = self._desk.outcomes, self._entrance
            refusal = outcomes.refused(error, entrance, remote_of(self._connection))
            self._connection.leave(outcomes.ended(refusal, entrance, self._started))
        else:
            self._connection.leave(error)

    def _leave(self) -> None:
        self._over = True
        if self._stay is not None:
            self._stay.leave()


def remote_of(connection: ShortWay) -> str | None:
    """As aiohttp's request tells it."""
    peer = connection.peername
    if peer is None:
        return None
    return str(peer[0]) if isinstance(peer, (list, tuple)) else str(peer)
