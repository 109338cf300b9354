"""A framework that rejects what it cannot read, with its defaults: nothing is lost in a downstream queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pika
import pytest

from tests.e2e.balance import parked
from tests.e2e.running import Up, callstitch, running_up, sample
from tests.services import debian

EVENTS: Final = 73
QUEUES: Final = "".join(f'[[queue]]\nname = "{name}"\nevents = ["call.completed"]\n' for name in ("crm", "billing"))
SESSION: Final = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
# As its documentation has it: it decodes application/json alone, so it finds bytes where a dict is wanted, and rejects.
CONSUMER: Final = """
import asyncio, os
from faststream import FastStream
from faststream.rabbit import RabbitBroker, RabbitQueue

broker = RabbitBroker(os.environ["AMQP_URL"])

@broker.subscriber(RabbitQueue("crm", declare=False))
async def handle(event: dict):
    print(event["id"], flush=True)

asyncio.run(FastStream(broker).run())
"""

pytestmark = pytest.mark.rabbitmq


def test_73_events_that_a_consumer_rejects_are_listed_named_and_go_back_to_it_alone(
    tmp_path: Path, fresh_amqp_url: str
) -> None:
    with running_up(tmp_path, broker=fresh_amqp_url, extra=QUEUES, call_events=False) as up:
        assert "dead" not in callstitch(up, "check"), "a new queue has dead letters"
        cdr = sample("axyb-fee.json").decode()
        for n in range(EVENTS):
            body = cdr.replace(SESSION, f"s{n:02}").replace('"recordFlag": 1', '"recordFlag": 0')
            assert up.post(body.encode(), "/fee") == 200
        up.wait_for(lambda: waiting(fresh_amqp_url) == {"crm": EVENTS, "billing": EVENTS})
        before = messages(fresh_amqp_url, "crm")
        with consuming(tmp_path, fresh_amqp_url):
            up.wait_for(lambda: parked(up)["dead"] == EVENTS)
        assert waiting(fresh_amqp_url) == {"crm": 0, "billing": EVENTS}

        listed = callstitch(up, "dead", "list")
        assert f"{EVENTS} message(s) in 1 group(s)" in listed
        assert "stage queue:crm" in listed
        shown = callstitch(up, "dead", "show", listed.splitlines()[2].split()[0])
        assert "callstitch.call.completed.v1" in shown
        assert "3800000021" not in shown
        assert (outlet(up, "crm")["sent"], outlet(up, "crm")["dead"], outlet(up, "crm")["taken"]) == (EVENTS, EVENTS, 0)
        assert (outlet(up, "billing")["held"], outlet(up, "billing")["dead"]) == (EVENTS, 0)

        callstitch(up, "dead", "replay", "--all")
        up.wait_for(lambda: waiting(fresh_amqp_url) == {"crm": EVENTS, "billing": EVENTS})
        assert messages(fresh_amqp_url, "crm") == before, "the same messages"
        assert "there are no dead letters" in callstitch(up, "dead", "list")
        assert (outlet(up, "crm")["held"], outlet(up, "crm")["dead"]) == (EVENTS, 0)
        assert len({event["id"] for event in up.events()}) == len(up.events()) == EVENTS, "no sink got any again"
        assert up.terminate() == 0


def outlet(up: Up, queue: str) -> dict[str, Any]:
    """What `reconcile` says of it; it ends with 1 as long as no door has told its tally."""
    try:
        told = callstitch(up, "reconcile", "--json")
    except subprocess.CalledProcessError as error:
        told = str(error.stdout)
    (found,) = [one for one in json.loads(told)["outlets"] if one["queue"] == queue]
    return dict(found)


def waiting(url: str) -> dict[str, int]:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        names = ("crm", "billing")
        return {name: channel.queue_declare(name, passive=True).method.message_count for name in names}


def messages(url: str, queue: str) -> dict[bytes, dict[str, Any]]:
    """Every message as a consumer sees it, by its body; all go back, and the count of deliveries is the broker's."""
    found: dict[bytes, dict[str, Any]] = {}
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        while True:
            method, properties, body = channel.basic_get(queue)
            if method is None or properties is None or body is None:
                break
            headers = {name: value for name, value in (properties.headers or {}).items() if not name.startswith("x-")}
            headers.pop("callstitch_publish", None)  # which publish it was
            found[body] = {**vars(properties), "headers": headers}
    return found


@contextmanager
def consuming(directory: Path, url: str) -> Iterator[None]:
    """That consumer as a process of its own."""
    program = directory / "consumer.py"
    program.write_text(CONSUMER)
    with (directory / "consumer.txt").open("wb") as out:
        process = subprocess.Popen(
            [*debian.dies_with_us(), sys.executable, str(program)],
            env={**os.environ, "AMQP_URL": url},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
            assert process.poll() is None, (directory / "consumer.txt").read_text()[-2000:]
        finally:
            process.kill()
            process.wait()
