"""What a stage made for one downstream queue, as messages for it alone, by the default exchange."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import orjson

from runtime.broker.base import ROUTE, Message
from runtime.events.batch import batches, events_held
from runtime.events.messages import single_message
from schemas.envelope import Envelope
from schemas.stage import Fed


def fed_messages(fed: Iterable[Fed], ids: Iterator[str]) -> list[tuple[Message, Sequence[Envelope]]]:
    """Each message with the envelopes that its events were made of, in order.

    Its routing key names the queue; a header has that of the event, `<type>.<source>`.
    """
    made: list[tuple[Message, Sequence[Envelope]]] = []
    for (queue, form), some in groupby(fed, key=lambda one: (one.queue, one.form)):
        if form == "batch":
            made += _batched(list(some), queue, ids)
        else:
            alone = [(_to(single_message(one, next(ids)), queue), [one.of]) for one in some]
            made += alone if form == "structured" else [(_binary(message), of) for message, of in alone]
    return made


def _binary(message: Message) -> Message:
    """The same event in the binary mode of the CloudEvents AMQP binding: attributes are headers, its data is the body.

    `cloudEvents_id` and a trace stand first, as in all messages of ours.
    """
    told = orjson.loads(message.body)
    data, content_type = told.pop("data"), told.pop("datacontenttype")
    attributes = {f"cloudEvents_{name}": value for name, value in told.items() if name != "id"}
    headers = {**message.headers, **attributes}
    return message._replace(body=orjson.dumps(data), content_type=content_type, headers=headers)


def _batched(fed: Sequence[Fed], queue: str, ids: Iterator[str]) -> list[tuple[Message, Sequence[Envelope]]]:
    by_route: dict[str, list[Fed]] = {}
    for one in fed:
        by_route.setdefault(one.route, []).append(one)
    made: list[tuple[Message, Sequence[Envelope]]] = []
    for group in by_route.values():
        rest = iter(group)
        messages = batches(group, ids, exchange="")
        made += [(_to(one, queue), [next(rest).of for _ in range(events_held(one))]) for one in messages]
    return made


def _to(message: Message, queue: str) -> Message:
    headers = {**message.headers, ROUTE: message.routing_key}
    return message._replace(exchange="", routing_key=queue, headers=headers)
