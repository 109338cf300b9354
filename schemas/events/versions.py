"""Which JSON Schema an event follows: each says it in `dataschema`, with a minor number that every addition raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.topology import EVENT_TYPES

TEST: Final = "sink.test"  # what `callstitch sink test` alone sends

# 0 is what was there before events said a version: without `at`, `received_at`, `billed_minutes`, names and types of
# recordings. An event that is made anew of its fact has its minor in its id (workers/calls/events.py).
MINORS: Final[Mapping[str, int]] = {**dict.fromkeys(EVENT_TYPES, 1), TEST: 2}
SCHEMA_BASE: Final = "https://callstitch.dev/schemas/"


def versioned(short_type: str) -> str:
    """The version of that type's schema."""
    return f"1.{MINORS[short_type]}"


DATASCHEMAS: Final[Mapping[str, str]] = {name: f"{SCHEMA_BASE}{name}/{versioned(name)}.json" for name in MINORS}
