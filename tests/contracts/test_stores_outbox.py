"""What every session store promises about what leaves; nothing here is skipped for either."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from schemas.dialect.items import latest_number_state
from schemas.envelope import Envelope, Kind
from schemas.facts import Announced
from tests.building.facts import a_cdr, a_fact, all_events, kept
from tests.building.stores import StoreRig, a_whole_call, asked, at, event, fold, marked, types
from workers.calls.events import number_event
from workers.calls.kept import KeptFact
from workers.correlate import SessionStore
from workers.stores.sweep import SWEEP_BYTES


async def test_what_was_marked_sent_never_comes_again(sessions: SessionStore) -> None:
    (said,) = await fold(sessions, a_whole_call(), told=70)
    await sessions.sent([said.id, "an-id-of-no-row"], at(71))
    assert await sessions.unsent(at(99), 10) == []
    assert await fold(sessions, a_whole_call(), told=99) == []


async def test_an_unsent_row_rests_under_its_lease_for_five_seconds(sessions: SessionStore) -> None:
    said = await fold(sessions, a_whole_call(), told=70)
    assert await sessions.unsent(at(74.9), 10) == []
    assert await sessions.unsent(at(75), 10) == said
    assert await sessions.unsent(at(79.9), 10) == []
    assert await sessions.unsent(at(80), 10) == said


async def test_unsent_rows_come_in_the_order_they_were_said(sessions: SessionStore) -> None:
    said = [*await fold(sessions, *(a_whole_call(f"s{n}") for n in (3, 1, 2)), told=70)]
    said += await fold(sessions, a_whole_call("s0", told=71), told=71)
    assert await sessions.unsent(at(80), 3) == said[:3]
    assert await sessions.unsent(at(80), 3) == said[3:]


async def test_a_sweep_brings_no_more_bytes_than_a_process_holds_easily(sessions: SessionStore) -> None:
    """500 rows of megabytes each would be its end, again and again."""
    large = b'"%b"' % (b"x" * (SWEEP_BYTES // 2))
    said = [
        Envelope(id=f"e{n}", kind=Kind.EVENT, source="s", at=at(0), body=large, route="number.changed.s")
        for n in range(5)
    ]
    assert await sessions.tell(said, at(70)) == said
    swept = [[envelope.id for envelope in await sessions.unsent(at(80), 500)] for _ in range(4)]
    assert swept == [["e0", "e1"], ["e2", "e3"], ["e4"], []]


async def test_a_redelivery_brings_what_a_crash_left_unsent_once_it_is_older_than_five_seconds(
    store_rig: StoreRig,
) -> None:
    recorded = a_cdr(implies=(), recordings=(Announced(name="a.wav"),))
    async with store_rig.open_sessions() as store:
        said = await fold(store, recorded, a_whole_call("s2"), told=70)
    async with store_rig.open_sessions() as store:
        assert await fold(store, recorded, told=74.9) == []
        assert await fold(store, recorded, told=75) == said[:2]
        assert await fold(store, recorded, told=76) == []
        assert await store.unsent(at(76), 10) == said[2:]


async def test_what_is_left_over_comes_before_what_is_new(sessions: SessionStore) -> None:
    await fold(sessions, *all_events(), a_cdr(told=70), told=70)
    said = await fold(sessions, a_cdr(told=80, user_data="x"), told=90)
    assert types(said) == ["call.completed", "call.amended"]


async def test_two_workers_share_the_unsent_rows_between_them(sessions: SessionStore) -> None:
    said = await fold(sessions, *(a_whole_call(f"s{n}") for n in range(90)), told=70)
    taken = await asyncio.gather(*(sessions.unsent(at(80), 40) for _ in range(3)))
    ids = [envelope.id for envelopes in taken for envelope in envelopes]
    ids += [envelope.id for envelope in await sessions.unsent(at(80), 90)]
    assert sorted(ids) == sorted(envelope.id for envelope in said)


async def test_marks_of_the_same_rows_at_once_agree(sessions: SessionStore) -> None:
    ids = [envelope.id for envelope in await fold(sessions, *(a_whole_call(f"s{n}") for n in range(50)), told=70)]
    marks = [sessions.sent(ids, at(71)), sessions.sent(ids[::-1], at(71)), sessions.sent(ids[10:40], at(72))]
    await asyncio.gather(*marks)
    assert await sessions.unsent(at(99), 100) == []


async def test_the_operator_sees_what_was_said_and_what_was_sent(store_rig: StoreRig, sessions: SessionStore) -> None:
    recorded = a_cdr(implies=(), recordings=(Announced(name="a.wav"),))
    said = await fold(sessions, recorded, a_whole_call("s2"), told=70)
    await marked(sessions, [said[0].id], told=71.5)
    assert await asked(store_rig, lambda reads: reads.events()) == {
        "call.completed.huawei-bj": {"made": 2, "sent": 1},
        "recording_wanted": {"made": 1, "sent": 0},
    }
    assert await asked(store_rig, lambda reads: reads.event_ids()) == {said[0].id, said[2].id}
    kept = await asked(store_rig, lambda reads: reads.session(recorded.call_id))
    assert kept is not None
    assert [row["sent"] for row in kept["outbox"]] == [True, False]
    assert kept["outbox"][0]["body"].encode() == said[0].body


async def test_an_event_of_no_session_leaves_by_the_outbox_once(store_rig: StoreRig) -> None:
    """What it said first is what is said, in the bytes that were stored, whatever a redelivery makes of it."""
    first, again = (
        number_event(a_state("9"), "+8675500000001", key=b"k", now=at(told), trace="t") for told in (70, 75)
    )
    assert (first.id, first.body != again.body) == (again.id, True)
    async with store_rig.open_sessions() as store:
        assert list(await store.tell([first], at(70))) == [first]
        assert list(await store.tell([again], at(71))) == []
    async with store_rig.open_sessions() as store:
        assert await store.unsent(at(75), 10) == [first]
        await store.sent([first.id], at(76))
        assert await store.unsent(at(99), 10) == []
        assert list(await store.tell([again], at(99))) == []
    assert await asked(store_rig, lambda reads: reads.events()) == {"number.changed.huawei-bj": {"made": 1, "sent": 1}}


async def test_a_state_that_comes_back_is_another_event(sessions: SessionStore) -> None:
    states = [
        number_event(a_state(status, by=f"f{n}"), None, key=b"k", now=at(n), trace="t")
        for n, status in enumerate("959")
    ]
    assert list(await sessions.tell(states, at(70))) == states
    assert [event(state)["time"] for state in states] == [f"2026-11-21T08:00:0{n}Z" for n in range(3)]
    assert [event(state)["data"]["raw"]["status"] for state in states] == ["9", "5", "9"]


def a_state(status: str, *, by: str = "f1") -> KeptFact:
    """The state of a number, told by an item of that id."""
    item = latest_number_state({"number": "+8617000000051", "status": status}, number="+8617000000051")
    return kept(replace(a_fact(item.kind, item.key, item.body, told=1, session=""), id=by))
