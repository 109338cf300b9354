"""What an operator or the broker itself does to a running node, on request (Erlang of RabbitMQ 3.10, by `eval`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.services.rabbitmq import RabbitMQ


def memory_alarm(node: RabbitMQ) -> AbstractContextManager[None]:
    """The node is at its memory limit: it reads nothing more from a connection that publishes."""
    return _alarm(node, "memory")


def disk_alarm(node: RabbitMQ) -> AbstractContextManager[None]:
    """The same, for want of disk."""
    return _alarm(node, "disk")


@contextmanager
def _alarm(node: RabbitMQ, what: str) -> Iterator[None]:
    alarm = f"{{resource_limit, {what}, node()}}"
    node.eval(f"rabbit_alarm:set_alarm({{{alarm}, []}}).")
    try:
        yield
    finally:
        node.eval(f"rabbit_alarm:clear_alarm({alarm}).")


@contextmanager
def impatient_for_acks(node: RabbitMQ, *, milliseconds: int) -> Iterator[None]:
    """Channels opened meanwhile are closed when an ack takes longer; afterwards the defaults of 3.10 hold again."""
    node.eval(f"application:set_env(rabbit, consumer_timeout, {milliseconds}).")
    node.eval("application:set_env(rabbit, channel_tick_interval, 100).")
    try:
        yield
    finally:
        node.eval("application:set_env(rabbit, consumer_timeout, 1800000).")
        node.eval("application:set_env(rabbit, channel_tick_interval, 60000).")


def close_connections(node: RabbitMQ) -> None:
    """Say goodbye to every client, as `rabbitmqctl close_all_connections` does (320 CONNECTION_FORCED)."""
    node.eval('[rabbit_networking:close_connection(Each, "tests") || Each <- rabbit_networking:connections()].')


def cancel_consumers(node: RabbitMQ, url: str) -> None:
    """Send basic.cancel to every consumer of that vhost, though its queue is still there."""
    node.eval(f"""
        [rabbit_channel:send_command(
            proplists:get_value(channel_pid, Each), {{'basic.cancel', proplists:get_value(consumer_tag, Each), true}})
         || Each <- rabbit_amqqueue:consumers_all(<<"{url.rpartition("/")[2]}">>)].""")
