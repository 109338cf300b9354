"""The services of the tests themselves: what the fixtures promise to every other test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pika
import pytest

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
