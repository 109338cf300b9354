"""What metrics tell of a store, asked every some seconds beside its work: by indexes that hold only what is open.

The counts end at LOOKED_AT: on a store that is far behind a look must not become work of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

LOOKED_AT: Final = 100_000
OVERDUE: Final = timedelta(seconds=5)  # ticks come each second: what is due for longer waits in vain

_COUNT: Final = "(SELECT count(*) FROM (SELECT 1 FROM {where} LIMIT {most}) AS {name})"
_COUNTED: Final[Mapping[str, str]] = {
    "callstitch_sessions_open": "session WHERE due_at IS NOT NULL ORDER BY due_at",
    "callstitch_sessions_overdue": "session WHERE due_at <= {before} ORDER BY due_at",
    "callstitch_outbox_unsent": "unsent",
}
LOOKED: Final = tuple(_COUNTED)


def sessions_query(before: str) -> str:
    """One row of counts, in the order of `told`; `before` is the parameter's mark: now, without OVERDUE."""
    wheres = {name: where.format(before=before) for name, where in _COUNTED.items()}
    columns = [_COUNT.format(where=where, most=LOOKED_AT, name=name) for name, where in wheres.items()]
    return f"SELECT {', '.join(columns)}"


def told(row: tuple[int, ...]) -> Mapping[str, int]:
    """The counts by metric."""
    return dict(zip(_COUNTED, row, strict=True))
