"""Builds the calls that Jiuyun tells of: 云呼AXB and its siblings (docs/protocols/jiuyun-axb.md sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, Literal

Variety = Literal[
    "axb", "virtual", "mask", "line", "sip_callback", "sip_direct", "sip_return", "income", "notice", "code"
]
# 云呼AXB (type 22), 虚拟小号 (10), 专号回拨 (2), 专线回拨 (1), sipPhone 回拨, 直拨 and 回呼 (7, 8, 9); then the call
# back to a mask number, voice notice, voice code.
VARIETIES: Final[tuple[Variety, ...]] = (
    *("axb",) * 8, *("virtual",) * 3, *("mask",) * 4, *("line",) * 2, *("sip_callback",) * 2, *("sip_direct",) * 2,
    *("sip_return",) * 2, "income", "notice", "code",
)  # fmt: skip
# Of these each leg's invitation and B's answer are told too, and user data is given back.
WITH_EVENTS: Final[frozenset[Variety]] = frozenset({"mask", "line", "sip_callback"})
TYPES_WITHOUT_X: Final[Mapping[Variety, int]] = {"line": 1, "sip_callback": 7, "sip_direct": 8, "sip_return": 9}
CALL_GAP: Final = timedelta(seconds=2)
CALLERLESS_SHARE: Final = 0.15  # of type 22: the official sample has neither caller nor called

# byeType by outcome, and its weight; section 3. 5 is an answered call that lasted as long as it may.
BYES: Final = (
    ("answered", 0, 58),
    ("answered", 5, 4),
    ("no_answer", 0, 14),
    ("unreachable", 2, 8),
    ("busy", 4, 8),
    ("unreachable", 1, 2),
    ("busy", 3, 2),
    ("failed", 6, 2),
    ("failed", 7, 1),
    ("unknown", 255, 1),
)


@dataclass(frozen=True, kw_only=True)
class AxbCall:
    """One call; numbers in national form, times in UTC. `bye` is in the table but for type 10."""

    number: int
    variety: Variety
    outcome: str
    bye: int
    call_id: str
    app_id: str
    private: str
    caller: str | None
    called: str | None
    invited_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    user_data: str | None
    recorded: bool
    writes: Literal["xml", "json", "wrapped"]

    @property
    def talk_seconds(self) -> int:
        """Seconds from B's answer to the end."""
        return int((self.ended_at - self.answered_at).total_seconds()) if self.answered_at else 0

    @property
    def audio_name(self) -> str:
        """The name of its recording at the audio host."""
        return f"{self.call_id}.mp3"


def build_axb_calls(*, seed: int, start: datetime, calls: int) -> list[AxbCall]:
    """The same seed and start give the same calls; each has a generator of its own."""
    first = start.astimezone(UTC).replace(microsecond=0)
    return [_build(Random(f"{seed}:axb:{n}"), n, first + n * CALL_GAP) for n in range(calls)]


def _build(rng: Random, number: int, invited_at: datetime) -> AxbCall:
    variety = rng.choice(VARIETIES)
    outcome, bye, _ = rng.choices(BYES, [weight for *_, weight in BYES])[0]
    if variety in ("notice", "code"):  # no duration tells more than byeType does; 0 alone says nothing
        outcome, bye = rng.choice((("unreachable", 2), ("busy", 4), ("failed", 6)))
    if variety == "virtual" and outcome != "answered":
        outcome = "unknown"  # its byeType is the carrier's release cause, in no table
    answered_at = invited_at + timedelta(seconds=rng.randint(6, 30)) if outcome == "answered" else None
    ended_at = (answered_at or invited_at) + timedelta(seconds=rng.randint(3, rng.choice((9, 70, 280))))
    nameless = variety == "axb" and rng.random() < CALLERLESS_SHARE
    return AxbCall(
        number=number,
        variety=variety,
        outcome=outcome,
        bye=bye if variety != "virtual" else rng.choice((16, 31, 102)),
        call_id=f"{rng.getrandbits(128):032x}",
        app_id="0123456789abcdef0123456789abcdef",
        private=f"0755{rng.randrange(20):08d}" if variety == "mask" else f"1700001{rng.randrange(20):04d}",
        caller=None if nameless else f"1383{2 * number:07d}",
        called=None if nameless else f"1383{2 * number + 1:07d}",
        invited_at=invited_at,
        answered_at=answered_at,
        ended_at=ended_at,
        user_data=rng.choice((None, f"order{number}", f"order={number}&shop=7", f'{{"order":"{number}"}}')),
        recorded=answered_at is not None and variety not in ("notice", "code") and bool(rng.getrandbits(1)),
        writes=rng.choice(("xml", "xml", "json", "wrapped")),
    )
