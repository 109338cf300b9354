"""In which forms events are wanted, on SQLite: a file of its own, owned only while something is declared."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured, Unavailable
from schemas.topology import SINGLY, Forms
from workers.stores.sqlite.file import asked, open_sqlite_file

_VERSION_1: Final = """
CREATE TABLE form (exchange TEXT NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (exchange, pattern)) WITHOUT ROWID;
"""
FORMS_MIGRATIONS: Final = (_VERSION_1,)
FILE: Final = "forms.db"


class SqliteForms:
    """FormStore on one file, which is opened for a moment at a time."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    async def forms(self) -> Forms:
        """As `FormStore` promises."""
        if not self._path.exists():
            return SINGLY
        try:
            return await asked(self._path, _forms)
        except Misconfigured as error:
            raise Unavailable(str(error)) from None

    async def serve(self, forms: Forms) -> None:
        """As `FormStore` promises; Misconfigured while another process declares."""
        async with open_sqlite_file(self._path, FORMS_MIGRATIONS) as file:
            await file.write(_serve, forms)


def _forms(db: sqlite3.Connection) -> Forms:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'form'").fetchone():
        return SINGLY
    return Forms(
        frozenset((row["exchange"], row["pattern"]) for row in db.execute("SELECT exchange, pattern FROM form"))
    )


def _serve(db: sqlite3.Connection, forms: Forms) -> None:
    db.execute("DELETE FROM form")
    db.executemany("INSERT INTO form VALUES (?, ?)", sorted(forms.rows))
