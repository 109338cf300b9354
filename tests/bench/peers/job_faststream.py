"""The whole job as a team would write it with FastAPI, FastStream and asyncpg: receive, dedupe by key, merge, publish.

Two processes, as ours has three: `door` answers after the confirm of its publish; `worker` does the rest. One
transaction a message: a claim of each fact's key (ON CONFLICT DO NOTHING), the facts of a session merged into its row
(jsonb ||), the events published at once (each confirmed, awaited together: its RabbitMQ producer refuses batches)
before the commit, the message acked after it; so a crash says nothing twice that a consumer could not tell by its id,
and loses nothing. Pages: FastStream "Rabbit > Publishing",
"Consuming Acknowledgements" and "Concurrency and Prefetch"; the rest is from the installed code.
Arguments: door PORT URL, or worker URL DSN PREFETCH steps|merged.
"""

# What it imports is installed in the peers' environment only.
# mypy: ignore-errors

from __future__ import annotations

import asyncio
import sys
from uuid import NAMESPACE_URL, uuid5

import asyncpg
import orjson
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage
from faststream.rabbit.fastapi import RabbitRouter

RECEIVED, DOWNSTREAM = "received", "bench"
STEPS = ("callin", "callout", "alerting", "answer", "disconnect")
TIMES = {"callInTime": "called_in_at", "fwdAnswerTime": "answered_at", "callEndTime": "ended_at"}
SCHEMA = """
CREATE TABLE IF NOT EXISTS claims (key text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS calls (session text PRIMARY KEY, facts jsonb NOT NULL, done boolean NOT NULL DEFAULT false);
"""
CLAIM = "INSERT INTO claims (key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING key"
MERGE = """
INSERT INTO calls (session, facts) VALUES ($1, $2::jsonb)
ON CONFLICT (session) DO UPDATE SET facts = calls.facts || excluded.facts RETURNING facts, done
"""


def facts_of(body: bytes) -> dict[str, tuple[str, str, dict]]:
    """Key, then session, step and content of each fact of a push."""
    push = orjson.loads(body)
    if push["eventType"] == "fee":
        return {f"cdr|{cdr['sessionId']}|{cdr['icid']}": (cdr["sessionId"], "fee", cdr) for cdr in push["feeLst"]}
    info, step = push["statusInfo"], push["eventType"]
    return {f"event|{info['sessionId']}|{step}|{info['timestamp']}": (info["sessionId"], step, info)}


def event(kind: str, session: str, discriminator: str, data: dict) -> tuple[bytes, str]:
    """A CloudEvent and its id."""
    event_id = str(uuid5(NAMESPACE_URL, f"{kind}|{session}|{discriminator}"))
    body = {
        "specversion": "1.0",
        "id": event_id,
        "type": f"callstitch.{kind}.v1",
        "source": "/bench",
        "subject": session,
        "datacontenttype": "application/json",
        "data": data,
    }
    return orjson.dumps(body), event_id


def record(session: str, facts: dict) -> dict:
    """The call as one record."""
    cdr = facts["fee"]
    return {
        "id": session,
        "caller": cdr["callerNum"],
        "callee": cdr.get("fwdDstNum"),
        "answered": "fwdAnswerTime" in cdr,
        **{name: cdr.get(key) for key, name in TIMES.items()},
        "timeline": [{"type": step, **facts[step]} for step in STEPS if step in facts],
        "cdrs": [cdr],
    }


def is_whole(facts: dict, *, merged: bool) -> bool:
    return "fee" in facts and (merged or all(step in facts for step in STEPS))


def door(port: int, url: str) -> None:
    router = RabbitRouter(url)

    @router.post("/{path:path}")
    async def post(request: Request) -> Response:
        await router.broker.publish(await request.body(), routing_key=RECEIVED, persist=True, mandatory=True)
        return Response()

    app = FastAPI()
    app.include_router(router)
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_level="warning", access_log=False)


def worker(url: str, dsn: str, prefetch: int, *, merged: bool) -> None:
    broker = RabbitBroker(url, default_channel=Channel(prefetch_count=prefetch), logger=None)
    received = RabbitQueue(RECEIVED, durable=True, queue_type=QueueType.QUORUM, declare=False)
    app = FastStream(broker)
    pools: list[asyncpg.Pool] = []

    @app.on_startup
    async def open_pool() -> None:
        pools.append(await asyncpg.create_pool(dsn, min_size=20, max_size=20))
        await pools[0].execute(SCHEMA)

    async def publish(kind: str, session: str, discriminator: str, data: dict) -> None:
        body, event_id = event(kind, session, discriminator, data)
        await broker.publish(
            body, routing_key=DOWNSTREAM, persist=True, mandatory=True, headers={"cloudEvents_id": event_id}
        )

    async def fold(db: asyncpg.Connection, session: str, step: str, content: dict) -> list:
        row = await db.fetchrow(MERGE, session, orjson.dumps({step: content}).decode())
        said = [] if step == "fee" else [publish("call.progress", session, step, {"event": content})]
        facts = orjson.loads(row["facts"])
        if is_whole(facts, merged=merged) and not row["done"]:
            await db.execute("UPDATE calls SET done = true WHERE session = $1", session)
            said.append(publish("call.completed", session, "1", {"call": record(session, facts)}))
        return said

    @broker.subscriber(received, ack_policy=AckPolicy.NACK_ON_ERROR)
    async def handle(message: RabbitMessage) -> None:
        facts = facts_of(message.body)
        async with pools[0].acquire() as db, db.transaction():
            new = {row["key"] for row in await db.fetch(CLAIM, sorted(facts))}
            said = [each for key in sorted(new) for each in await fold(db, *facts[key])]
            await asyncio.gather(*said)

    uvloop.run(app.run())


if __name__ == "__main__":
    if sys.argv[1] == "door":
        door(int(sys.argv[2]), sys.argv[3])
    else:
        worker(sys.argv[2], sys.argv[3], int(sys.argv[4]), merged=sys.argv[5] == "merged")
