"""Builds the calls that Aliyun's number privacy reports, and the ones its X mode asks about.

Source: docs/protocols/aliyun-pnp.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

CALL_GAP: Final = timedelta(seconds=1)
EVENTS_SHARE: Final = 0.6  # only some carriers' numbers tell ringing and pick-up (section 4.3)
NAMED_SHARE: Final = 0.7  # of calls whose receipts go to a path of each type; the rest go to one path for all
ASKS_SHARE: Final = 0.3  # of calls, in X mode, when questions are asked
EXTENSION_SHARE: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class PnpEnding:
    """How a call ends: release_cause and unconnected_cause of section 4.1, and whether it rang and was answered."""

    outcome: str
    weight: int
    release_cause: int
    unconnected_cause: int = 0
    rang: bool = False
    went_out: bool = True

    @property
    def answered(self) -> bool:
        """Whether people talked."""
        return self.outcome == "answered"


ENDINGS: Final = (
    PnpEnding(outcome="answered", weight=64, release_cause=16, rang=True),
    PnpEnding(outcome="busy", weight=8, release_cause=17),
    PnpEnding(outcome="no_answer", weight=10, release_cause=19, rang=True),
    PnpEnding(outcome="unreachable", weight=6, release_cause=20),
    PnpEnding(outcome="cancelled", weight=6, release_cause=16, rang=True),
    PnpEnding(outcome="blocked", weight=6, release_cause=31, unconnected_cause=2, went_out=False),
)
UNBOUND: Final = ENDINGS[-1]


@dataclass(frozen=True, kw_only=True)
class PnpCall:
    """One call; numbers in national form, times in UTC. `a` is phone_no, `b` peer_no (none without a binding)."""

    number: int
    ending: PnpEnding
    call_type: int
    call_id: str
    report_id: int
    sub_id: int
    out_id: str
    pool_key: str
    a: str
    secret: str
    b: str
    extension: str | None
    called_at: datetime
    out_at: datetime
    rang_at: datetime | None
    answered_at: datetime | None
    released_at: datetime
    release_dir: int
    tells_events: bool
    named_paths: bool
    asks: bool
    recorded: bool

    @property
    def audio_name(self) -> str:
        """The name of its recording at the audio host."""
        return f"{self.call_id}.mp3"


def build_pnp_calls(*, seed: int, start: datetime, calls: int, ask: bool) -> list[PnpCall]:
    """The same seed and start give the same calls; each has a generator of its own."""
    first = start.astimezone(UTC).replace(microsecond=0)
    return [_build(Random(f"{seed}:pnp:{n}"), n, first + n * CALL_GAP, ask) for n in range(calls)]


def _build(rng: Random, number: int, called_at: datetime, ask: bool) -> PnpCall:
    ending = rng.choices(ENDINGS, [ending.weight for ending in ENDINGS])[0]
    asks = rng.random() < ASKS_SHARE and ask
    if asks and not ending.went_out:  # whether there is a binding is then the customer's word
        ending = ENDINGS[0]
    out_at = called_at + timedelta(seconds=rng.randint(1, 2)) if ending.went_out else called_at
    rang_at = out_at + timedelta(seconds=rng.randint(1, 6)) if ending.rang else None
    answered_at = (rang_at or out_at) + timedelta(seconds=rng.randint(2, 20)) if ending.answered else None
    released_at = (answered_at or rang_at or out_at) + timedelta(seconds=rng.randint(1, rng.choice((5, 60, 300))))
    bound = ending.went_out
    return PnpCall(
        number=number,
        ending=ending,
        call_type=(0 if asks else rng.randint(0, 1)) if bound else 4,
        call_id=f"{rng.getrandbits(64):016x}",
        report_id=1_014_568_510_000_000 + number * 1000 + rng.randrange(1000),
        sub_id=1_000_043_068_000_000 + number if bound else 0,
        out_id=f"order-{number}",
        pool_key="FC100000000000001",
        a=f"1382{2 * number:07d}",
        secret=f"1700000{rng.randrange(20):04d}",
        b=f"1382{2 * number + 1:07d}" if bound else "",
        extension=f"{rng.randint(1, 9999):04d}" if bound and rng.random() < EXTENSION_SHARE else None,
        called_at=called_at,
        out_at=out_at,
        rang_at=rang_at,
        answered_at=answered_at,
        released_at=released_at,
        release_dir=rng.choice((1, 2)) if ending.answered else 0,
        tells_events=rng.random() < EVENTS_SHARE,
        named_paths=rng.random() < NAMED_SHARE,
        asks=asks,
        recorded=ending.answered and bool(rng.getrandbits(1)),
    )


def rejected(call: PnpCall) -> PnpCall:
    """The call as it goes without a binding: blocked at once."""
    return replace(
        call,
        ending=UNBOUND,
        call_type=4,
        sub_id=0,
        b="",
        out_at=call.called_at,
        rang_at=None,
        answered_at=None,
        released_at=call.called_at + timedelta(seconds=1),
        release_dir=0,
        recorded=False,
    )
