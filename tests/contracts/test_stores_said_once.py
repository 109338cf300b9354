"""The record that was said last stands once: in the event that said it, or in the session that outlives that event."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from tests.building.facts import a_cdr, an_sms, kept
from tests.building.going_on import going_on, half_way
from tests.building.stores import StoreRig, a_whole_call, asked, at, event, fold, stepping, types
from tests.compat.additions import as_then
from workers.calls.sms import sms_step
from workers.calls.step import Patience
from workers.correlate import SessionStore
from workers.retention import Retention

SAID: Final = Path(__file__).parents[1] / "fixtures" / "sqlite-5" / "said.ndjson"
DAY: Final = 86400
LONG: Final = Retention(outbox=timedelta(days=2), sessions=timedelta(days=30))


async def test_a_store_that_is_opened_again_goes_on_as_it_always_did(store_rig: StoreRig) -> None:
    async with store_rig.open_sessions() as store:
        await half_way(store)
    async with store_rig.open_sessions() as store:
        assert as_then(await going_on(store)) == as_then(SAID.read_text().splitlines())


async def test_a_session_that_outlives_what_it_said_still_knows_what_an_amendment_changes(
    store_rig: StoreRig, sessions: SessionStore
) -> None:
    await sessions.expire(at(0), 100, LONG)  # PostgreSQL makes the day that is dropped
    (said,) = await fold(sessions, a_whole_call(), told=70)
    await sessions.sent([said.id], at(71))
    while await sessions.expire(at(4 * DAY), 100, LONG):
        pass
    assert await asked(store_rig, lambda reads: reads.event_ids()) == frozenset()
    late = 5 * DAY
    assert await fold(sessions, a_whole_call(told=late), told=late) == [], "it was said"
    assert await fold(sessions, a_cdr(told=late, implies=(), user_data="x"), told=late) == []
    (amended,) = await sessions.due(at(late + 2), stepping(late + 2), 10)
    assert types([amended]) == ["call.amended"]
    assert (event(amended)["revision"], event(amended)["data"]["changed"][:1]) == (2, ["/user_data"])
    assert await asked(store_rig, lambda reads: reads.event_ids()) == {amended.id}


async def test_a_session_goes_with_all_that_it_said(store_rig: StoreRig, sessions: SessionStore) -> None:
    """Its last word does not keep the session, nor the session its last word."""
    said = list(await fold(sessions, a_whole_call(), told=70))
    await fold(sessions, a_cdr(told=80, implies=(), user_data="x"), told=80)
    said += await sessions.due(at(90), stepping(90), 10)
    await sessions.sent([one.id for one in said], at(91))
    while await sessions.expire(at(90 + 32 * DAY), 100, LONG):
        pass
    assert await asked(store_rig, lambda reads: reads.session("huawei-bj:s1")) is None
    assert await asked(store_rig, lambda reads: reads.event_ids()) == frozenset()


async def test_an_sms_is_not_told_again_where_nothing_of_it_changed(sessions: SessionStore) -> None:
    notice, other = an_sms("notify", told=1), an_sms("notify", told=50, text="another")
    news = {notice.call_id: [kept(notice)]}
    again = partial(sms_step, patience=Patience(), trace="t")
    assert types(await sessions.fold(news, partial(again, now=at(1)), at(1))) == []
    (said,) = await sessions.due(at(10), partial(again, now=at(10)), 10)
    await sessions.sent([said.id], at(11))
    assert await sessions.fold(news, partial(again, now=at(20)), at(20)) == []
    assert await sessions.due(at(40), partial(again, now=at(40)), 10) == []
    told = {notice.call_id: [kept(other)]}
    changed = [*await sessions.fold(told, partial(again, now=at(50)), at(50))]
    changed += await sessions.due(at(60), partial(again, now=at(60)), 10)
    assert [event(one)["revision"] for one in (said, *changed)] == [1, 2]
