"""What an administrator does to PostgreSQL while everybody uses it, each step as the superuser."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

from tests.chaos.scene import Scene, Seen, Unready

USER: Final = "app"  # the roles' own: it may make a schema, and owns what it makes
_SCHEMA: Final = "callstitch"
_AWAY: Final = "callstitch_away"
_NEEDS_THE_STORE: Final = ("correlate", "dedupe")
_LOCK_TRIES: Final = 20


class Session:
    """A connection that is kept for the length of a fault."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection: Any = self._loop.run_until_complete(asyncpg.connect(url))

    def execute(self, query: str) -> str:
        """The command's tag."""
        return str(self._loop.run_until_complete(self._connection.execute(query)))

    def value(self, query: str) -> Any:
        """The first column of the first row."""
        return self._loop.run_until_complete(self._connection.fetchval(query))

    def close(self) -> None:
        """A transaction that is open is rolled back."""
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


@contextmanager
def session(url: str) -> Iterator[Session]:
    """One that is closed when the context ends."""
    opened = Session(url)
    try:
        yield opened
    finally:
        opened.close()


def make_user(url: str) -> str:
    """The URL of the same database for a user of no more rights than the operator's page asks for."""
    parts = urlsplit(url)
    with session(url) as opened:
        opened.execute(f"CREATE ROLE {USER} LOGIN")
        opened.execute(f"GRANT CONNECT, CREATE ON DATABASE {parts.path.strip('/')} TO {USER}")
    return parts._replace(netloc=f"{USER}@{parts.hostname}:{parts.port}").geturl()


@contextmanager
def backends_terminated(scene: Scene, _: str) -> Iterator[Seen]:
    """The server ends every connection of ours in the middle of whatever it does."""
    with session(scene.database) as opened:
        ended = opened.value(
            f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{USER}'"  # noqa: S608
        )
    yield lambda: f"{ended} backends ended" if ended else ""


@contextmanager
def tables_locked(scene: Scene, _: str) -> Iterator[Seen]:
    """Somebody holds all tables, as a careless migration does."""
    with session(scene.database) as opened:
        tables = opened.value(
            f"SELECT string_agg(format('%I.%I', schemaname, tablename), ', ' ORDER BY tablename)"  # noqa: S608
            f" FROM pg_tables WHERE schemaname = '{_SCHEMA}'"
        )
        _lock(opened, tables)
        yield Unready(scene, *_NEEDS_THE_STORE)
        opened.execute("ROLLBACK")


def _lock(opened: Session, tables: str) -> None:
    for _ in range(_LOCK_TRIES):
        try:
            opened.execute(f"BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
        except asyncpg.DeadlockDetectedError:
            opened.execute("ROLLBACK")
        else:
            return
    raise RuntimeError("the tables cannot be locked")


def schema_renamed(scene: Scene, _: str) -> AbstractContextManager[Seen]:
    """The tables are away, as in a restore."""
    return _undone(scene, f"ALTER SCHEMA {_SCHEMA} RENAME TO {_AWAY}", undo=f"ALTER SCHEMA {_AWAY} RENAME TO {_SCHEMA}")


def grants_revoked(scene: Scene, _: str) -> AbstractContextManager[Seen]:
    """The tables are there and not for us."""
    tables = f"ALL ON ALL TABLES IN SCHEMA {_SCHEMA}"
    return _undone(scene, f"REVOKE {tables} FROM {USER}", undo=f"GRANT {tables} TO {USER}")


@contextmanager
def _undone(scene: Scene, do: str, *, undo: str) -> Iterator[Seen]:
    with session(scene.database) as opened:
        opened.execute(do)
        try:
            yield Unready(scene, *_NEEDS_THE_STORE)
        finally:
            opened.execute(undo)
