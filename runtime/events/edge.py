"""A message that died in a downstream queue: kept as it was, so that it can go back to that queue as the same message.

Its dead letter's routing key names the queue (schemas.topology.edge_stage), because headers alone do not: the first
death may be in a retry queue of the team's own, and RabbitMQ 3.10 has no header for the last one. They tell where a
policy forgot the key.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from runtime.broker.base import DEATH, DIED_IN, LAST_DEATH, LAST_DIED_IN, Delivery, Message
from runtime.events.messages import OUR_QUEUES
from schemas.envelope import EVENT_CONTENT_TYPE, Envelope, JsonObject
from schemas.topology import EDGE, edge_stage

_EVENT_ID: Final = "cloudEvents_id"
_OF_THE_BROKER: Final = ("x-death", "x-first-death", "x-last-death")
_OURS: Final = "/callstitch/"


def died_at_the_edge(delivery: Delivery) -> str:
    """The stage of the downstream queue in which it died, `queue:NAME`; empty for what died in a queue of ours."""
    if delivery.routing_key.startswith(EDGE):
        return delivery.routing_key
    died_in = str(delivery.headers.get(LAST_DIED_IN) or delivery.headers.get(DIED_IN, ""))
    return "" if not died_in or died_in.startswith(OUR_QUEUES) else edge_stage(died_in)


def death_of(delivery: Delivery) -> str:
    """The broker's word for why it died there."""
    return str(delivery.headers.get(LAST_DEATH) or delivery.headers.get(DEATH, ""))


def as_it_was(delivery: Delivery) -> JsonObject:
    """Its bytes, properties and headers, less what the broker wrote on it when it died."""
    headers = {name: value for name, value in delivery.headers.items() if not name.startswith(_OF_THE_BROKER)}
    told: JsonObject = {
        "content_type": delivery.content_type,
        "message_id": delivery.message_id,
        "headers": headers,
        "properties": {**delivery.properties, **_answered_to(delivery)},
    }
    try:
        return told | {"text": delivery.body.decode()}
    except UnicodeDecodeError:
        return told | {"base64": base64.b64encode(delivery.body).decode()}


def _answered_to(delivery: Delivery) -> dict[str, str]:
    """What a team's own question says; a reply to a channel of the broker's own finds nobody any more."""
    told = {"correlation_id": delivery.correlation_id, "reply_to": delivery.reply_to}
    return {name: value for name, value in told.items() if value and not value.startswith("amq.")}


def identity(delivery: Delivery) -> str:
    """What tells it from others: an event by its bytes, however often it was published; what is none, by its id too.

    So is an event of which only the data are in its bytes: its message's id is the event's.
    """
    content = hashlib.blake2b(delivery.body, digest_size=16).hexdigest()
    is_whole = delivery.content_type == EVENT_CONTENT_TYPE and _EVENT_ID in delivery.headers
    own = "" if is_whole or delivery.events > 1 else f"{delivery.message_id}|"
    return f"{own}{delivery.content_type}|{content}"


def source_of(delivery: Delivery) -> str:
    """The source of its event, or of the events of its batch, which have one routing; empty where it says none."""
    try:
        told: Any = orjson.loads(delivery.body)
    except orjson.JSONDecodeError:
        told = None
    first = told[0] if isinstance(told, list) and told else told
    named = first.get("source") if isinstance(first, dict) else None
    named = named or delivery.headers.get("cloudEvents_source")
    return named.removeprefix(_OURS) if isinstance(named, str) and named.startswith(_OURS) else ""


def message_of(envelope: Envelope, message_id: str) -> Message:
    """The same message for the queue that its route names, past every exchange; `message_id` if it had none."""
    assert isinstance(envelope.body, dict)
    kept: Mapping[str, Any] = envelope.body
    body = kept["text"].encode() if "text" in kept else base64.b64decode(kept["base64"])
    return Message(
        exchange="",
        routing_key=envelope.route,
        body=body,
        content_type=kept["content_type"],
        message_id=kept["message_id"] or message_id,
        headers=kept["headers"],
        properties=kept["properties"],
    )
