"""`callstitch tail` on a real RabbitMQ: a line for each event as it passes, and nobody gets less for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from console.config_file import load_config
from console.fake.scenarios import events_of
from console.main import app
from runtime.broker.rabbitmq import RabbitMQ, open_rabbitmq
from runtime.events.messages import event_messages
from schemas.envelope import Envelope
from schemas.topology import UNROUTED
from tests.building.loops import IDS
from tests.services.rabbitmq import RabbitMQ as Node
from workers.config import Config, config_topology

pytestmark = pytest.mark.rabbitmq
SECONDS: Final = 60
CONFIG: Final = """
broker = "{url}"
[[source]]
name = "fake"
platform = "huawei_privatenumber"
tokens = ["{token}"]
[[queue]]
name = "billing"
events = ["call.completed", "call.amended"]
"""
LOTS: Final = """
[[queue]]
name = "lots"
batch = true
"""


class Tail(threading.Thread):
    """The command in a thread; `answer` once it has ended."""

    def __init__(self, config: Path, *arguments: str) -> None:
        super().__init__(daemon=True)
        self._arguments = ["tail", "--config", str(config), *arguments]
        self.answer: Any = None

    def run(self) -> None:
        self.answer = CliRunner().invoke(app, self._arguments)


@pytest.fixture
def config(request: pytest.FixtureRequest, tmp_path: Path, fresh_amqp_url: str) -> Path:
    file = tmp_path / "callstitch.toml"
    lots = "" if getattr(request, "param", "") else LOTS
    file.write_text(CONFIG.format(url=fresh_amqp_url, token="t" * 22) + lots)
    return file


def listening(node: Node, url: str) -> bool:
    """Whether a queue of such a command is bound."""
    vhost = url.rpartition("/")[2]
    answer = node.eval(f"""
        lists:any(fun({{binding, _, _, {{resource, _, queue, Name}}, _}}) ->
                      binary:match(Name, <<"callstitch.tail.">>) =/= nomatch;
                     (_) -> false end, rabbit_binding:list(<<"{vhost}">>)).""")
    return answer == "true"


async def waits_until(there: Any) -> None:
    for _ in range(SECONDS * 10):
        if await asyncio.to_thread(there):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("in vain")


async def told(broker: RabbitMQ, config: Config, name: str) -> Sequence[Envelope]:
    events = [one for one in await events_of(name, seed=1, source="fake") if "call.progress" not in one.route]
    await broker.publish(event_messages(events, IDS, config_topology(config).forms))
    return events


async def test_each_event_is_one_line_masked_and_shown_once_in_whatever_forms_it_passes(
    config: Path, fresh_amqp_url: str, rabbitmq_node: Node
) -> None:
    loaded = load_config(config)
    async with open_rabbitmq(fresh_amqp_url) as broker:
        await broker.declare(config_topology(loaded))
        tail = Tail(config, "--count", "3", "--tz", "UTC")
        tail.start()
        await waits_until(lambda: listening(rabbitmq_node, fresh_amqp_url))
        await told(broker, loaded, "amended")  # alone for billing, in a batch for lots
        await told(broker, loaded, "no_cdr")
        await asyncio.to_thread(tail.join, SECONDS)
        held = await broker.depths(["billing", "lots", UNROUTED])
    assert tail.answer.exit_code == 0, tail.answer.output
    head, *lines = tail.answer.stdout.splitlines()
    assert "UTC" in head
    assert [line.split()[2] for line in lines] == ["call.completed", "call.amended", "call.incomplete"]
    assert all(line.startswith("2026-01-06 ") and "  fake  " in line for line in lines), lines
    assert "answered" in lines[0]
    assert "revision 3" in lines[1]
    assert all("+86138****" in line for line in lines)
    assert "+861380" not in tail.answer.stdout
    assert held["billing"] == 2
    assert held[UNROUTED] == 0
    await waits_until(lambda: not listening(rabbitmq_node, fresh_amqp_url))


@pytest.mark.parametrize("config", ["billing alone"], indirect=True)
async def test_what_no_outlet_wants_is_still_known_to_be_wanted_by_nobody(
    config: Path, fresh_amqp_url: str, rabbitmq_node: Node
) -> None:
    """Bound to everything, its own queue would take these events, and nobody could replay them."""
    loaded = load_config(config)
    async with open_rabbitmq(fresh_amqp_url) as broker:
        await broker.declare(config_topology(loaded))
        tail = Tail(config, "--events", "all", "--count", "1", "--outcome", "busy")
        tail.start()
        await waits_until(lambda: listening(rabbitmq_node, fresh_amqp_url))
        await told(broker, loaded, "number")
        await told(broker, loaded, "outcomes")
        await asyncio.to_thread(tail.join, SECONDS)
        assert (await broker.depths([UNROUTED]))[UNROUTED] == 2
    assert tail.answer.exit_code == 0, tail.answer.output
    (_, line) = tail.answer.stdout.splitlines()
    assert " busy " in line


async def test_it_listens_again_after_its_connection_was_closed(
    config: Path, fresh_amqp_url: str, rabbitmq_node: Node
) -> None:
    loaded = load_config(config)
    async with open_rabbitmq(fresh_amqp_url) as broker:
        await broker.declare(config_topology(loaded))
    tail = Tail(config, "--count", "1")
    tail.start()
    await waits_until(lambda: listening(rabbitmq_node, fresh_amqp_url))
    await asyncio.to_thread(rabbitmq_node.ctl, "close_all_connections", "-p", fresh_amqp_url.rpartition("/")[2], "test")
    await waits_until(lambda: not listening(rabbitmq_node, fresh_amqp_url))
    await waits_until(lambda: listening(rabbitmq_node, fresh_amqp_url))
    async with open_rabbitmq(fresh_amqp_url) as broker:
        await told(broker, loaded, "no_cdr")
        await told(broker, loaded, "amended")
        await asyncio.to_thread(tail.join, SECONDS)
    assert tail.answer.exit_code == 0, tail.answer.output


def test_where_nobody_can_listen_it_says_so(tmp_path: Path, config: Path, fresh_amqp_url: str) -> None:
    def answered(text: str) -> Any:
        file = tmp_path / "other.toml"
        file.write_text(text)
        return CliRunner().invoke(app, ["tail", "--config", str(file)])

    sink = '[[sink]]\nname = "file"\nkind = "jsonl"\npath = "calls.jsonl"\n'
    embedded = answered('broker = "embedded::memory:"\n' + sink)
    assert (embedded.exit_code, "RabbitMQ" in embedded.output) == (78, True)
    nobody = answered(f'broker = "{fresh_amqp_url}"\n')
    assert (nobody.exit_code, "nothing to listen to" in nobody.output) == (78, True)
    undeclared = CliRunner().invoke(app, ["tail", "--config", str(config)])
    assert (undeclared.exit_code, "callstitch declare" in undeclared.output) == (78, True), undeclared.output
    assert CliRunner().invoke(app, ["tail", "--config", str(config), "--source", "other"]).exit_code == 2
