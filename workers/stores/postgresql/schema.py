"""The tables of each stage in PostgreSQL and how an older state is brought forward: one script a version.

Text columns hold only what we make or clean: NUL is legal in JSON and refused by text, so a call's id, which holds the
platform's session id, is bytes, as are states and bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from schemas.errors import Misconfigured, Unavailable
from workers.stores.postgresql.pool import SCHEMA, Connection, Database

# The first fingerprint of a key has its own table, so that one unique index decides who is first; amendments are rare.
_CLAIMS_1: Final = """
CREATE TABLE claim (
    key bytea PRIMARY KEY, fingerprint bytea NOT NULL, owner text NOT NULL, at timestamptz NOT NULL);
CREATE INDEX claim_at ON claim (at);
CREATE TABLE amendment (
    key bytea, fingerprint bytea, owner text NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (key, fingerprint));
CREATE INDEX amendment_at ON amendment (at);
CREATE TABLE receipt (
    envelope_id text PRIMARY KEY, source text NOT NULL, hour text NOT NULL, items int NOT NULL, new int NOT NULL,
    amended int NOT NULL, duplicate int NOT NULL, quarantined int NOT NULL);
CREATE INDEX receipt_hour ON receipt (hour);
CREATE TABLE tally (envelope_id text PRIMARY KEY, source text NOT NULL, hour text NOT NULL, answered int NOT NULL);
CREATE INDEX tally_hour ON tally (hour);
"""
# Outbox rows go by dropping days. A row whose day has no partition lands in outbox_rest: nothing waits for a partition.
_SESSIONS_1: Final = """
CREATE TABLE session (
    id bytea PRIMARY KEY, source text NOT NULL, state bytea NOT NULL, revision int NOT NULL, status text NOT NULL,
    hour text NOT NULL, due_at timestamptz, updated_at timestamptz NOT NULL) WITH (fillfactor = 80);
