"""Where claims, sessions and parked messages live: `sqlite:DIR` for one process, `postgresql://...` for any number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from runtime.clock import Clock
from schemas.settings.addresses import StoreAddress
from workers.correlate import SessionStore
from workers.dedupe import ClaimStore
from workers.park import ParkedStore
from workers.stores import postgresql, sqlite
from workers.stores.declared import DeclaredStore
from workers.stores.forms import FormStore
from workers.stores.reads import Reads
from workers.stores.sinks import SinkStore


def open_claims(address: StoreAddress) -> AbstractAsyncContextManager[ClaimStore]:
    """Dedupe's store.

    Raises, as all of these do:
        Misconfigured: the store refuses us.
        Unavailable: the server does not answer.
    """
    if address.directory is None:
        return postgresql.open_claims(address.text)
    return sqlite.open_claims(address.directory)


@asynccontextmanager
async def open_sessions(address: StoreAddress, *, clock: Clock) -> AsyncIterator[tuple[SessionStore, Clock]]:
    """Correlate's store, and the clock by which its deadlines are told: the server's where there is one."""
    if address.directory is None:
        async with postgresql.open_sessions(address.text) as opened:
            yield opened
        return
    async with sqlite.open_sessions(address.directory) as store:
        yield store, clock


def open_parked(address: StoreAddress) -> AbstractAsyncContextManager[ParkedStore]:
    """Park's store."""
    if address.directory is None:
        return postgresql.open_parked(address.text)
    return sqlite.open_parked(address.directory)


def open_declared(address: StoreAddress) -> AbstractAsyncContextManager[DeclaredStore]:
    """The record of what we have declared."""
    if address.directory is None:
        return postgresql.open_declared(address.text)
    return sqlite.open_declared(address.directory)


def open_forms(address: StoreAddress) -> AbstractAsyncContextManager[FormStore]:
    """In which forms events are wanted."""
    if address.directory is None:
        return postgresql.open_forms(address.text)
    return sqlite.open_forms(address.directory)


def open_sinks(address: StoreAddress) -> AbstractAsyncContextManager[SinkStore]:
    """What is known of sinks, and their log."""
    if address.directory is None:
        return postgresql.open_sinks(address.text)
    return sqlite.open_sinks(address.directory)


async def examine(address: StoreAddress) -> postgresql.Examined:
    """See that stages could read and write there, without changing anything."""
    if address.directory is None:
        return await postgresql.examine(address.text)
    await sqlite.examine(address.directory)
    return postgresql.Examined()


async def older_parts(address: StoreAddress) -> frozenset[str]:
    """The parts of the state that an older version made and others may still use; files have one owner, so none."""
    return await postgresql.older_parts(address.text) if address.directory is None else frozenset()


def open_reads(address: StoreAddress) -> AbstractAsyncContextManager[Reads]:
    """What can be asked of the store from outside, while its owners go on writing."""
    if address.directory is None:
        return postgresql.open_reads(address.text)
    return sqlite.open_reads(address.directory)
