"""The tables of correlate on SQLite, and how an older file is brought forward: one script a version."""

from __future__ import annotations

from typing import Final

from workers.stores.sqlite import purge

_VERSION_1: Final = """
CREATE TABLE IF NOT EXISTS session (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, state BLOB NOT NULL, revision INTEGER NOT NULL,
    status TEXT NOT NULL, hour TEXT NOT NULL, due_at INTEGER, updated_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_due ON session (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS outbox (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, call_id TEXT NOT NULL, route TEXT NOT NULL,
    envelope BLOB NOT NULL, leased_at INTEGER NOT NULL, sent_at INTEGER);
CREATE INDEX IF NOT EXISTS outbox_unsent ON outbox (leased_at) WHERE sent_at IS NULL;
CREATE INDEX IF NOT EXISTS outbox_call ON outbox (call_id) WHERE sent_at IS NULL;
"""
_VERSION_2: Final = """
CREATE TABLE tombstone (
    id TEXT PRIMARY KEY, revision INTEGER NOT NULL, status TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX tombstone_at ON tombstone (at);
CREATE INDEX session_quiet ON session (updated_at) WHERE due_at IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
DROP INDEX outbox_call;
CREATE INDEX outbox_call ON outbox (call_id);
"""
_VERSION_3: Final = "ALTER TABLE session ADD COLUMN arrived TEXT;"  # NULL in what an older program folded last
# Long states take fewer pages in a table with rowids; and a program that cannot read states of version 2 stays out.
_VERSION_4: Final = """
ALTER TABLE session RENAME TO session_before;
DROP INDEX session_due;
DROP INDEX session_quiet;
CREATE TABLE session (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, state BLOB NOT NULL, revision INTEGER NOT NULL, status TEXT NOT NULL,
    hour TEXT NOT NULL, due_at INTEGER, updated_at INTEGER NOT NULL, arrived TEXT);
INSERT INTO session SELECT * FROM session_before;
DROP TABLE session_before;
CREATE INDEX session_due ON session (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX session_quiet ON session (updated_at) WHERE due_at IS NULL;
"""
# What was said is only added to: the id of an event is made of its call's, so one index finds it and keeps it single.
# `said` names the event that holds the record of a session; a program that looks for it in the state stays out.
_VERSION_6: Final = """
ALTER TABLE outbox RENAME TO outbox_before;
CREATE TABLE outbox (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL, call_id TEXT NOT NULL, route TEXT NOT NULL, at INTEGER NOT NULL,
    envelope BLOB NOT NULL);
CREATE TABLE unsent (n INTEGER PRIMARY KEY, leased_at INTEGER NOT NULL);
INSERT INTO outbox SELECT n, id, call_id, route, coalesce(sent_at, leased_at), envelope FROM outbox_before ORDER BY n;
INSERT INTO unsent SELECT n, leased_at FROM outbox_before WHERE sent_at IS NULL ORDER BY n;
DROP TABLE outbox_before;
CREATE UNIQUE INDEX outbox_call ON outbox (call_id, id);
ALTER TABLE session ADD COLUMN said TEXT;
"""
SESSIONS_MIGRATIONS: Final = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, purge.KEY_TABLE, _VERSION_6)
