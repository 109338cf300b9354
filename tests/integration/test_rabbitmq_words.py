"""Why RabbitMQ does not want us, in its own words, once, and without a class of its client."""

from __future__ import annotations

import re

import pytest
from structlog.testing import capture_logs
from yarl import URL

from runtime.broker.rabbitmq import open_rabbitmq
from schemas.errors import Unavailable
from tests.services import ports
from tests.services.rabbitmq import RELEASES

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(params=list(RELEASES.values()), ids=list(RELEASES))
def rabbitmq_release(request: pytest.FixtureRequest) -> str | None:
    release: str | None = request.param
    return release


async def refusal(url: str) -> tuple[str, list[str]]:
    """What the operator is told at the end, and the reasons in the log meanwhile."""
    with capture_logs() as logged, pytest.raises(Unavailable) as away:
        async with open_rabbitmq(url, start_timeout_seconds=4):
            pass
    return str(away.value), [line["reason"] for line in logged if line["event"] == "broker.unreachable"]


async def test_a_vhost_that_does_not_exist_is_named_and_told_once_by_each_connection(fresh_amqp_url: str) -> None:
    told, logged = await refusal(str(URL(fresh_amqp_url).with_path("/no-such-vhost")))
    assert "vhost no-such-vhost not found" in told
    assert len(logged) == 2
    assert all("vhost no-such-vhost not found" in reason for reason in logged)


async def test_a_wrong_password_and_an_absent_broker_are_told_in_words(fresh_amqp_url: str) -> None:
    wrong, logged = await refusal(str(URL(fresh_amqp_url).with_password("wrong")))
    assert "Login was refused" in wrong
    absent, more = await refusal(f"amqp://guest:guest@127.0.0.1:{ports.free_port()}/")
    assert "Connect call failed" in absent or "refused" in absent.lower()
    for text in (wrong, absent, *logged, *more):
        assert "wrong@" not in text
        assert not re.search(r"[A-Za-z]+Error\b|0x[0-9a-f]{4,}", text), text
