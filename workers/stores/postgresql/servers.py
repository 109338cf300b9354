"""The servers that a store's URL names, asked one after the other, and what each of them said in words.

The driver knows lists of hosts too, but waits for one that is gone without a word until the system gives up, and stops
at the first that answers with an error. The URL holds a password: it stays out of every text that leaves this file.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg

CONNECT_SECONDS: Final = 5.0  # for each server
REFUSED: Final = ("28", "3D")  # no such user, password or database
_PROTOCOL_VIOLATION: Final = "08P01"
_PORT: Final = 5432
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_WRITABLE: Final = ("any", "primary", "read-write")
# The last one is not a bug of ours: the driver raises it when the server ends a connection in the middle of a query.
DRIVER: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, asyncpg.InternalClientError)

Host = tuple[str, int]


class NotReached(Exception):
    """No server took us; the text says of each why. `refused`: all of them would say the same again."""

    def __init__(self, text: str, failures: Sequence[Exception]) -> None:
        super().__init__(text)
        self.refused = all(map(_is_final, failures))
        self.pooler = any(sqlstate(error) == _PROTOCOL_VIOLATION for error in failures)


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """The driver's, but a statement that takes too long ends the connection instead of being cancelled.

    Cancelled in the middle of a COMMIT that waits for the synchronous standby, a transaction would be there for
    everybody to see and to build on, and gone when that standby takes over.
    """

    __slots__ = ()

    def _cancel_current_command(self, waiter: asyncio.Future[None], cancel_waiter: object = None) -> None:
        del cancel_waiter
        asyncio.get_running_loop().call_soon(self._end, waiter)

    def _end(self, waiter: asyncio.Future[None]) -> None:
        self.terminate()
        if not waiter.done():
            waiter.set_result(None)


@dataclass(kw_only=True)
class Servers:
    """Where a database is; no host: where the driver looks by itself."""

    dsn: str = field(repr=False)
    hosts: Sequence[Host]
    database: str
    wanted: str | None  # target_session_attrs as the URL has it
    _first: int = 0  # which took us last

    @property
    def seconds(self) -> float:
        """How long a connection may take to come, with every server away but the last."""
        return CONNECT_SECONDS * max(len(self.hosts), 1)

    async def connect(self, *_: object, read_only: bool = False, **options: Any) -> Connection:
        """A connection to the first server that takes us, and, of several, takes writes.

        `read_only`: the connection writes nothing, so it is never told that its server takes no writes.

        Raises:
            NotReached: none does.
            ValueError: the URL is not one.
        """
        failures: list[Exception] = []
        told: list[str] = []
        places = [*range(len(self.hosts))] or [-1]
        for place in [*places[self._first :], *places[: self._first]]:
            where = self.hosts[place] if place >= 0 else None
            try:
                found = await self._connected(where, read_only=read_only, options=options)
            except DRIVER as error:
                failures.append(error)
                told.append(f"{_shown(where)}: {words(error)}")
            else:
                self._first = max(place, 0)
                return found
        raise NotReached(f"{'; '.join(told)} (database {self.database})", failures)

    async def _connected(self, where: Host | None, *, read_only: bool, options: dict[str, Any]) -> Connection:
        host = {} if where is None else {"host": where[0], "port": where[1]}
        wanted = self.wanted or ("read-write" if len(self.hosts) > 1 else "any")
        if read_only and wanted == "read-write":
            wanted = "primary"
        found: Connection = await asyncpg.connect(
            self.dsn, **host, timeout=CONNECT_SECONDS, target_session_attrs=wanted, **options
        )
        return found


def servers_of(dsn: str) -> Servers:
    """The servers that the URL names.

    Raises:
        ValueError: it is no URL of PostgreSQL's, and why; no value is repeated but a file's name.
    """
    try:
        parts = urlsplit(dsn)
        query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:  # its text repeats what may be a password
        raise ValueError("not a URL that PostgreSQL's clients understand") from None
    wanted = query.get("target_session_attrs")
    if wanted not in (None, *_WRITABLE):
        raise ValueError("target_session_attrs must be read-write, primary or any: the roles write")
    for name in _FILES:
        if name in query and not os.access(query[name], os.R_OK):
            raise ValueError(f"{name}: cannot read {Path(query[name])}")
    named = parts.netloc.rpartition("@")[2] or query.get("host", "")
    return Servers(
        dsn=dsn,
        hosts=_hosts(named.split(","), query.get("port", "")) if named else (),
        database=unquote(parts.path.removeprefix("/")) or query.get("dbname") or query.get("database") or "of the user",
        wanted=wanted,
    )


def _hosts(named: Sequence[str], port: str) -> list[Host]:
    ports = port.split(",") if port else [os.environ.get("PGPORT", str(_PORT))]
    if len(ports) not in (1, len(named)):
        raise ValueError("as many ports as hosts are needed, or one")
    return [_host(one, ports[n] if len(ports) > 1 else ports[0]) for n, one in enumerate(named)]


def _host(text: str, port: str) -> Host:
    name, _, own = text.rpartition(":") if ":" in text.rpartition("]")[2] else (text, "", "")
    host = unquote(name.strip("[]"))
    if not host or not (own or port).isdecimal():
        raise ValueError("a host's name or port cannot be read")
    return host, int(own or port)


def _shown(where: Host | None) -> str:
    return "PostgreSQL on this machine" if where is None else f"{where[0]}:{where[1]}"


def sqlstate(error: Exception) -> str:
    """PostgreSQL's code of an error, or nothing."""
    return getattr(error, "sqlstate", None) or ""


def _is_final(error: Exception) -> bool:
    return sqlstate(error).startswith(REFUSED) or isinstance(error, (ssl.SSLCertVerificationError, ValueError))


def words(error: Exception) -> str:
    """Why a server did not take us, in words; PostgreSQL and the system put no password into theirs."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is refused: {error.verify_message}"
        case TimeoutError():
            return "no answer in time"
        case asyncpg.TargetServerAttributeNotMatched():
            return "it takes no writes"
        case socket.gaierror() | ssl.SSLError():
            return error.strerror or type(error).__name__
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _:
            return str(error).partition("\n")[0] or type(error).__name__
