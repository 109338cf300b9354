"""repid queue to queue: an actor that sends on what it gets; its message is acked once it returned.

Its pages (user_guide/raw_message_and_eager_response, user_guide/server_specific_parameters, user_guide/actors/
confirmation_and_errors, getting_started/supported_brokers): `Message` gives the raw payload; confirmation "auto" acks
after the return; `durable` in the header. It speaks AMQP 1.0: before RabbitMQ 4 the plugin rabbitmq_amqp1_0 does,
with older addresses, which repid lets one name. The plugin of 3.10 reads only the one-byte forms of true and false
(to others it answers "Unexpected frame", tried), so these are sent. Its `send_message`
sends settled, so nobody confirms it (2.1.4, connections/amqp/protocol/links.py): it promises less than the others. To
send unsettled through its `managed_session` was tried: it stalls here after some 150 messages.
Arguments: AMQP URL, from, to, tasks_limit.
"""

# What it imports is installed in the peers' environment only.
# mypy: ignore-errors

from __future__ import annotations

import sys

import uvloop
from repid import AmqpServer, Message, Repid, Router
from repid.connections.amqp import AmqpMessageHeader
from repid.connections.amqp._uamqp import _encode
from repid.router import catch_all_routing_strategy

URL, SOURCE, TARGET, CONCURRENCY = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
DURABLE = AmqpMessageHeader(durable=True)

wide = _encode._encode_boolean


def narrow(output: bytearray, value: bool, with_constructor: bool = True, **kwargs: object) -> None:
    if with_constructor:
        output.extend(b"\x41" if value else b"\x42")
    else:
        wide(output, value, with_constructor, **kwargs)


_encode._encode_boolean = narrow
for table in vars(_encode).values():
    if isinstance(table, dict):
        table.update({name: narrow for name, encode in table.items() if encode is wide})

app = Repid(title="relay", version="1.0.0")
server = AmqpServer(
    URL,
    publish_naming_strategy=lambda channel, _key: f"/amq/queue/{channel}",
    subscribe_naming_strategy=lambda channel: f"/amq/queue/{channel}",
)
app.servers.register_server("default", server, is_default=True)
router = Router()


@router.actor(channel=SOURCE, routing_strategy=catch_all_routing_strategy)
async def relay(message: Message) -> None:
    await message.send_message(channel=TARGET, payload=message.payload, server_specific_parameters={"header": DURABLE})


app.include_router(router)


async def main() -> None:
    async with app.servers.default.connection():
        await app.run_worker(tasks_limit=CONCURRENCY)


if __name__ == "__main__":
    uvloop.run(main())
