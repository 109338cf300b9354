"""mq-bridge: one route from HTTP or AMQP to AMQP, all of it in its Rust core; Python only holds the configuration.

Its pages (on tuning, on delivery, its HTTP reference and `config_schema()`): a message is acked, and a request
answered, after the output took it; `delayed_ack` stays false, so the output waits for the broker's confirm; messages
are persistent unless `no_persistence`; batch_size and concurrency are the knobs to try. The queues exist already
(quorum), so the output declares none. Argument: the route as JSON.
"""

# What it imports is installed in the peers' environment only.
# mypy: ignore-errors

from __future__ import annotations

import json
import sys

from mq_bridge import Route

if __name__ == "__main__":
    Route.from_config(json.loads(sys.argv[1])).run()
