"""RabbitMQ's own metrics: the plugin `rabbitmq_prometheus`, switched on in a running node."""

from __future__ import annotations

import time
from typing import Final

from tests.services import ports
from tests.services.rabbitmq import RabbitMQ

_BOOT_SECONDS: Final = 60.0  # AMQP answers a moment before the node has booted


def expose_metrics(node: RabbitMQ) -> int:
    """Switch the plugin on for this node, over its next starts too; returns its port on loopback."""
    port = ports.free_port()
    with (node.home / "rabbitmq.conf").open("a") as conf:
        conf.write(f"prometheus.tcp.port = {port}\nprometheus.tcp.ip = 127.0.0.1\n")
    plugins = node.home / "enabled_plugins"
    plugins.write_text("[rabbitmq_prometheus].\n")
    deadline = time.monotonic() + _BOOT_SECONDS
    while node.eval("rabbit:is_running().") != "true":
        if time.monotonic() > deadline:
            raise RuntimeError("the node does not boot")
        time.sleep(0.1)
    node.eval(f"""
        application:load(rabbitmq_prometheus),
        application:set_env(rabbitmq_prometheus, tcp_config, [{{port, {port}}}, {{ip, "127.0.0.1"}}]),
        {{ok, _, _}} = rabbit_plugins:ensure("{plugins}").""")
    return port
