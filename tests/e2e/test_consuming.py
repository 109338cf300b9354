"""The programs of docs/consuming.md on a real RabbitMQ: told twice, out of order, and killed, each ends with the truth.

Each is run as its team runs it: by the user of the page's commands, and it meets a database that is not ready first.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import shlex
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

from console.demo.check import Truth
from tests.building.pages import blocks
from tests.e2e.balance import wait_until_balanced
from tests.e2e.programs import ROOT, wait_for
from tests.e2e.running import playing, running_up
from tests.services import debian, node
from tests.services.postgresql import PostgreSQL
from tests.services.rabbitmq import RabbitMQ

PAGE: Final = "docs/consuming.md"
CONSUMING: Final = ROOT / "docs" / "consuming"
CALLS: Final = 24
SECONDS: Final = 150.0  # for what takes two where nothing else runs
PYTHON: Final = ("with_pika", "with_aio_pika", "with_faststream")
PROGRAMS: Final = (*PYTHON, "with_amqplib", "with_amqp_tools")
BATCHES: Final = ("with_amqplib", "with_pika")  # these have a queue in batches; each is told in both forms
NO_TABLE: Final = 'relation "cdrs" does not exist'

pytestmark = pytest.mark.rabbitmq

Bills = dict[tuple[str, str], tuple[str, float | None, float | None]]  # outcome, seconds, minutes
Message = tuple[pika.BasicProperties, bytes]


@dataclass
class Team:
    """Programs as a team runs them: by a user of its own, each into a database of its own."""

    url: str
    directory: Path
    databases: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """The program of that name, on the queue of that name."""
        environ = {**os.environ, "AMQP_URL": self.url, "QUEUE": name, "DATABASE": self.databases[name]}
        with self._log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                [*debian.dies_with_us(), *self._command(name)], env=environ, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        """End it as a power cut would."""
        self.running[name].kill()
        self.running.pop(name).wait()

    def bills(self, name: str) -> Bills:
        """What it has billed so far."""
        sql = "SELECT callid, record_id, outcome, talk_seconds, billed_minutes FROM cdrs"
        if name == "with_pika":
            with closing(sqlite3.connect(self.databases[name])) as db:
                there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'cdrs'").fetchone()
                rows: list[Any] = db.execute(sql).fetchall() if there else []
        else:
            rows = asyncio.run(asked(self.databases[name], sql))
        return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}

    def log(self, name: str) -> str:
        return self._log(name).read_text()

    def why(self, name: str) -> str:
        return f"{name}: {self.log(name)[-2000:]}"

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _command(self, name: str) -> list[str]:
        if name in PYTHON:
            return [sys.executable, str(CONSUMING / f"{name}.py")]
        return ["node", f"{self.directory}/node/{name}.js"] if name == "with_amqplib" else [f"{CONSUMING}/{name}.sh"]


async def asked(dsn: str, sql: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


def granted(node: RabbitMQ, vhost: str) -> str:
    """The user that the page's commands make, word by word but for names; it may read the programs' queues."""
    (block,) = [block for block in blocks(PAGE) if "rabbitmqctl" in block.text]
    patterns = {"VHOST": vhost, "PASSWORD": "pass", "^billing$": f"^({'|'.join(PROGRAMS)})$"}
    for line in block.text.splitlines():
        program, *words = shlex.split(line)
        assert program == "rabbitmqctl"
        node.ctl(*(patterns.get(word, word) for word in words))
    return "billing-team:pass"


@pytest.fixture
def clients(amqp_consume: Path, npm: Path) -> Path:
    """What the programs need of Debian; npm."""
    assert amqp_consume.exists()
    return npm


@pytest.fixture
def team(
    tmp_path: Path, fresh_amqp_url: str, rabbitmq_node: RabbitMQ, postgresql_cluster: PostgreSQL, clients: Path
) -> Iterator[Team]:
    """The user that the page tells of, the programs, and what they need of npm."""
    user = granted(rabbitmq_node, fresh_amqp_url.rpartition("/")[2])
    node.installed(CONSUMING, tmp_path / "node", clients)
    databases = {name: postgresql_cluster.make_database() for name in PROGRAMS[1:]}
    url = fresh_amqp_url.replace("guest:guest", user)
    team = Team(url=url, directory=tmp_path, databases={"with_pika": str(tmp_path / "bills.db"), **databases})
    yield team
    for name in list(team.running):
        team.kill(name)
    rabbitmq_node.eval('rabbit_auth_backend_internal:delete_user(<<"billing-team">>, <<"tests">>).')
    for dsn in databases.values():
        postgresql_cluster.delete_database(dsn)


def test_each_program_ends_with_the_truth_of_the_platform(
    team: Team, tmp_path: Path, fresh_amqp_url: str, rabbitmq_node: RabbitMQ
) -> None:
    truth = played(tmp_path, fresh_amqp_url)
    a_queue_declared_by_habit_is_refused(team.url)
    messages = told_in_both_forms(fresh_amqp_url)
    for n, name in enumerate(PROGRAMS):
        random.Random(n).shuffle(messages)  # noqa: S311
        put(fresh_amqp_url, name, messages)

    for name in PROGRAMS:
        team.start(name)
    for name in PROGRAMS[1:]:
        wait_for(lambda: NO_TABLE in team.log(name), SECONDS, why=lambda: team.why(name))  # noqa: B023
        team.kill(name)
        asyncio.run(asked(team.databases[name], (CONSUMING / "cdrs.sql").read_text()))
        team.start(name)
    for name in PROGRAMS:
        wait_for(lambda: team.bills(name), SECONDS, why=lambda: team.why(name))  # noqa: B023
        team.kill(name)
        put(fresh_amqp_url, name, messages[: len(messages) // 2])  # which it is told once more
        team.start(name)
    for name in PROGRAMS:
        wait_for(lambda: not held(rabbitmq_node, team.url, name), SECONDS, why=lambda: team.why(name))  # noqa: B023
        assert team.running[name].poll() is None, team.why(name)
        assert wrong(team.bills(name), truth) == [], team.why(name)


def played(directory: Path, broker: str) -> Truth:
    """Calls of the emulator through the whole pipeline into a queue for each program; what a consumer must know."""
    queues = "".join(
        f'[[queue]]\nname = "{name}"\n' + ("batch = true\n" if name in BATCHES else "") for name in PROGRAMS
    )
    with running_up(directory, broker=broker, extra=queues) as up:
        with playing(up, calls=CALLS) as emulator:
            truth = emulator.finish()
            wait_until_balanced(up, truth, SECONDS)
        assert up.terminate() == 0
    return truth


def a_queue_declared_by_habit_is_refused(url: str) -> None:
    """As the page says: a plain `queue_declare` by whoever may declare, and by the team's user, which may ask."""
    owner = re.sub(r"//[^@]*@", "//guest:guest@", url)
    for who, refusal in ((owner, "406"), (url, "403")):
        with closing(pika.BlockingConnection(pika.URLParameters(who))) as connection:
            channel = connection.channel()
            with pytest.raises(ChannelClosedByBroker, match=refusal):
                channel.queue_declare("with_aio_pika", durable=True)
        with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
            assert connection.channel().queue_declare("with_aio_pika", passive=True).method.message_count > 0


