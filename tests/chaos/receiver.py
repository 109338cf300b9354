"""The customer's webhook endpoint: it fails half of the time, checks every signature and remembers every body."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Final

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

_REFUSALS: Final = ("500", "503", "429", "cut")


class Receiver:
    """With `failing` the first request of each event is refused, in one of four ways: half of what comes.

    Which way follows from the event's id, so that a seed can be played again. The second request is taken, because a
    third attempt would come two minutes later and a run is short.
    """

    def __init__(self, *, secret: str, failing: bool) -> None:
        self._webhook = Webhook(secret)
        self._failing = failing
        self._asked: Counter[str] = Counter()
        self.requests = 0
        self.refused = 0
        self.accepted: Counter[str] = Counter()  # answers 200 by event id
        self.bodies: dict[str, bytes] = {}  # digest of the body by event id
        self.two_bodies: set[str] = set()
        self.badly_signed = 0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The handler for aiohttp's low-level server."""
        body = await request.read()
        self.requests += 1
        try:
            self._webhook.verify(body, dict(request.headers))
        except WebhookVerificationError:
            self.badly_signed += 1
            return web.Response(status=401)
        event_id = request.headers["webhook-id"]
        digest = hashlib.sha256(body).digest()
        if self.bodies.setdefault(event_id, digest) != digest:
            self.two_bodies.add(event_id)
        self._asked[event_id] += 1
        if self._failing and self._asked[event_id] == 1:
            return self._refuse(request, event_id)
        self.accepted[event_id] += 1
        return web.Response(status=204)

    def _refuse(self, request: web.BaseRequest, event_id: str) -> web.Response:
        self.refused += 1
        way = _REFUSALS[hashlib.sha256(event_id.encode()).digest()[0] % len(_REFUSALS)]
        if way == "cut":
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=500)
        headers = {"Retry-After": "1"} if way != "500" else {}
        return web.Response(status=int(way), headers=headers)
