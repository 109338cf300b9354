"""platform -> received: finds the source by its secret path, checks limits, stores the raw bytes, then answers.

It never parses a notification, except a possible question. The order of the checks is contract section 3: 404, 405,
413, 408, 401, 503, 200.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import structlog
from aiohttp import ClientError, web
from aiohttp.http_exceptions import HttpProcessingError

from ingest.group_commit import GroupCommit
from ingest.nonces import Nonces
from ingest.questions import Questions
from runtime.telemetry import Telemetry
from runtime.verdict import reason_of
from schemas.config import Source
from schemas.envelope import Envelope, Kind, new_id, new_trace
from schemas.errors import Rejected, Unavailable
from schemas.notification import KEPT_HEADERS, Notification, Reply, to_json
from schemas.platforms.base import Platform
from schemas.question import Asked

log = structlog.get_logger()

BODY_BYTES: Final = 1024 * 1024
BODY_SECONDS: Final = 10.0
INFLIGHT: Final = 1000  # requests; bounds what slow bodies and a slow broker may hold in memory
CONFIRM_SECONDS: Final[Mapping[str, float]] = {"aliyun_pnp": 0.6, "jiuyun_axb": 2.0}
CONFIRM_SECONDS_DEFAULT: Final = 3.0
RETRY_AFTER_SECONDS: Final = 5
_PATH_PARTS: Final = 4  # "", v1, source, token


class Door:
    """Answers every request; `answered` counts the 200s by source and hour until a tally takes them."""

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        platforms: Mapping[str, Platform],
        commit: GroupCommit,
        questions: Questions,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
    ) -> None:
        self._sources = sources
        self._platforms = platforms
        self._commit = commit
        self._questions = questions
        self._telemetry = telemetry
        self._clock = clock
        self._nonces = {name: Nonces(keep=2 * source.clock_skew) for name, source in sources.items()}
        self._inflight = 0
        self.answered: Counter[tuple[str, str]] = Counter()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The handler for aiohttp's low-level server."""
        started = time.perf_counter()
        self._inflight += 1
        try:
            source, response = await self._answer(request)
        finally:
            self._inflight -= 1
        name = source.name if source is not None else "unknown"
        self._telemetry.requests.labels(name, response.status).inc()
        self._telemetry.door_seconds.labels(name).observe(time.perf_counter() - started)
        return response

    async def _answer(self, request: web.BaseRequest) -> tuple[Source | None, web.Response]:
        source: Source | None = None
        try:
            source, path = self._find(request.rel_url.raw_path_qs)
            return source, await self._accept(request, source, path)
        except Rejected as error:
            name = source.name if source is not None else "unknown"
            log.warning("door.refused", source=name, status=error.status, reason=str(error), remote=request.remote)
            return source, _refusal(error)

    def _find(self, path: str) -> tuple[Source, str]:
        """The source that the secret path names, and what follows the token."""
        bare, _, query = path.partition("?")  # first: a signature in the query may hold a slash
        parts = bare.split("/", _PATH_PARTS)
        if len(parts) < _PATH_PARTS or parts[1] != "v1":
            raise Rejected("no such path", status=404)
        source = self._sources.get(parts[2])
        if source is None or not _is_token(parts[3], source):
            raise Rejected("unknown source or token", status=404)
        rest = "/" + parts[4] if len(parts) > _PATH_PARTS else ""
        return source, rest + (f"?{query}" if query else "")

    async def _accept(self, request: web.BaseRequest, source: Source, path: str) -> web.Response:
        if request.method != "POST":
            raise Rejected("not POST", status=405)
        if self._inflight > INFLIGHT:
            raise Rejected("too many requests at once", status=503)
        notification = Notification(
            path=path,
            remote=request.remote or "",
            content_type=_as_text(request.headers.get("Content-Type", "")),
            headers={k.lower(): _as_text(v) for k, v in request.headers.items() if k.lower() in KEPT_HEADERS},
            body=await _body(request),
        )
        self._check_signature(notification, source)
        reply = await self._reply(notification, source)
        headers = {"Content-Type": reply.content_type} if reply.content_type else None
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    def _check_signature(self, notification: Notification, source: Source) -> None:
        if source.verify == "never":
            return
        now, platform = self._clock(), self._platforms[source.platform]
        verified = platform.verify(notification, source, now)
        if verified is False or (verified is None and source.verify == "always"):
            raise Rejected("signature missing or wrong", status=401)
        if verified and (nonce := platform.nonce(notification)) and not self._nonces[source.name].is_new(nonce, now):
            raise Rejected("signature used before", status=401)

    async def _reply(self, notification: Notification, source: Source) -> Reply:
        """What the platform wants to hear, once the push is stored, or once its question is decided."""
        platform = self._platforms[source.platform]
        now = self._clock()
        envelope = Envelope(
            id=new_id(now),
            kind=Kind.NOTIFICATION,
            source=source.name,
            at=now,
            body=to_json(notification),
            trace=new_trace(),
        )
        asked = _asked(platform, notification, source) if source.control else None
        if asked is None:
            await self._store(envelope, source)
            return platform.reply(notification)
        return await self._questions.answer(
            asked,
            source,
            envelope,
            store=lambda: self._store(envelope, source),
            told=lambda decision: platform.answer(notification, decision, source),
        )

    async def _store(self, envelope: Envelope, source: Source) -> None:
        timeout = CONFIRM_SECONDS.get(source.platform, CONFIRM_SECONDS_DEFAULT)
        try:
            await self._commit.store(envelope, timeout_seconds=timeout)
        except Unavailable:
            raise Rejected("the broker did not confirm in time", status=503) from None
        self.answered[source.name, f"{envelope.at:%Y-%m-%dT%H}"] += 1


def _asked(platform: Platform, notification: Notification, source: Source) -> Asked | None:
    """What this push asks; a push that a bug keeps us from reading is stored like any other."""
    try:
        return platform.question(notification, source)
    except Exception as error:  # noqa: BLE001 - a 500 here would lose the push for good after the last repetition
        log.error("question.unreadable", source=source.name, reason=reason_of(error))
        return None


def _as_text(header: str) -> str:
    """A header's value without lone surrogates: aiohttp makes them of bytes that are no UTF-8, and JSON has none."""
    return header.encode(errors="surrogateescape").decode(errors="replace")


def _is_token(token: str, source: Source) -> bool:
    """Compares with every token in constant time."""
    given = token.encode(errors="surrogateescape")
    return any([hmac.compare_digest(given, known.get_secret_value().encode()) for known in source.tokens])  # noqa: C419 - no short cut


async def _body(request: web.BaseRequest) -> bytes:
    if (request.content_length or 0) > BODY_BYTES:
        raise Rejected("over 1 MiB", status=413)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > BODY_BYTES:
                    raise Rejected("over 1 MiB", status=413)
                chunks.append(chunk)
    except TimeoutError:
        raise Rejected("the body came too slowly", status=408) from None
    except (ConnectionError, ClientError, HttpProcessingError):
        raise Rejected("the body did not arrive whole", status=400) from None
    return b"".join(chunks)


def _refusal(error: Rejected) -> web.Response:
    response = web.Response(status=error.status)
    if error.status == 405:  # noqa: PLR2004 - the contract's own number
        response.headers["Allow"] = "POST"
    if error.status == 503:  # noqa: PLR2004
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if error.status in (400, 408, 413):
        response.force_close()
    return response
