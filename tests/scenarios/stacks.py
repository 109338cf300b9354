"""A broker and a store that go together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A broker and a store, as a config names them, for our processes and for the test itself."""

    broker: str
    store: str
