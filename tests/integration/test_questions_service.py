"""A service of somebody else's answers the questions, well or badly; `decide` does not run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pika
import pytest
from structlog.testing import capture_logs

from runtime.broker.base import Broker
from runtime.broker.rabbitmq import open_rabbitmq
from schemas.topology import DECISIONS, RECEIVED
from tests.building.loops import read
from tests.contracts.brokers import EmbeddedRig, RabbitMQRig
from tests.integration.asking import (
    CLOSED,
    CONNECTED,
    HUAWEI,
    A,
    B,
    X,
    a_callin,
    a_config,
    an_sms,
    asking,
    serving,
)
from tests.services import debian

ROOT: Final = Path(__file__).parents[2]
SECRET: Final = "13900000077"
BAD: Final[dict[str, bytes]] = {
    "no JSON": f"connect {SECRET}".encode(),
    "nothing": b"",
    "a list": f'["{SECRET}"]'.encode(),
    "no action": f'{{"callee": "{SECRET}"}}'.encode(),
    "an action that nobody knows": f'{{"action": "{SECRET}"}}'.encode(),
    "an action of SMS": f'{{"action": "route", "callee": "{SECRET}"}}'.encode(),
    "a callee that is a number": f'{{"action": "connect", "callee": {SECRET}}}'.encode(),
    "a callee that the platform refuses": f'{{"action": "connect", "callee": "{SECRET * 3}"}}'.encode(),
    "nobody to connect to": f'{{"action": "connect", "user_data": "{SECRET}"}}'.encode(),
    "a day and more": f'{{"action": "connect", "callee": "{SECRET}", "max_minutes": 1441}}'.encode(),
    "a tone that is a list": f'{{"action": "close", "tones": {{"{SECRET}": []}}}}'.encode(),
}


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    embedded = request.param == "embedded"
    rig = EmbeddedRig(tmp_path / "b.db") if embedded else RabbitMQRig(request.getfixturevalue("fresh_amqp_url"))
    async with rig.open() as opened:
        yield opened


def always(answer: Any) -> Callable[[Any], bytes]:
    return lambda _: answer if isinstance(answer, bytes) else json.dumps(answer).encode()


async def test_a_question_tells_what_the_contract_says(broker: Broker) -> None:
    asked: list[Any] = []

    def keep(question: Any) -> bytes:
        asked.append(question)
        return b'{"action": "discard"}'

    async with asking(broker, a_config(HUAWEI)) as platform, serving(broker, keep):
        await platform.push(an_sms("Block", smsContent="on my way"))
        (envelope,) = await read(broker, RECEIVED, expected=1)
    assert asked == [
        {
            "id": envelope.id,
            "source": "huawei-x",
            "platform": "huawei_privatenumber",
            "kind": "sms",
            "call_id": "huawei-x:ASN:16:example0000000001",
            "caller": A,
            "number": X,
            "extension": None,
            "text": "on my way",
            "asked_at": envelope.at.isoformat().replace("+00:00", "Z"),
            "deadline_ms": 20_000,
        }
    ]


@pytest.mark.parametrize("more", [{}, {"by": "crm"}, {"by": 7, "case": {"id": 1}}], ids=["", "its name", "anything"])
async def test_a_service_answers_and_may_say_more_than_we_know(broker: Broker, more: dict[str, Any]) -> None:
    answer = {"action": "connect", "callee": "13866887021", **more}
    async with asking(broker, a_config(HUAWEI)) as platform, serving(broker, always(answer)):
        assert (await platform.push(a_callin())).json == CONNECTED
        ((_, decided),) = await platform.decisions(1)
    assert (decided.action, decided.callee, decided.by) == ("connect", B, "service")


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_answer_falls_back_to_the_default_at_once_and_no_value_is_logged(broker: Broker, what: str) -> None:
    config = a_config({**HUAWEI, "default": {"action": "close"}})
    with capture_logs() as logs:
        async with asking(broker, config) as platform, serving(broker, always(BAD[what])):
            assert (await platform.push(a_callin())).json == CLOSED
            ((_, decided),) = await platform.decisions(1)
    assert (decided.action, decided.callee, decided.by) == ("close", None, "default")
    (line,) = [line for line in logs if line["event"] == "question.bad_answer"]
    assert line["source"] == "huawei-x"
    assert line["faults"]
    assert SECRET not in str(logs)


async def test_a_default_that_the_platform_would_refuse_is_told_and_recorded_as_a_refusal(broker: Broker) -> None:
    """The record must not say connected where the platform heard close."""
    config = a_config({**HUAWEI, "default": {"action": "connect", "callee": "110"}})
    async with asking(broker, config) as platform, serving(broker, always(b"?")):
        assert (await platform.push(a_callin())).json == CLOSED
        ((_, decided),) = await platform.decisions(1)
    assert (decided.action, decided.callee, decided.by) == ("close", None, "default")


async def test_an_answer_that_comes_too_late_is_nobodys(broker: Broker) -> None:
    """The default was told; the next question gets its own answer and not this one."""
    release = asyncio.Event()

    async def serve() -> None:
        async with broker.consume(DECISIONS, prefetch=2) as consumer:
            (late,) = await consumer.batch(1)
            await release.wait()
            await broker.reply(late, json.dumps({"action": "connect", "callee": A}).encode())
            (second,) = await consumer.batch(1)
            await broker.reply(second, json.dumps({"action": "connect", "callee": B}).encode())
            await consumer.ack([late, second])

    async with asking(broker, a_config(HUAWEI), deadline_seconds=2) as platform, asyncio.TaskGroup() as tasks:
        tasks.create_task(serve())
        assert (await platform.push(a_callin("one"))).json == CLOSED
        release.set()
        assert (await platform.push(a_callin("two"))).json == CONNECTED


def documented_service() -> str:
    """The program of docs/questions.md."""
    match = re.search(r"```python\n(.*?)```", (ROOT / "docs/questions.md").read_text(), re.DOTALL)
    assert match
    return match[1]


@contextmanager
def running(program: str, directory: Path, url: str) -> Iterator[None]:
    """The program as a process of its own, once it consumes the questions."""
    file = directory / "service.py"
    file.write_text(program)
    process = subprocess.Popen([*debian.dies_with_us(), sys.executable, str(file)], env={**os.environ, "AMQP_URL": url})
    try:
        with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
            channel = connection.channel()
            while channel.queue_declare(DECISIONS, passive=True).method.consumer_count == 0:
                assert process.poll() is None, "the documented service ended"
                connection.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def test_the_documented_service_has_fifteen_lines_at_most() -> None:
    assert len([line for line in documented_service().splitlines() if line.strip()]) <= 15


@pytest.mark.rabbitmq
async def test_the_documented_service_answers_through_reply_to(fresh_amqp_url: str, tmp_path: Path) -> None:
    async with open_rabbitmq(fresh_amqp_url) as broker, asking(broker, a_config(HUAWEI)) as platform:
        with running(documented_service(), tmp_path, fresh_amqp_url):
            assert (await platform.push(a_callin())).json == CONNECTED
            assert (await platform.push(an_sms("Block"))).json == {"actions": [{"operation": "DiscardMessage"}]}
        found = [(body.asked, body.action, body.by) for _, body in await platform.decisions(2)]
    assert found == [("call", "connect", "service"), ("sms", "discard", "service")]
