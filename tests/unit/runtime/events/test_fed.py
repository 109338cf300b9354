"""An event for one queue in the binary mode of CloudEvents, and as a dead letter of it."""

from __future__ import annotations

import orjson

from runtime.broker.base import Delivery, Message
from runtime.events.edge import as_it_was, identity, message_of, source_of
from runtime.events.fed import fed_messages
from schemas.envelope import Envelope, Kind
from schemas.stage import Fed
from tests.building.facts import T0
from workers.calls.events import Event, event_envelope
from workers.feed import Target, feed


async def fed(*events: Envelope) -> list[Message]:
    made = await feed(Target(queue="crm", form="binary"))(events)
    return [message for message, _ in fed_messages([one for one in made if isinstance(one, Fed)], iter(["1", "2"]))]


def an_event(call: str, trace: str = "") -> Envelope:
    event = Event(
        type="call.decided", source="bj", subject=call, time=T0, data={"decision": {"by": "rule"}}, revision=3
    )
    return event_envelope(event, at=T0, trace=trace)


def died(message: Message) -> Delivery:
    return Delivery(
        1, 1, message.body, message.content_type, str(message.headers["cloudEvents_id"]), "queue:crm",
        dict(message.headers), 1, "", "", {},
    )  # fmt: skip


async def test_its_attributes_are_headers_and_its_data_the_body() -> None:
    event = an_event("bj:1", trace="00-1-1-01")
    assert isinstance(event.body, bytes)
    said = orjson.loads(event.body)
    (message,) = await fed(event)
    assert (message.exchange, message.routing_key, message.content_type) == ("", "crm", "application/json")
    assert orjson.loads(message.body) == said["data"]
    attributes = {
        f"cloudEvents_{name}": value for name, value in said.items() if name not in ("data", "datacontenttype")
    }
    assert message.headers == {**attributes, "traceparent": "00-1-1-01", "callstitch_route": "call.decided.bj"}
    assert list(message.headers)[:2] == ["cloudEvents_id", "traceparent"], "where they are looked for"


async def test_two_of_the_same_data_are_two_dead_letters_and_go_back_as_they_were() -> None:
    one, other = await fed(an_event("bj:1"), an_event("bj:2"))
    assert one.body == other.body
    assert identity(died(one)) != identity(died(other))
    assert identity(died(one)) == identity(died(one)._replace(tag=2))
    assert source_of(died(one)) == "bj"
    letter = Envelope("1", Kind.MESSAGE, "", T0, as_it_was(died(one)), route="crm")
    again = message_of(letter, "new")
    assert (again.body, again.headers, again.content_type) == (one.body, one.headers, one.content_type)
