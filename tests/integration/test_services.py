"""The services of the tests themselves: what the fixtures promise to every other test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pika
import pytest

from tests.e2e.programs import ROOT
from tests.services import debian, suite
from tests.services.postgresql import PostgreSQL
from tests.services.rabbitmq import RabbitMQ


@pytest.mark.rabbitmq
def test_a_stored_message_is_still_there_after_kill_and_start(own_rabbitmq: RabbitMQ) -> None:
    port = own_rabbitmq.port
    publish(own_rabbitmq.url, b"kept")

    own_rabbitmq.kill()
    own_rabbitmq.start()

    assert own_rabbitmq.port == port
    assert take(own_rabbitmq.url) == b"kept"


@pytest.mark.rabbitmq
def test_two_fresh_vhosts_share_nothing(rabbitmq_node: RabbitMQ, fresh_amqp_url: str) -> None:
    other = rabbitmq_node.make_vhost()
    publish(other, b"elsewhere")
    publish(fresh_amqp_url, b"here")

    rabbitmq_node.delete_vhost(other)

    assert take(fresh_amqp_url) == b"here"


@pytest.mark.rabbitmq
def test_a_c_client_reads_from_the_shared_vhost(amqp_url: str, amqp_consume: Path) -> None:
    publish(amqp_url, b"for the C client")

    said = subprocess.run(
        [amqp_consume, "--url", amqp_url, "--queue", "services", "--count", "1", "cat"], capture_output=True, check=True
    )

    assert said.stdout == b"for the C client"


def test_a_database_is_still_there_after_kill_and_start(own_postgresql: PostgreSQL) -> None:
    dsn = own_postgresql.make_database()

    own_postgresql.kill()
    own_postgresql.start()

    own_postgresql.delete_database(dsn)


USE: Final = """
from tests.e2e.programs import ROOT
from tests.services import debian, suite
try:
    print(suite.unpacked("trixie", "jq").root, flush=True)
    input()
except debian.Missing as missing:
    print("missing:", missing)
"""


def test_a_suite_is_unpacked_once_and_removed_by_the_last_process_that_uses_it(tmp_path: Path) -> None:
    with using_a_suite(tmp_path) as first, using_a_suite(tmp_path) as second:
        small = suite.Suite(root_of(first))
        assert root_of(second) == small.root
        end(first)
        assert (small.root / "usr/bin/jq").exists()

        (tmp_path / "note").write_text("seen by Debian ")
        looking = small.command("cat", str(tmp_path / "note"), "/etc/debian_version")
        assert subprocess.run(looking, capture_output=True, check=True).stdout.startswith(b"seen by Debian 13")
        with subprocess.Popen(small.command("sleep", "60")) as sleeping:
            sleeping.terminate()
            assert sleeping.wait(30) == -signal.SIGTERM

        end(second)
        assert not small.root.exists()


def using_a_suite(temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*debian.dies_with_us(), sys.executable, "-c", USE],
        env={**os.environ, "TMPDIR": str(temporary), suite.KEPT_IN: ""},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def root_of(user: subprocess.Popen[str]) -> Path:
    assert user.stdout is not None
    told = user.stdout.readline().strip()
    if told.startswith("missing:"):
        pytest.skip(told)
    return Path(told)


def end(user: subprocess.Popen[str]) -> None:
    user.communicate("\n", timeout=60)


def publish(url: str, body: bytes) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("services", durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_publish("", "services", body, pika.BasicProperties(delivery_mode=2), mandatory=True)
    connection.close()


def take(url: str) -> bytes | None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    _, _, body = connection.channel().basic_get("services", auto_ack=True)
    connection.close()
    return body
