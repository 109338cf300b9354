"""Errors, named by what the one who meets them must do.

    CallstitchError
    +-- Rejected       refuse the HTTP request; nothing was accepted
    +-- Malformed      quarantine it raw, for a change of our code
    +-- Transient      try again later, by the stage's schedule
    +-- Permanent      dead-letter it: another attempt cannot help
    |   +-- Refused        the broker never takes this message, it is too large
    +-- Unavailable    our own store, broker or object store is away: hold the batch, count no attempt
    |   +-- Unroutable     the broker knows no queue for it: the topology is not declared
    |   +-- Unconfirmed    the broker did not confirm it: outcome unknown or a refusal, publish the same bytes again
    |   +-- Paused         a sink asked us to stop: hold everything, look again much later
    |   +-- Away           a sink's far end fails at everything: hold, and probe it with one event at a time
    +-- Misconfigured  the operator must change the config (exit code 78)

The message of an error never holds a phone number, a token or an audio address: it reaches logs and dead letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Why = Literal["unroutable", "refused", "alarm", "late", "away"]


class CallstitchError(Exception):
    """Root of all errors that this project raises on purpose."""


class Rejected(CallstitchError):
    """An HTTP request that the door refuses; `status` is the documented answer."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Malformed(CallstitchError):
    """An accepted notification that we cannot read; `reason` is a short word that quarantine groups by."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Transient(CallstitchError):
    """Worth another attempt; `retry_after` (seconds) is what the other side asked for, if it did.

    `alone`: the other side works, and refused this one.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, alone: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.alone = alone


class Permanent(CallstitchError):
    """Another attempt cannot help."""


class Refused(Permanent):
    """The broker never takes the messages of `message_ids`; those of `open_ids` may not be stored, all others are."""

    def __init__(self, message_ids: frozenset[str], *, open_ids: frozenset[str] = frozenset()) -> None:
        super().__init__(f"{len(message_ids)} message(s) are too large for the broker")
        self.message_ids = message_ids
        self.open_ids = open_ids


class Unavailable(CallstitchError):
    """Something of ours is away; nothing is wrong with the message. `why` is a word for metrics."""

    why: Why = "away"


class Unroutable(Unavailable):
    """Some messages found no queue; `message_ids` names them, all others of that publish are confirmed."""

    why: Why = "unroutable"

    def __init__(self, message_ids: frozenset[str], routes: Sequence[str] = ()) -> None:
        named = f"no queue takes {', '.join(routes)} (`callstitch declare` makes it)"
        super().__init__(named if routes else f"{len(message_ids)} message(s) found no queue")
        self.message_ids = message_ids


class Unconfirmed(Unavailable):
    """Some messages were nacked, or not confirmed before the deadline: they may or may not be stored.

    `message_ids` names them, and all others of that publish are confirmed; empty: it may be any of them. `why`, as an
    operator has to know it: the confirm is late, the broker refused, it blocks publishers (an alarm), or there is no
    connection to it.
    """

    def __init__(self, message: str, message_ids: frozenset[str] = frozenset(), *, why: Why = "late") -> None:
        super().__init__(message)
        self.message_ids = message_ids
        self.why: Why = why


class Paused(Unavailable):
    """A sink answered that it wants nothing more (HTTP 410)."""


class Away(Unavailable):
    """The far end of a sink fails whatever it is sent; the next probe is due after `seconds`."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Misconfigured(CallstitchError):
    """The config, or a file that another process owns, keeps this process from starting."""