def told_in_both_forms(url: str) -> list[Message]:
    """What all calls came to, alone and in batches: every event twice."""
    took = {name: taken(url, name) for name in PROGRAMS}
    singles, batches = took["with_aio_pika"], took["with_amqplib"]
    assert {properties.content_type for properties, _ in singles} == {"application/cloudevents+json"}
    assert {properties.content_type for properties, _ in batches} == {"application/cloudevents-batch+json"}
    return [*singles, *batches, *map(outdated, singles)]


def outdated(message: Message) -> Message:
    """A telling from before, by which nobody talked: it must change nothing, whenever it comes."""
    event = json.loads(message[1])
    for cdr in (event["data"].get("call") or {}).get("cdrs", []):
        cdr.update(outcome="unknown", talk_seconds=None, billed_minutes=None)
    return message[0], json.dumps({**event, "revision": 0}).encode()


def taken(url: str, queue: str) -> list[Message]:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        held: list[Message] = []
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            assert got[1] is not None
            held.append((got[1], got[2] or b""))
        return held


def put(url: str, queue: str, messages: list[Message]) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for properties, body in messages:
            channel.basic_publish("", queue, body, properties)


def held(node: RabbitMQ, url: str, queue: str) -> int:
    """How many messages it holds, with those that a consumer has and did not ack."""
    vhost = url.rpartition("/")[2]
    return int(
        node.eval(f"""
            {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>)),
            {{ok, {{_, Held}}, _}} =
                ra:local_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_total/1),
            Held.""")
    )


def wrong(bills: Bills, truth: Truth) -> list[str]:
    """What differs: each CDR is there once, and those of a call say together how it ended and what to pay for it."""
    expects = {f"huawei:{session}": line["expect"] for session, line in truth.calls.items()}
    expected = {(callid, cdr["record_id"]) for callid, expect in expects.items() for cdr in expect["cdrs"]}
    found = [f"{len(bills)} CDRs, the platform sent {len(expected)}"] if bills.keys() != expected else []
    by_call: dict[str, list[tuple[str, float | None, float | None]]] = defaultdict(list)
    for (callid, _), bill in bills.items():
        by_call[callid].append(bill)
    for callid, expect in expects.items():
        rows, talked = by_call[callid], expect["talk_seconds"] or 0
        told = (sum(row[1] or 0 for row in rows), sum(row[2] or 0 for row in rows))
        if expect["cdrs"] and told != (talked, math.ceil(talked / 60)):
            found.append(f"{callid}: {rows}, the platform's truth is {talked} s")
        if expect["cdrs"] and expect["outcome"] not in {row[0] for row in rows}:
            found.append(f"{callid}: {rows}, the platform's truth is {expect['outcome']}")
    return found
