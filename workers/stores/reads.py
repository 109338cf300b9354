"""What can be asked of a store from outside, by the operator's commands or a page; both stores pass one contract suite.

A store is opened for reading once (`workers.stores.open_reads`) and asked any number of questions, several at once, in
the loop that opened it. Nothing here writes, owns a file or keeps an owner from writing. Moments are ISO 8601 in UTC
with their offset, unless a question says otherwise.

Raises, as all questions do:
    Misconfigured: no stage has ever opened its tables there, or the state cannot be read.
    Unavailable: the server does not answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from schemas.envelope import JsonObject
from schemas.topology import Binding
from workers.stores.deliveries import Attempt
from workers.stores.ledger import Books
from workers.stores.places import Place, Row


class Match(NamedTuple):
    """A call that holds what was searched for; `said`: the id of the event that holds its latest revision, if any."""

    id: str
    status: str
    updated_at: str
    said: str
    state: JsonObject


class CallReads(Protocol):
    """Single calls and SMS, as correlate keeps them."""

    async def calls(self, ending: str) -> Sequence[str]:
        """Up to 20 ids of calls that end so (an operator may leave out the source)."""
        ...

    async def session(self, call_id: str) -> JsonObject | None:
        """One call: `id`, `status`, `due_at`, `updated_at`, `state` (its facts and revision) and `outbox`.

        None when unknown. `outbox` holds the envelopes that left or wait to leave, oldest first, each with
        whether it is marked as `sent`, which may be so a second after it left.
        """
        ...

    async def call_of(self, event_id: str) -> str | None:
        """The id of the call that this event is of; None where no row of the outbox has it."""
        ...

    async def holding(self, part: bytes, spelled: str, *, most: int, limit: int) -> Sequence[Match]:
        """Calls whose facts hold that text: up to `limit` of the `most` open and the `most` quiet that changed last.

        `part` stands in it literally, which is fast to find; `spelled` is a regular expression, of ASCII, that Python
        and PostgreSQL read alike, for what is spelled in several ways. Newest first, open ones by their deadline.
        """
        ...

    async def back_to(self, most: int) -> str | None:
        """When the last of the `most` quiet calls changed that changed last; None where there are fewer."""
        ...

    async def attempts(self, event_id: str, since: datetime) -> Sequence[Attempt]:
        """What became of an event at the sinks since then, as far as the delivery log goes back; oldest first."""
        ...


class OutboxReads(Protocol):
    """What correlate had to say of all calls."""

    async def events(self, after: int = 0) -> Mapping[str, JsonObject]:
        """By route: how many envelopes the outbox holds (`made`), and how many of them are marked as `sent`.

        `after`: of rows that came after that one (see `last_row`).
        """
        ...

    async def last_row(self) -> int:
        """The number of the last row of the outbox so far; 0 where there never was one."""
        ...

    async def event_ids(self) -> frozenset[str]:
        """Ids of all events in the outbox, sent or not."""
        ...

    async def due(self) -> int:
        """Sessions that still have something to say at a deadline."""
        ...


class ParkedReads(Protocol):
    """What park keeps, by box: quarantine, dead or unrouted."""

    async def parked_groups(self, box: str) -> Sequence[JsonObject]:
        """What waits there, grouped by signature, stage, reason, source and state: 40,000 equal failures are one.

        `state` is `parked`, or `wanted` while it goes back and is not published yet; most first. Each with its `count`,
        how many `items` of pushes these stand for at most, `first_at`, `last_at`, the most `attempts`, and the id of an
        `example`.
        """
        ...

    async def parked_ids(
        self, box: str, *, wanted: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[str]:
        """Ids of what is parked there and not wanted yet, oldest first: of that id or signature, parked in the span.

        The span is [since, until), of when it was parked last.
        """
        ...

    async def parked(self, box: str, *, wanted: str, limit: int) -> Sequence[JsonObject]:
        """Messages of that id or signature, whole and oldest first; `state` is parked, wanted or replayed.

        `raw` is the envelope as it was parked.
        """
        ...

    async def letters(self, ids: Sequence[str]) -> Sequence[JsonObject]:
        """The dead letters of these ids: `id`, `stage`, `reason`, `state`, `attempts`, `first_at` and `last_at`."""
        ...

    async def letters_holding(self, text: str, *, stage: str, most: int) -> Sequence[JsonObject]:
        """The same of the `most` dead letters of a stage that were parked last, those that hold that text."""
        ...


class PlaceReads(Protocol):
    """All that a store keeps of people (see workers.stores.places)."""

    def rows(self, place: Place) -> AsyncIterator[Row]:
        """Everything in that place; nothing where its stage never ran."""
        ...


class Reads(CallReads, OutboxReads, ParkedReads, PlaceReads, Protocol):
    """A store, opened for reading."""

    async def holds_state(self) -> bool:
        """Whether it knows any notification or call; a store that no stage has opened knows none."""
        ...

    async def declared(self) -> Sequence[Binding]:
        """What `declare` has recorded (workers.stores.declared); nothing where it never did."""
        ...

    @property
    def books(self) -> Books:
        """The ledger."""
        ...
