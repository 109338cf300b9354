"""Bills from a downstream queue into SQLite, with pika: AMQP_URL, QUEUE and DATABASE (a file) say where."""

from __future__ import annotations

import json
import os
import sqlite3

import pika

# The key of money is (callid, record_id); of two tellings the one of the higher revision counts, whatever came first.
TABLE = """
CREATE TABLE IF NOT EXISTS cdrs (
    callid TEXT, record_id TEXT, revision INTEGER NOT NULL, outcome TEXT, talk_seconds REAL, billed_minutes REAL,
    PRIMARY KEY (callid, record_id))"""
UPSERT = """
INSERT INTO cdrs VALUES (?, ?, ?, ?, ?, ?)
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


def take(channel, method, properties, body):
    """One transaction for all that the message holds, then the ack: killed in between it comes again, harmlessly."""
    told = json.loads(body)
    events = told if properties.content_type.endswith("-batch+json") else [told]
    with database:
        database.executemany(UPSERT, [row for event in events for row in bills(event)])
    channel.basic_ack(method.delivery_tag)


database = sqlite3.connect(os.environ["DATABASE"])
database.execute(TABLE)
channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.basic_qos(prefetch_count=32)
channel.basic_consume(os.environ["QUEUE"], take)  # no queue_declare: the queue is there, and is not ours to declare
channel.start_consuming()
