"""What a dialect is: a module with these functions; pure, no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from schemas.config import Source
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification, Reply
from schemas.question import Asked, Decision
from schemas.recording import HttpRequest, RecordingWanted


class Platform(Protocol):
    """One telephony platform; a module that defines these functions is one."""

    def verify(self, notification: Notification, source: Source, now: datetime) -> bool | None:
        """Whether the signature is right; None when the push carries none."""
        ...

    def nonce(self, notification: Notification) -> str | None:
        """What a right signature is good for once; None where the platform repeats a push as it was."""
        ...

    def parse(self, notification: Notification, source: Source) -> Sequence[Parsed | Malformed]:
        """One result per item, in order; a bad item does not spoil its neighbours.

        Raises:
            Malformed: the whole body cannot be read.
        """
        ...

    def reply(self, notification: Notification) -> Reply:
        """What the platform wants to hear once the notification is stored."""
        ...

    def question(self, notification: Notification, source: Source) -> Asked | None:
        """What this push asks; None where it only tells. Never raises: what cannot be read asks nothing."""
        ...

    def answer(self, notification: Notification, decision: Decision, source: Source) -> Reply:
        """The decision in the platform's own shape. `notification` is the push that asked."""
        ...

    def recording_request(
        self, wanted: RecordingWanted, source: Source, *, nonce: str, created: datetime
    ) -> HttpRequest:
        """The signed request for a recording's download address.

        Raises:
            Transient: the source lacks a setting that the operator can still add.
            Permanent: the announcement lacks a name.
        """
        ...

    def recording_location(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """The download address out of the platform's answer (header names in lower case).

        Raises:
            Transient: not yet there, or the platform is busy.
            Permanent: it will never be there.
        """
        ...


def no_nonce(notification: Notification) -> str | None:  # noqa: ARG001 - the same for every push
    """The `nonce` of a platform whose pushes may come again as they were."""
    return None
