"""What a play is told, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from console.emulator.recordings import Recordings

Sign = Literal["none", "aksk", "wsse"]


@dataclass(frozen=True, kw_only=True)
class EmulatorSettings:
    """One play: the same seed and start send the same bodies, whatever the concurrency.

    Shares are fractions of calls or of posts, from 0 to 1.
    """

    to: str = field(repr=False)  # base URL of one source at the door; it holds the secret token
    platform: str  # a name in acts.PLAYABLE
    app_key: str
    app_secret: str = field(repr=False)
    start: datetime  # the first call comes in now; it must carry a zone
    signed_at: datetime | None = None  # `Created` of the first push, running on from there; None = start
    seed: int = 1
    calls: int = 200
    messages: int = 0  # SMS and number states, besides the calls, where the platform has them
    rate: float | None = None  # notifications a second; None = as fast as the concurrency allows
    concurrency: int = 16
    sign: Sign = "aksk"
    ask: bool = False  # wait for decisions, where the platform has such calls
    truth: Path | None = None
    recordings_listen: str = "127.0.0.1:0"
    recordings: Recordings | None = None  # served by the caller already; None = play serves its own
    repush_factor: float = 600.0
    linger_seconds: float | None = 0.0  # None = until cancelled
    reply_timeout_seconds: float = 5.0  # inferred: the page gives no number
    duplicate_share: float = 0.06  # posts repeated whole although 200 was answered
    remerge_share: float = 0.08  # CDRs pushed again among other neighbours
    amended_share: float = 0.05  # calls whose CDR is corrected later
    stale_share: float = 0.5  # of the amended: the old version comes once more after the new one
    redial_share: float = 0.03  # answered calls with a second CDR that has no times
    lost_alerting_share: float = 0.03  # ringing calls whose alerting event is never sent
    cdr_first_share: float = 0.08  # calls whose CDR overtakes the disconnect event
    shuffle_share: float = 0.12  # calls with two neighbouring events swapped

    @property
    def source(self) -> str:
        """The source's name, which the door's address holds: `/v1/<source>/<token>`."""
        parts = urlsplit(self.to).path.strip("/").split("/")
        return parts[1] if len(parts) > 1 else ""

    def __post_init__(self) -> None:
        """Refuse what no play can be made of, without repeating the secret parts."""
        if self.start.tzinfo is None or (self.signed_at and self.signed_at.tzinfo is None):
            raise ValueError("start and signed_at need a time zone")
        if self.calls < 1 or self.concurrency < 1 or self.repush_factor <= 0:
            raise ValueError("calls, concurrency and repush_factor must be positive")
        if self.rate is not None and self.rate <= 0:
            raise ValueError("rate must be positive")


@dataclass(kw_only=True)
class Played:
    """The totals of a play, and every fault that the platform's side noticed."""

    calls: int = 0
    calls_told: int = 0  # of which at least one item was accepted
    messages: int = 0  # SMS
    messages_told: int = 0
    numbers_changed: int = 0  # states of private numbers that were accepted, each once
    notices: int = 0  # whatever else was accepted, each once
    posts_200: int = 0
    posts_given_up: int = 0
    attempts: int = 0
    attempts_unanswered: int = 0  # the connection failed: the door may have stored it all the same
    attempts_refused: int = 0  # an answer other than 200
    attempts_late: int = 0  # longer than the platform waits, for an answer or for the receipt
    questions: int = 0  # posts that waited for a decision and got a 200
    answers_wrong: int = 0  # a 200 that is not what the platform wants to hear; each is a fault too
    items_accepted: int = 0
    event_items: int = 0
    cdr_items: int = 0
    other_items: int = 0
    distinct_items_accepted: int = 0  # amended CDRs count as items of their own
    amended_items: int = 0
    duplicates: int = 0
    faults: list[str] = field(default_factory=list)
