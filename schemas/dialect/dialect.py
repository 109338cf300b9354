"""What a dialect is: one frozen value that says all that is true of one platform alone.

Its functions are pure: no I/O, no clock, the same result for the same push. What a platform does not have is None, so
that nobody has to write a function that does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification, Reply
from schemas.question import Asked, Decision
from schemas.recording import HttpRequest, RecordingWanted
from schemas.settings.source import Source

S = TypeVar("S", bound=Source)
S_contra = TypeVar("S_contra", bound=Source, contravariant=True)


class Parse(Protocol[S_contra]):
    """What a push says."""

    def __call__(self, notification: Notification, source: S_contra, /) -> Sequence[Parsed | Malformed]:
        """One result per item, in order; a bad item does not spoil its neighbours.

        Raises:
            Malformed: the whole body cannot be read.
        """
        ...


class Acknowledge(Protocol):
    """What the platform wants to hear once a notification is stored."""

    def __call__(self, notification: Notification, /) -> Reply:
        """Never raises, whatever the bytes are."""
        ...


class Verify(Protocol[S_contra]):
    """Who sent it."""

    def __call__(self, notification: Notification, source: S_contra, now: datetime, /) -> bool | None:
        """Whether the signature is right; None when the push carries none, or the source has nothing to check with."""
        ...


class Ask(Protocol[S_contra]):
    """What a push asks."""

    def __call__(self, notification: Notification, source: S_contra, /) -> Asked | None:
        """None where it only tells. Never raises: what cannot be read asks nothing."""
        ...


class Respond(Protocol[S_contra]):
    """A decision in the platform's own shape."""

    def __call__(self, notification: Notification, decision: Decision, source: S_contra, /) -> Reply:
        """`notification` is the push that asked; a decision that does not fit becomes the platform's refusal."""
        ...


class RecordingRequest(Protocol[S_contra]):
    """How a recording's download address is asked for."""

    def __call__(self, wanted: RecordingWanted, source: S_contra, /, *, nonce: str, created: datetime) -> HttpRequest:
        """The signed request; `nonce` is 1 to 128 alphanumerics, `created` an aware time.

        Raises:
            Transient: the source lacks a setting that the operator can still add.
            Permanent: the announcement lacks a name.
        """
        ...


class RecordingLocation(Protocol):
    """Where the answer says that a recording is."""

    def __call__(self, status: int, headers: Mapping[str, str], body: bytes, /) -> str:
        """The download address out of the platform's answer (header names in lower case).

        Raises:
            Transient: not yet there, or the platform is busy.
            Permanent: it will never be there.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Once(Generic[S]):
    """A right signature is good for one use: its nonce, and for how long a source has to remember it.

    `nonce` is None of a push that may come again as it was.
    """

    nonce: Callable[[Notification], str | None]
    keep: Callable[[S], timedelta]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks(Generic[S]):
    """Some of the platform's pushes are questions, which somebody's answer decides."""

    question: Ask[S]
    answer: Respond[S]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingApi(Generic[S]):
    """The platform tells a recording's address when it is asked by name."""

    request: RecordingRequest[S]
    location: RecordingLocation


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect(Generic[S]):
    """One telephony platform; `name` is its `platform` in the config, and in every record.

    `settings` are the keys of its sources. `whole_by_cdr`: it tells no end but the CDR, so no event is ever missing
    (docs/design.md section 5). `confirm_seconds`: how long the door may keep it waiting for the broker's confirm, which
    is less than its own patience. `audio_hosts`: where its audio lies, for a source without `recording_hosts`.
    """

    name: str
    settings: type[S]
    parse: Parse[S]
    reply: Acknowledge
    verify: Verify[S] | None = None  # None: nothing is ever signed
    unsigned: Callable[[Notification], Notification] | None = None  # None: no signature but in headers
    once: Once[S] | None = None  # None: a right signature may come again
    asks: Asks[S] | None = None  # None: it asks nothing
    recordings: RecordingApi[S] | None = None  # None: the announced link is fetched
    number_of: Callable[[JsonObject], str | None] | None = None  # None: it tells no states of numbers
    whole_by_cdr: bool = False
    confirm_seconds: float = 3.0
    audio_hosts: tuple[str, ...] = ()


# In a table of all platforms each is called with sources of its own `settings`, which no type can say.
AnyDialect: TypeAlias = Dialect[Any]
