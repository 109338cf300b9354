"""The AsyncAPI 3 document of what Callstitch sends over AMQP: exchanges, routing keys, messages, headers, properties.

It is JSON, which is YAML too. A payload refers to the schema beside it, and has the first golden event of its type as
an example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from runtime.broker.base import EVENTS_HELD, ROUTE
from runtime.broker.rabbitmq.fields import PUBLISH
from runtime.events.batch import BATCH_EVENTS, TRACES
from schemas.envelope import BATCH_CONTENT_TYPE, EVENT_CONTENT_TYPE, JsonObject
from schemas.events.shapes import SHAPES, TIMELESS_BEFORE, WITH_REVISION
from schemas.events.versions import MINORS
from schemas.topology import BATCHES, CALLS, EVENT_TYPES

_BINDING: Final = {"bindingVersion": "0.3.0"}
_ATTRIBUTES: Final[Mapping[str, str]] = {
    "id": "The event's id; the message_id says the same",
    "specversion": "1.0",
    "type": "The event's type; the property type says the same",
    "source": "/callstitch/<source>",
    "subject": "Whom it is about",
    "callid": "The same as the subject",
    "time": "When it happened; the property timestamp says the same, cut to seconds",
    "dataschema": "Which schema it follows",
}
_SINGLE: Final = {
    "message_id": "the event's id",
    "type": "the event's type",
    "app_id": "callstitch",
    "timestamp": "the event's time, cut to seconds",
    "delivery_mode": "2",
}
_TOGETHER: Final = {
    "message_id": "one of the message's own",
    "type": "the type of all its events",
    "app_id": "callstitch",
    "delivery_mode": "2",
}
_ABOUT: Final = """\
One trustworthy record per call, and what happens to it, as CloudEvents 1.0.

