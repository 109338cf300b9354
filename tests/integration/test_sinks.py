from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from schemas.errors import Away, Misconfigured, Paused, Transient, Unavailable
from schemas.stage import Failed
from tests.contracts.sinks import an_event, now
from tests.services.certificates import HOST, make_authority
from tests.services.customer import SECRET, Customer, a_customer
from workers.fan_out import fan_out
from workers.sinks.webhook import Webhook


async def refuse(customer: Customer, status: int, **headers: str) -> Exception | None:
    """What the sink makes of one such answer."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    customer.answer = answer
    async with customer.sink().open(now) as webhook:
        (result,) = await webhook.write([an_event(1)])
    return result


@pytest.fixture
async def customer() -> AsyncIterator[Customer]:
    async with a_customer() as played:
        yield played


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


@pytest.mark.parametrize("order", [1, -1])
async def test_while_a_secret_is_rotated_a_post_is_signed_by_both(customer: Customer, order: int) -> None:
    """The receiver knows the old one or the new one, and verifies with the library of Standard Webhooks."""
    other = "whsec_" + base64.b64encode(b"the next key").decode()
    both = tuple(SecretStr(secret) for secret in (SECRET, other)[::order])
    async with customer.sink(secret=None, secrets=both).open(now) as webhook:
        assert await webhook.write([an_event(1)]) == [None]
    assert set(customer.received) == {"event-1"}


async def test_a_post_carries_the_trace_of_its_event(customer: Customer) -> None:
    seen: list[str | None] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.headers.get("traceparent"))
        return web.Response()

    customer.answer = note
    traced = replace(an_event(1), trace=f"00-{'a' * 32}-{'b' * 16}-01")
    async with customer.sink().open(now) as webhook:
        assert await webhook.write([traced]) == [None]
        assert await webhook.write([an_event(2)]) == [None]
    assert seen == [traced.trace, None]


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
    error = await refuse(customer, status, Location="/elsewhere", **{"Retry-After": "90"})
    assert isinstance(error, Transient)
    assert (str(error), error.retry_after) == (f"http_{status}", 90.0)
    assert customer.requests == 1


async def test_retry_after_may_be_a_date(customer: Customer) -> None:
    date = f"{now() + timedelta(seconds=200):%a, %d %b %Y %H:%M:%S GMT}"
    error = await refuse(customer, 503, **{"Retry-After": date})
    assert isinstance(error, Transient)
    assert error.retry_after is not None
    assert 190 < error.retry_after <= 200


async def test_410_pauses_the_sink(customer: Customer) -> None:
    with pytest.raises(Paused):
        await refuse(customer, 410)


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
    assert "whsec" not in str(refused.value).replace("must be whsec_...", "")
    assert "example.com" not in str(refused.value)


async def test_a_check_speaks_tls_and_trusts_no_strangers_certificate(
    openssl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(openssl, tmp_path / "ca")
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secure.load_cert_chain(authority.certificate, authority.key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=secure)
    async with server:
        url = f"https://{HOST}:{server.sockets[0].getsockname()[1]}/calls"
        sink = Webhook(name="crm", kind="webhook", url=url, secret=SecretStr(SECRET), allow_private=True)
        with pytest.raises(Unavailable, match=f"the certificate of {HOST}: unable to get local issuer certificate"):
            await sink.check()
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
        await sink.check()
    with pytest.raises(Unavailable, match="takes no connection"):
        await sink.check()


async def test_an_endpoint_that_fails_at_everything_is_away_and_little_is_tried(customer: Customer) -> None:
    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=503)

    customer.answer = broken
    async with customer.sink(break_after=5, probe_after=timedelta(seconds=8)).open(now) as webhook:
        results = await webhook.write([an_event(n) for n in range(100)])
        assert all(isinstance(one, Away) and 4 <= one.seconds <= 8 for one in results)
        assert str(results[0]) == "the endpoint is away: http_503"
        assert customer.requests < 40, "what would only fail too is not tried"
        before = customer.requests
        probe, *others = await webhook.write([an_event(n) for n in range(20)])
        assert isinstance(probe, Away)
        assert others == [probe] * 19
        assert (customer.requests, probe.seconds > 8 / 2) == (before + 1, True)
        customer.answer = None
        assert await webhook.write([an_event(1)]) == [None]
        customer.answer = broken
        (alone,) = await webhook.write([an_event(2)])
        assert isinstance(alone, Transient), "once it worked they are counted anew"


async def test_what_refuses_one_event_is_not_away(customer: Customer) -> None:
    async def picky(_: web.Request) -> web.Response:
        return web.Response(status=422)

    customer.answer = picky
    async with customer.sink(break_after=2).open(now) as webhook:
        results = await webhook.write([an_event(n) for n in range(50)])
    assert [type(one) for one in results] == [Transient] * 50
    assert customer.requests == 50


async def test_a_server_that_asks_for_a_longer_wait_gets_it(customer: Customer) -> None:
    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "77"})

    customer.answer = busy
    async with customer.sink(break_after=1).open(now) as webhook:
        (result,) = await webhook.write([an_event(1)])
    assert isinstance(result, Away)
    assert result.seconds == 77


async def test_what_cannot_be_reached_is_away_too(customer: Customer) -> None:
    sink = customer.sink(break_after=3)
    await customer.server.close()
    async with sink.open(now) as webhook:
        results = await webhook.write([an_event(n) for n in range(3)])
    assert {str(one) for one in results} == {"the endpoint is away: unreachable"}
