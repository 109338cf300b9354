"""What a queue is declared with on RabbitMQ, what an older one may have instead, and the policy that mends one."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, Final

from schemas.topology import Queue

LIMIT: Final = "x-delivery-limit"
_UNLIMITED: Final = -1
_DEAD_LETTERING: Final = (
    "x-dead-letter-exchange", "x-dead-letter-strategy", "x-overflow", "x-dead-letter-routing-key",
)  # fmt: skip
_LIMITS_BY_DEFAULT: Final = 4  # the major version from which a quorum queue without a limit drops after 20 deliveries


def queue_arguments(queue: Queue, version: int) -> dict[str, Any]:
    """The arguments of a declaration, for a server of that major version."""
    if queue.stream:
        return {"x-queue-type": "stream"}
    arguments: dict[str, Any] = {"x-queue-type": "quorum"}
    if queue.single_active:
        arguments["x-single-active-consumer"] = True
    if queue.dead_letter_exchange is not None:
        arguments |= {
            "x-dead-letter-exchange": queue.dead_letter_exchange,
            # The default way republishes without confirms; at-least-once works only with reject-publish.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
    if queue.max_length is not None:
        arguments |= {"x-max-length": queue.max_length, "x-overflow": "reject-publish"}
    if queue.dead_letter_key is not None:
        arguments["x-dead-letter-routing-key"] = queue.dead_letter_key
    if queue.ttl_seconds is not None:
        arguments["x-message-ttl"] = round(queue.ttl_seconds * 1000)
    if queue.delivery_limit is not None:
        arguments[LIMIT] = queue.delivery_limit
    elif version >= _LIMITS_BY_DEFAULT:
        arguments[LIMIT] = _UNLIMITED  # 3.10 would drop each message at its first redelivery
    return arguments


def may_have(queue: Queue, version: int) -> list[dict[str, Any]]:
    """The arguments of a new one, then those of older ones."""
    wanted = queue_arguments(queue, version)
    found = [wanted]
    if queue.downstream and not queue.stream and queue.max_length is None:
        found.append({name: value for name, value in wanted.items() if name not in _DEAD_LETTERING})
    if wanted.get(LIMIT) == _UNLIMITED:
        found += [{name: value for name, value in each.items() if name != LIMIT} for each in tuple(found)]
    return found


def unlimited(arguments: dict[str, Any]) -> bool:
    """Whether they say that there is no delivery limit."""
    return arguments.get(LIMIT) == _UNLIMITED


def policy(queue: Queue, version: int, vhost: str) -> str:
    """The command that has that queue alone dead-letter to us; of policies only one applies to a queue."""
    arguments = queue_arguments(queue, version)
    words = {name.removeprefix("x-"): value for name, value in arguments.items() if name in (*_DEAD_LETTERING, LIMIT)}
    pattern = f"^{re.escape(queue.name)}$"
    command = ["rabbitmqctl", "set_policy", "-p", vhost, "--priority", "1", f"callstitch-dead-letters-{queue.name}"]
    return shlex.join([*command, pattern, json.dumps(words), "--apply-to", "queues"])
