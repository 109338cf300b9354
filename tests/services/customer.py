"""A customer's endpoint, which checks signatures with the package of Standard Webhooks."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook as Verifier

from workers.sinks.webhook import Webhook

SECRET: Final = "whsec_" + base64.b64encode(b"a key of thirty-two bytes length").decode()

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Customer:
    """Takes events at `/calls`, and answers 204 unless told otherwise."""

    server: BaseTestServer = field(init=False)
    answer: Answer | None = None
    received: dict[str, bytes] = field(default_factory=dict)  # what was answered 2xx
    requests: int = 0
    under_way: int = 0
    most_under_way: int = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            body = await request.read()
            Verifier(SECRET).verify(body, dict(request.headers))
            assert request.content_type == "application/cloudevents+json"
            response = await self.answer(request) if self.answer else web.Response(status=204)
            if response.status < 300:
                self.received[request.headers["webhook-id"]] = body
            return response
        finally:
            self.under_way -= 1

    def sink(self, **changes: Any) -> Webhook:
        """A sink that posts here."""
        fields: dict[str, Any] = {
            "name": "crm",
            "kind": "webhook",
            "url": f"http://localhost:{self.server.port}/calls",
            "secret": SecretStr(SECRET),
            "allow_private": True,
        }
        return Webhook(**{**fields, **changes})


@asynccontextmanager
async def a_customer() -> AsyncIterator[Customer]:
    """One whose door is open until the context ends."""
    played = Customer()
    app = web.Application()
    app.router.add_post("/calls", played.take)
    async with TestServer(app) as played.server:
        yield played
