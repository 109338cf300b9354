"""The clock of a door delays no record: correlate waits by the store's, over both stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
import pytest
from structlog.testing import capture_logs

from schemas.facts import Fact
from tests.building.facts import a_cdr, a_decision, an_event, an_sms, enveloped
from tests.building.stores import at, types
from workers.correlate import SessionStore, correlate

HOURS = 7200  # how far the door is ahead of the store, in seconds
SETTLE = 2


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.parametrize(
    ("told", "waits", "said"),
    [
        ([a_cdr(told=HOURS)], SETTLE, ["call.completed"]),
        ([an_event("ended", told=HOURS)], 15 * 60, ["call.incomplete"]),
        ([an_event("incoming", told=HOURS)], 24 * 3600, ["call.incomplete"]),
        ([an_sms("notify", told=HOURS)], SETTLE, ["sms.notified"]),
        ([an_sms("block", told=HOURS), a_decision("sms", told=HOURS, session="sms1")], 60, ["sms.notified"]),
    ],
)
async def test_a_door_that_is_hours_ahead_delays_nothing(
    sessions: SessionStore, told: Sequence[Fact], waits: float, said: list[str]
) -> None:
    clock = Clock(at(3))
    stage = correlate(sessions, patience={}, progress=frozenset(), clock=clock)
    assert stage.tick is not None
    assert types(await stage.handle([enveloped(fact) for fact in told])) == []  # type: ignore[arg-type]
    clock.now = at(3 + waits - 1)
    assert types(await stage.tick(clock())) == []
    clock.now = at(3 + waits)
    assert types(await stage.tick(clock())) == said


async def test_a_change_that_a_door_hours_ahead_told_is_told_after_settle(sessions: SessionStore) -> None:
    clock = Clock(at(0))
    stage = correlate(sessions, patience={}, progress=frozenset(), clock=clock)
    assert stage.tick is not None
    assert types(await stage.handle([enveloped(a_cdr(implies=(), told=0))])) == ["call.completed"]  # type: ignore[arg-type]
    await stage.handle([enveloped(a_cdr(implies=(), told=HOURS, user_data="x"))])
    clock.now = at(SETTLE)
    assert types(await stage.tick(clock())) == ["call.amended"]


async def test_a_correction_beats_what_a_door_hours_ahead_told_and_so_it_stays(sessions: SessionStore) -> None:
    """Found by `make chaos` (clock_skewed): the first CDR won for two hours, over its correction too."""
    clock = Clock(at(0))
    stage = correlate(sessions, patience={}, progress=frozenset(), clock=clock)
    assert stage.tick is not None
    await stage.handle([enveloped(a_cdr(implies=(), told=HOURS))])
    clock.now = at(10)
    await stage.handle([enveloped(a_cdr(implies=(), told=10, user_data="corrected"))])
    clock.now = at(20)
    await stage.handle([enveloped(a_cdr(implies=(), told=20))])  # the first once more, through a door that is right
    clock.now = at(20 + SETTLE)
    await stage.tick(clock())
    clock.now = at(30)
    await stage.handle([enveloped(a_cdr("r2", implies=(), told=30))])
    clock.now = at(30 + SETTLE)

    (said,) = await stage.tick(clock())
    assert isinstance(said.body, bytes)
    (corrected,) = [cdr for cdr in orjson.loads(said.body)["data"]["call"]["cdrs"] if cdr["record_id"] == "r1"]
    assert corrected["user_data"] == "corrected"


async def test_a_door_ahead_is_warned_of_once_a_minute_and_one_within_settle_never(sessions: SessionStore) -> None:
    clock = Clock(at(0))
    stage = correlate(sessions, patience={}, progress=frozenset(), clock=clock)
    with capture_logs() as logs:
        await stage.handle([enveloped(an_event("incoming", told=SETTLE))])
        assert logs == []
        for n in range(3):
            await stage.handle([enveloped(an_event("incoming", told=HOURS, n=n))])
        clock.now = at(60)
        await stage.handle([enveloped(an_event("incoming", told=HOURS, n=4))])
    assert logs == [
        {"event": "clock.ahead", "log_level": "warning", "source": "huawei-bj", "seconds": HOURS},
        {"event": "clock.ahead", "log_level": "warning", "source": "huawei-bj", "seconds": HOURS - 60},
    ]
