"""Which parts of the state an older version made, so that this one brings them forward when it starts."""

from __future__ import annotations

from typing import Final

from workers.stores.postgresql.declared import FORMS_MIGRATIONS
from workers.stores.postgresql.pool import Database, open_database
from workers.stores.postgresql.schema import (
    CLAIMS_MIGRATIONS,
    DECLARED_MIGRATIONS,
    PARKED_MIGRATIONS,
    SESSIONS_MIGRATIONS,
    is_there,
)
from workers.stores.postgresql.sinks import DELIVERIES_MIGRATIONS, SINKS_MIGRATIONS

_VERSIONS: Final = {
    "claims": len(CLAIMS_MIGRATIONS),
    "deliveries": len(DELIVERIES_MIGRATIONS),
    "declared": len(DECLARED_MIGRATIONS),
    "forms": len(FORMS_MIGRATIONS),
    "parked": len(PARKED_MIGRATIONS),
    "sessions": len(SESSIONS_MIGRATIONS),
    "sinks": len(SINKS_MIGRATIONS),
}


async def older_parts(dsn: str) -> frozenset[str]:
    """Their names; none in an empty database. Raises Misconfigured and Unavailable as a start does."""
    async with open_database(dsn) as database:
        return await _older(database)


async def _older(database: Database) -> frozenset[str]:
    if not await is_there(database, "meta"):
        return frozenset()
    rows = await database.fetch("SELECT part, version FROM meta")
    return frozenset(row["part"] for row in rows if row["version"] < _VERSIONS.get(row["part"], 0))
