"""Bills from a downstream queue into PostgreSQL, with FastStream and asyncpg: AMQP_URL, QUEUE, DATABASE say where."""

from __future__ import annotations

import asyncio
import json
import os

import asyncpg
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

# The key of money is (callid, record_id); of two tellings the one of the higher revision counts, whatever came first.
UPSERT = """
INSERT INTO cdrs VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (callid, record_id) DO UPDATE SET revision = excluded.revision, outcome = excluded.outcome,
    talk_seconds = excluded.talk_seconds, billed_minutes = excluded.billed_minutes
WHERE excluded.revision > cdrs.revision"""

broker = RabbitBroker(os.environ["AMQP_URL"], default_channel=Channel(prefetch_count=32))


async def decoded(message):
    """By default FastStream decodes application/json alone, and hands a handler of dicts bytes, which it rejects."""
    told = json.loads(message.body)
    return told if message.content_type.endswith("-batch+json") else [told]


def bills(event):
    """One row for each CDR; none of an event that holds no call, such as an SMS."""
    call = event["data"].get("call") or {}
    return [
        (
            event["callid"],
            cdr["record_id"],
            event["revision"],
            cdr["outcome"],
            cdr["talk_seconds"],
            cdr["billed_minutes"],
        )
        for cdr in call.get("cdrs", [])
    ]


async def main():
    """Consume until stopped."""
    async with asyncpg.create_pool(os.environ["DATABASE"], min_size=1, max_size=4) as database:

        @broker.subscriber(
            RabbitQueue(os.environ["QUEUE"], declare=False),  # by default it declares a classic queue, and gets 406
            decoder=decoded,
            ack_policy=AckPolicy.NACK_ON_ERROR,  # by default an error rejects: the event is a dead letter at once
        )
        async def take(events: list[dict]):
            await database.executemany(UPSERT, [row for event in events for row in bills(event)])  # all or nothing

        await FastStream(broker).run()


asyncio.run(main())