CREATE INDEX session_due ON session (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX session_quiet ON session (updated_at) WHERE due_at IS NULL;
CREATE TABLE tombstone (id bytea PRIMARY KEY, revision int NOT NULL, status text NOT NULL, at timestamptz NOT NULL);
CREATE INDEX tombstone_at ON tombstone (at);
CREATE SEQUENCE outbox_n;
CREATE TABLE outbox (
    day date NOT NULL, n bigint NOT NULL DEFAULT nextval('outbox_n'), id text NOT NULL, call_id bytea NOT NULL,
    route text NOT NULL, envelope bytea NOT NULL, leased_at timestamptz NOT NULL, sent_at timestamptz,
    PRIMARY KEY (n, day), UNIQUE (id, day)) PARTITION BY RANGE (day);
CREATE INDEX outbox_unsent ON outbox (leased_at, n) WHERE sent_at IS NULL;
CREATE INDEX outbox_call ON outbox (call_id);
CREATE INDEX outbox_sent ON outbox USING brin (sent_at);
CREATE TABLE outbox_rest PARTITION OF outbox DEFAULT;
"""
_PARKED_1: Final = """
CREATE TABLE parked (
    id text PRIMARY KEY, box text NOT NULL, stage text NOT NULL, source text NOT NULL, reason text NOT NULL,
    signature text NOT NULL, first_at timestamptz NOT NULL, last_at timestamptz NOT NULL, attempts int NOT NULL,
    raw bytea NOT NULL, state text NOT NULL);
CREATE INDEX parked_signature ON parked (box, signature);
"""
# What the ledger counts by (see ledger.py); NULL in what an older program wrote.
_CLAIMS_2: Final = "ALTER TABLE claim ADD COLUMN source text; ALTER TABLE amendment ADD COLUMN source text"
# What is the latest of a number that is told without a time.
_CLAIMS_3: Final = """
CREATE TABLE latest (
    key bytea PRIMARY KEY, fingerprint bytea NOT NULL, owner text NOT NULL, at timestamptz NOT NULL);
CREATE INDEX latest_at ON latest (at);
"""
_SESSIONS_2: Final = "ALTER TABLE session ADD COLUMN arrived jsonb"
_SESSIONS_3: Final = "SELECT 1"  # a program that cannot read states of version 2 stays out
_SESSIONS_4: Final = (  # see erasing.keyed_id; two random UUIDs are 244 random bits
    "CREATE TABLE purge_key (key bytea NOT NULL); INSERT INTO purge_key SELECT"
    " decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')"
)
# The outbox is only appended to from here on: who is to be sent stands beside it. Dropped columns touch no row, so this
# takes as long as what is unsent, whatever the outbox holds, and as one reading of `session` for its index. LZ4 takes a
# tenth of the CPU of PostgreSQL's own compression; a server without it keeps that.
_SESSIONS_5: Final = """
CREATE TABLE unsent (leased_at timestamptz NOT NULL, n bigint NOT NULL, day date NOT NULL, PRIMARY KEY (leased_at, n));
INSERT INTO unsent SELECT leased_at, n, day FROM outbox WHERE sent_at IS NULL;
ALTER TABLE outbox DROP COLUMN leased_at, DROP COLUMN sent_at;
ALTER TABLE session ADD COLUMN said text, ADD COLUMN said_on date;
CREATE INDEX session_said ON session (said_on, updated_at) WHERE said_on IS NOT NULL;
DO $$ DECLARE part regclass; BEGIN
    EXECUTE 'ALTER TABLE session ALTER COLUMN state SET COMPRESSION lz4';
    FOR part IN SELECT relid FROM pg_partition_tree('outbox') LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN envelope SET COMPRESSION lz4', part);
    END LOOP;
EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL; END $$;
"""
_PARKED_2: Final = "ALTER TABLE parked ADD COLUMN hour text, ADD COLUMN kind text"
_PARKED_3: Final = (  # 1 for what is there; NULL is what an older program parks meanwhile, then `raw` tells it
    "ALTER TABLE parked ADD COLUMN items int DEFAULT 1; ALTER TABLE parked ALTER COLUMN items DROP DEFAULT"
)

_DECLARED_1: Final = """
CREATE TABLE declared (
    exchange text NOT NULL, queue text NOT NULL, pattern text NOT NULL, PRIMARY KEY (exchange, queue, pattern));
"""

DECLARED_MIGRATIONS: Final = (_DECLARED_1,)
CLAIMS_MIGRATIONS: Final = (_CLAIMS_1, _CLAIMS_2, _CLAIMS_3)
SESSIONS_MIGRATIONS: Final = (_SESSIONS_1, _SESSIONS_2, _SESSIONS_3, _SESSIONS_4, _SESSIONS_5)
_PARKED_4: Final = "ALTER TABLE parked ADD COLUMN emptied boolean NOT NULL DEFAULT false"
PARKED_MIGRATIONS: Final = (_PARKED_1, _PARKED_2, _PARKED_3, _PARKED_4)
_SCRIPT_SECONDS: Final = 3600.0
_ONE_AT_A_TIME: Final = 0x63616C6C  # several processes start at once
_SESSION: Final = "SELECT current_database(), current_user"
_COLUMN: Final = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped"
_RENAMED: Final = """
SELECT nspname FROM pg_namespace n WHERE EXISTS (
    SELECT FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = n.oid AND c.relname = 'meta' AND c.relkind = 'r' AND a.attname = 'part')
AND EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname IN ('claim', 'session', 'parked')) LIMIT 1
"""


async def migrate(database: Database, part: str, migrations: Sequence[str]) -> datetime:
    """Bring the tables of `part` forward to the last version; returns the server's clock.

    Only a start does this: a process that runs holds its work until its tables are back, and makes none.

    Raises:
        Misconfigured: a newer version of the program wrote them, or we have no right to make them.
        Unavailable: see Database.transact; also when another schema holds our tables, as while it is renamed.
    """

    async def work(connection: Connection) -> datetime:
        ((name, user),) = await connection.fetch(_SESSION)
        try:
            return await _migrated(connection, part, migrations)
        except asyncpg.InsufficientPrivilegeError as error:
            where = f"database {name}, schema {SCHEMA}, user {user}"
            raise Misconfigured(f"store: PostgreSQL refuses us: {error} ({where})") from None

    return await database.transact(work)


async def _migrated(connection: Connection, part: str, migrations: Sequence[str]) -> datetime:
    await connection.execute(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")
    if await connection.fetchval("SELECT to_regnamespace($1) IS NULL", SCHEMA):
        if elsewhere := await connection.fetchval(_RENAMED):
            raise Unavailable(
                f"PostgreSQL: schema {SCHEMA} is away and {elsewhere} holds such tables: rename it back, or create an"
                f" empty schema {SCHEMA} to begin anew"
            )
        await connection.execute(f"CREATE SCHEMA {SCHEMA}")
    if await connection.fetchval("SELECT to_regclass($1) IS NULL", f"{SCHEMA}.meta"):
        await connection.execute("CREATE TABLE meta (part text PRIMARY KEY, version int NOT NULL)")
    version: int = await connection.fetchval("SELECT version FROM meta WHERE part = $1", part) or 0
    if version > len(migrations):
        raise Misconfigured(f"the {part} of this store are version {version}; this program knows {len(migrations)}")
    await connection.execute("SET LOCAL statement_timeout = 0")  # an index on a large table takes what it takes
    for script in migrations[version:]:
        await connection.execute(script, timeout=_SCRIPT_SECONDS)
    await connection.execute(
        "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (part) DO UPDATE SET version = excluded.version",
        part,
        len(migrations),
    )
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now


async def fetched(database: Database, query: str, *args: object) -> Sequence[Any]:
    """The rows of a question.

    Raises:
        Misconfigured: no stage has ever opened its tables there.
        Unavailable: see Database.transact.
    """
    try:
        return await database.fetch(query, *args)
    except asyncpg.UndefinedTableError:
        raise Misconfigured("there is no state in this database yet, or no right to see it") from None


async def is_there(database: Database, table: str) -> bool:
    """Whether a stage has made that table."""
    (row,) = await database.fetch("SELECT to_regclass($1) IS NOT NULL AS there", f"{SCHEMA}.{table}")
    return bool(row["there"])


def clean(text: Any) -> str:
    """Text without NUL, which PostgreSQL's text cannot hold."""
    return str(text).replace("\0", "\ufffd")


async def has_column(database: Database, table: str, column: str) -> bool:
    """Whether the table is there and has that column: an older program's has not."""
    found = await database.fetch(_COLUMN, f"{SCHEMA}.{table}", column)
    return bool(found)