A team gets a queue of its own: the `[[queue]]` of the config says which events, alone or in batches, and Callstitch
declares it. Deduplicate on `id`, keep the highest `revision` of each `callid`, bill `data.call.cdrs[]`. Fields are
added within `...v1` and sets of values grow: ignore a field that you do not know, and keep a branch for a word that you
do not know. docs/events.md says what each field means."""


def asyncapi(golden: Mapping[str, JsonObject]) -> JsonObject:
    """The document."""
    names = [(kind, SHAPES[kind].__name__) for kind in EVENT_TYPES]
    channels: JsonObject = {}
    messages: JsonObject = {}
    for kind, name in names:
        channels[_camel(name)] = _channel(kind, name, CALLS)
        channels[f"{_camel(name)}Batch"] = _channel(kind, f"{name}Batch", BATCHES)
        messages[name] = _single(kind, name, golden)
        messages[f"{name}Batch"] = _batch(kind, name)
        messages[f"{name}Binary"] = _binary(kind, name)
    channels["queue"] = _queue(messages)
    return {
        "asyncapi": "3.0.0",
        "id": "urn:callstitch:events",
        "info": {
            "title": "Callstitch events",
            "version": f"1.{max(MINORS.values())}.0",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": "telephony"}],
        },
        "defaultContentType": EVENT_CONTENT_TYPE,
        "servers": {
            "rabbitmq": {
                "host": "{host}:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "The broker of the config, RabbitMQ",
                "variables": {"host": {"default": "rabbitmq", "description": "Its host, or any of its nodes"}},
            }
        },
        "channels": channels,
        "operations": dict(_operations(channels)),
        "components": {"messages": messages},
    }


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _channel(kind: str, message: str, exchange: str) -> JsonObject:
    return {
        "address": f"{kind}.{{source}}",
        "title": f"{kind} in {exchange}",
        "parameters": {"source": {"description": "The account at a platform, as the config names it"}},
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": exchange, "type": "topic", "durable": True, "autoDelete": False},
                **_BINDING,
            }
        },
    }


def _queue(messages: Mapping[str, Any]) -> JsonObject:
    """Where a team reads them."""
    return {
        "address": "{queue}",
        "title": "the queue of a team",
        "description": "A durable quorum queue that Callstitch declares, which gets one form of messages: alone, in"
        " batches (batch = true) or binary. One that Callstitch feeds itself, by any other of its options, has its own"
        f" name as routing key of each message, and that of the event in {ROUTE}.",
        "parameters": {"queue": {"description": "Its name in the config"}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "amqp": {"is": "queue", "queue": {"durable": True, "exclusive": False, "autoDelete": False}, **_BINDING}
        },
    }


def _operations(channels: Mapping[str, Any]) -> Iterator[tuple[str, JsonObject]]:
    for channel, told in channels.items():
        yield (
            f"send{channel[0].upper()}{channel[1:]}",
            {
                "action": "send",
                "channel": {"$ref": f"#/channels/{channel}"},
                "summary": f"Callstitch sends to {told['title']}",
                "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in told["messages"]],
                "bindings": {"amqp": {"deliveryMode": 2, "mandatory": True, "timestamp": True, **_BINDING}},
            },
        )


def _single(kind: str, name: str, golden: Mapping[str, JsonObject]) -> JsonObject:
    example = next(one for one in golden if one.startswith(f"{kind}."))
    return {
        "name": f"callstitch.{kind}.v1",
        "title": name,
        "summary": (SHAPES[kind].__doc__ or "").strip(),
        "contentType": EVENT_CONTENT_TYPE,
        "headers": _headers(dict(_event_headers(kind)), leave=_rare(kind)),
        "payload": {"$ref": f"./schemas/{kind}.json"},
        "bindings": {"amqp": {"messageType": f"callstitch.{kind}.v1", **_BINDING}},
        "examples": [{"name": example.rpartition(".")[2], "payload": golden[example]}],
        "x-amqp-properties": _SINGLE,
        "x-golden-events": [f"./events/{one}.json" for one in golden if one.startswith(f"{kind}.")],
    }


def _binary(kind: str, name: str) -> JsonObject:
    """What a queue with `content = "binary"` gets."""
    whole = dict(_event_headers(kind))
    return {
        "name": f"callstitch.{kind}.v1-binary",
        "title": f"{name}Binary",
        "summary": "The same in the binary mode of CloudEvents: attributes are headers, the body is the data alone",
        "contentType": "application/json",
        "headers": _headers(whole, leave=_rare(kind), always=(ROUTE,)),
        "payload": {"$ref": f"./schemas/{kind}.json#/$defs/{name}Data"},
        "bindings": {"amqp": {"messageType": f"callstitch.{kind}.v1", **_BINDING}},
        "x-amqp-properties": _SINGLE,
    }


def _event_headers(kind: str) -> Iterator[tuple[str, JsonObject]]:
    for name, meaning in _ATTRIBUTES.items():
        yield f"cloudEvents_{name}", {"type": "string", "description": meaning}
    if kind in WITH_REVISION:
        yield "cloudEvents_revision", {"type": "integer", "description": "Counts the events about this callid"}
    yield "traceparent", {"type": "string", "description": "W3C trace context, where the event has one"}


def _rare(kind: str) -> frozenset[str]:
    """What an event of before, or without a trace, does not have."""
    timeless = {"cloudEvents_time"} if kind in TIMELESS_BEFORE else set[str]()
    return frozenset({"traceparent", "cloudEvents_dataschema", *timeless})


def _batch(kind: str, name: str) -> JsonObject:
    headers = {
        EVENTS_HELD: {"type": "integer", "description": "How many events it holds"},
        TRACES: {"type": "string", "description": "The traceparent of each event, with commas between"},
    }
    return {
        "name": f"callstitch.{kind}.v1-batch",
        "title": f"{name}Batch",
        "summary": f"1 to {BATCH_EVENTS} events of one source, in a JSON array",
        "contentType": BATCH_CONTENT_TYPE,
        "headers": _headers(headers, leave=frozenset({TRACES})),
        "payload": {"type": "array", "minItems": 1, "items": {"$ref": f"./schemas/{kind}.json"}},
        "bindings": {"amqp": {"messageType": f"callstitch.{kind}.v1", **_BINDING}},
        "x-amqp-properties": _TOGETHER,
    }


def _headers(properties: JsonObject, *, leave: frozenset[str], always: Sequence[str] = ()) -> JsonObject:
    ours = {
        PUBLISH: {"type": "integer", "description": "Unique per publish; ours, by which returned messages are known"},
        ROUTE: {"type": "string", "description": "<short type>.<source>, in a queue that Callstitch feeds itself"},
    }
    return {
        "type": "object",
        "properties": {**properties, **ours},
        "required": [name for name in (*properties, PUBLISH, *always) if name not in leave],
    }
