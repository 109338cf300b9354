"""platform -> received: finds the source by its secret path, checks limits, stores the raw bytes, then answers.

It never parses a notification, except a possible question. The order of the checks is docs/contract.md section 3: 404,
405, 413, 408, 401, 503, 200.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final, get_args

import structlog
from aiohttp import web
from aiohttp.http import RawRequestMessage

from ingest.body import read_body
from ingest.entrance import Asking, Entrance
from ingest.headers import as_text, read_headers
from ingest.plain_push import Desk, PlainPush, envelope_of
from ingest.questions import Questions
from ingest.response import response
from runtime.telemetry import Telemetry
from runtime.verdict import reason_of
from schemas.dialect.dialect import AnyDialect
from schemas.envelope import Envelope
from schemas.errors import Rejected, Unavailable
from schemas.notification import Notification, Reply
from schemas.question import Asked
from schemas.settings.source import Source
from schemas.vocabulary import DecidedBy

log = structlog.get_logger()

_PATH_PARTS: Final = 4  # "", v1, source, token


class Door:
    """Answers every request."""

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        dialects: Mapping[str, AnyDialect],
        desk: Desk,
        questions: Questions,
        telemetry: Telemetry,
    ) -> None:
        self._dialects = dialects
        self._telemetry = telemetry
        self._entrances: Mapping[str, Entrance] = {}
        self.open_to(self.entrances(sources))
        self._questions = questions
        self._desk = desk
        self._outcomes = desk.outcomes

    def entrances(self, sources: Mapping[str, Source]) -> Mapping[str, Entrance]:
        """What `open_to` takes: for each source one, which goes on where the one of its name is."""
        known = self._entrances
        return {
            name: Entrance(source, self._dialects[source.platform], self._telemetry.door(name), known.get(name))
            for name, source in sources.items()
        }

    def open_to(self, entrances: Mapping[str, Entrance]) -> None:
        """From now on these are known, and no others; a request under way ends by what it began with."""
        self._entrances = entrances
        for name, entrance in entrances.items():
            if entrance.asking is not None:
                self._telemetry.asking(name, get_args(DecidedBy))

    @property
    def sources(self) -> list[str]:
        """The names of all that it is open to."""
        return list(self._entrances)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The handler for aiohttp's low-level server."""
        started = time.perf_counter()
        entrance: Entrance | None = None
        answer: web.StreamResponse
        try:
            entrance, path = self._find(request.rel_url.raw_path_qs)
            answer = await self._accept(request, entrance, path, started)
        except Rejected as error:
            answer = self._outcomes.refused(error, entrance, request.remote)
        return self._outcomes.ended(answer, entrance, started)

    def offer(self, message: RawRequestMessage) -> PlainPush | None:
        """The same without aiohttp's request, for a push that is plain; None: it goes the long way."""
        try:
            entrance, path = self._find(message.url.raw_path_qs)
        except Exception:  # noqa: BLE001 - refused, or a bug: the long way tells which
            return None
        if entrance.asking is not None or self._outcomes.closed:
            return None
        return PlainPush(self._desk, entrance, path, message)

    def _find(self, path: str) -> tuple[Entrance, str]:
        """The entrance of the source that the secret path names, and what follows the token.

        A base URL that ends in a slash makes two at the beginning, which proxies merge: any number is one.
        """
        bare, _, query = path.partition("?")  # first: a signature in the query may hold a slash
        parts = ("/" + bare.lstrip("/") if bare.startswith("//") else bare).split("/", _PATH_PARTS)
        if len(parts) < _PATH_PARTS or parts[1] != "v1":
            raise Rejected("no such path", status=404)
        entrance = self._entrances.get(parts[2])
        if entrance is None or not entrance.knows(parts[3]):
            raise Rejected("unknown source or token", status=404)
        rest = "/" + parts[4] if len(parts) > _PATH_PARTS else ""
        rest = f"{rest}?{query}" if query else rest
        return entrance, rest if rest.isascii() else as_text(rest)

    async def _accept(
        self, request: web.BaseRequest, entrance: Entrance, path: str, started: float
    ) -> web.StreamResponse:
        if request.method != "POST":
            raise Rejected("not POST", status=405)
        if self._outcomes.closed:
            raise Rejected("an operator has closed the door", status=503)
        remote = request.remote or ""
        stay = self._desk.shares.enter(entrance.held, remote)
        try:
            notification = Notification(
                path=path,
                remote=remote,
                content_type=as_text(request.headers.get("Content-Type", "")),
                headers=read_headers(request.headers.items()),
                body=await read_body(request, stay),
            )
            now = self._desk.clock()
            stored = entrance.without_signature(notification, now)
            with self._desk.tracing.accepting(entrance.name, started) as trace:
                reply = await self._reply(notification, stored, entrance, now, trace)
        finally:
            stay.leave()
        return response(request, reply, last=self._outcomes.leaving)

    async def _reply(
        self, notification: Notification, stored: Notification, entrance: Entrance, now: datetime, trace: str
    ) -> Reply:
        """What the platform wants to hear, once the push is `stored`, or once its question is decided."""
        envelope = envelope_of(stored, entrance, now, trace)
        asking = entrance.asking
        asked = _asked(notification, asking) if asking is not None else None
        if asked is not None and entrance.questions_are_signed and stored.signed != "right":
            raise Rejected("question without a signature", status=401)
        if asking is None or asked is None:
            await self._store(envelope, entrance)
            return entrance.dialect.reply(notification)
        return await self._questions.answer(
            asked,
            asking.source,
            envelope,
            store=lambda: self._store(envelope, entrance),
            respond=lambda decision: asking.asks.answer(notification, decision, asking.source),
        )

    async def _store(self, envelope: Envelope, entrance: Entrance) -> None:
        try:
            await self._desk.commit.store(envelope, timeout_seconds=entrance.dialect.confirm_seconds)
        except Unavailable as error:
            raise self._outcomes.not_stored(error) from None
        self._outcomes.stored(entrance, envelope.at)


def _asked(notification: Notification, asking: Asking) -> Asked | None:
    """What this push asks; a push that a bug keeps us from reading is stored like any other."""
    try:
        return asking.asks.question(notification, asking.source)
    except Exception as error:  # noqa: BLE001 - a 500 here would lose the push for good after the last repetition
        log.error("question.unreadable", source=asking.source.name, reason=reason_of(error))
        return None
