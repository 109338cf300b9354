from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook as Verifier

from schemas.envelope import Envelope, Kind
from schemas.errors import Misconfigured, Paused, Transient
from schemas.stage import Failed
from workers.fan_out import fan_out
from workers.sinks.webhook import Webhook

SECRET = "whsec_" + base64.b64encode(b"a key of thirty-two bytes length").decode()

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def now() -> datetime:
    return datetime.now(UTC)


def an_event(n: int, text: str = "+8613800000021 呼叫") -> Envelope:
    body = f'{{"specversion":"1.0","id":"event-{n}","data":{{"text":"{text}"}}}}'.encode()
    return Envelope(id=f"event-{n}", kind=Kind.EVENT, source="huawei-bj", at=now(), body=body, route="call.completed.x")


def body_of(event: Envelope) -> bytes:
    assert isinstance(event.body, bytes)
    return event.body


@dataclass
class Customer:
    """An endpoint that checks signatures with the package of Standard Webhooks."""

    server: BaseTestServer = field(init=False)
    answer: Answer | None = None
    received: dict[str, bytes] = field(default_factory=dict)
    under_way: int = 0
    most_under_way: int = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            body = await request.read()
            Verifier(SECRET).verify(body, dict(request.headers))
            assert request.content_type == "application/cloudevents+json"
            self.received[request.headers["webhook-id"]] = body
            return await self.answer(request) if self.answer else web.Response(status=204)
        finally:
            self.under_way -= 1

    def sink(self, **changes: Any) -> Webhook:
        fields: dict[str, Any] = {
            "name": "crm",
            "kind": "webhook",
            "url": f"http://localhost:{self.server.port}/calls",
            "secret": SecretStr(SECRET),
            "allow_private": True,
        }
        return Webhook(**{**fields, **changes})

    async def refuse(self, status: int, **headers: str) -> Exception | None:
        """What the sink makes of one such answer."""

        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=status, headers=headers)

        self.answer = answer
        async with self.sink().open(now) as webhook:
            (result,) = await webhook.write([an_event(1)])
        return result


@pytest.fixture
async def customer() -> AsyncIterator[Customer]:
    played = Customer()
    app = web.Application()
    app.router.add_post("/calls", played.take)
    async with TestServer(app) as played.server:
        yield played


async def test_each_event_arrives_signed_and_byte_for_byte(customer: Customer) -> None:
    events = [an_event(n) for n in range(5)]
    async with customer.sink().open(now) as webhook:
        assert await webhook.write(events) == [None] * 5
    assert customer.received == {event.id: event.body for event in events}


async def test_a_secret_without_the_prefix_signs_the_same(customer: Customer) -> None:
    bare = SecretStr(SECRET.removeprefix("whsec_").rstrip("="))
    async with customer.sink(secret=bare).open(now) as webhook:
        assert await webhook.write([an_event(1)]) == [None]
    assert set(customer.received) == {"event-1"}


async def test_a_signature_with_another_secret_does_not_verify(customer: Customer) -> None:
    other = SecretStr("whsec_" + base64.b64encode(b"another").decode())
    async with customer.sink(secret=other).open(now) as webhook:
        (result,) = await webhook.write([an_event(1)])
    assert str(result) == "http_500"
    assert customer.received == {}


async def test_sixteen_requests_are_under_way_and_waiting_costs_no_timeout(customer: Customer) -> None:
    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        return web.Response()

    customer.answer = slowly
    async with customer.sink(timeout="2s").open(now) as webhook:
        assert await webhook.write([an_event(n) for n in range(150)]) == [None] * 150  # takes 3 s
    assert customer.most_under_way == 16


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 422, 429, 500, 503])
async def test_everything_but_2xx_is_worth_another_attempt(customer: Customer, status: int) -> None:
    error = await customer.refuse(status, Location="/elsewhere", **{"Retry-After": "90"})
    assert isinstance(error, Transient)
    assert (str(error), error.retry_after) == (f"http_{status}", 90.0)
    assert len(customer.received) == 1


async def test_retry_after_may_be_a_date(customer: Customer) -> None:
    date = f"{now() + timedelta(seconds=200):%a, %d %b %Y %H:%M:%S GMT}"
    error = await customer.refuse(503, **{"Retry-After": date})
    assert isinstance(error, Transient)
    assert error.retry_after is not None
    assert 190 < error.retry_after <= 200


async def test_410_pauses_the_sink(customer: Customer) -> None:
    with pytest.raises(Paused):
        await customer.refuse(410)


async def test_one_refused_event_does_not_send_the_others_again(customer: Customer) -> None:
    async def all_but_three(request: web.Request) -> web.Response:
        return web.Response(status=500 if request.headers["webhook-id"] == "event-3" else 200)

    customer.answer = all_but_three
    events = [an_event(n) for n in range(10)]
    async with customer.sink().open(now) as webhook:
        outcome = await fan_out(webhook, name="crm")(events)
    (failed,) = outcome
    assert isinstance(failed, Failed)
    assert failed.envelope is events[3]


async def test_an_endpoint_that_never_answers_times_out(customer: Customer) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(1)
        return web.Response()

    customer.answer = never
    async with customer.sink(timeout="200ms").open(now) as webhook:
        (result,) = await webhook.write([an_event(1)])
    assert isinstance(result, Transient)
    assert str(result) == "timed_out"


async def test_an_endless_answer_is_not_read_to_its_end(customer: Customer) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    customer.answer = endless
    async with customer.sink(timeout="5s").open(now) as webhook:
        assert await webhook.write([an_event(1)]) == [None], "it was read until its time was over"


async def test_a_private_address_gets_no_event(customer: Customer) -> None:
    sink = customer.sink(url=f"https://localhost:{customer.server.port}/calls", allow_private=False)
    async with sink.open(now) as webhook:
        (result,) = await webhook.write([an_event(1)])
    assert isinstance(result, Transient)
    assert str(result) == "address_not_allowed"


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://crm.example.com/", "allow_private": False},
        {"url": "https://u:p@crm.example.com/"},
        {"secret": SecretStr("whsec_!!!")},
    ],
)
async def test_a_sink_that_cannot_work_does_not_start(customer: Customer, changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as refused:
        async with customer.sink(**changes).open(now):
            pass
    assert "whsec" not in str(refused.value).replace("neither whsec_...", "")
    assert "example.com" not in str(refused.value)
