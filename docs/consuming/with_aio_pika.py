"""Bills from a downstream queue into PostgreSQL, with aio-pika and asyncpg: AMQP_URL, QUEUE, DATABASE say where."""

from __future__ import annotations

import asyncio
import json
import os

import aio_pika
import asyncpg

# The key of money is (callid, record_id); of two tellings the one of the higher revision counts, whatever came first.
UPSERT = """
INSERT INTO cdrs VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (callid, record_id) DO UPDATE SET revision = excluded.revision, outcome = excluded.outcome,
    talk_seconds = excluded.talk_seconds, billed_minutes = excluded.billed_minutes
WHERE excluded.revision > cdrs.revision"""


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
    """Consume until killed; `robust` comes back by itself when the broker was away."""
    database = await asyncpg.connect(os.environ["DATABASE"])
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=32)
    queue = await channel.get_queue(os.environ["QUEUE"])  # declare_queue would need passive=True
    async with queue.iterator() as messages:
        async for message in messages:
            told = json.loads(message.body)
            events = told if message.content_type.endswith("-batch+json") else [told]
            await database.executemany(UPSERT, [row for event in events for row in bills(event)])  # all or nothing
            await message.ack()  # not `async with message.process()`: that rejects whatever a stop interrupts


asyncio.run(main())
