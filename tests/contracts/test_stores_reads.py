"""What every store answers to whoever reads it from outside; nothing here is skipped for either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from runtime.wire import dead_envelope
from schemas.envelope import Kind, encode_envelope
from schemas.errors import Misconfigured
from schemas.facts import Announced, FactKind, Other
from tests.building.facts import T0, a_cdr, a_fact, all_events, an_event, enveloped
from tests.building.stores import SOURCE, StoreRig, a_receipt, a_tally, a_whole_call, at, event, fold, marked
from tests.building.traffic import CLOSED, HOUR, arrive, passed_on
from workers.correlate import SessionStore
from workers.dedupe import ClaimStore
from workers.park import Parked, ParkedStore
from workers.stores.ledger import PassedFact, Said
from workers.stores.reads import Reads

MORE_THAN_A_CHUNK = 501

QUESTIONS: tuple[Callable[[Reads], Awaitable[object]], ...] = (
    lambda reads: reads.calls("s1"),
    lambda reads: reads.session("huawei-bj:s1"),
    lambda reads: reads.call_of("e1"),
    lambda reads: reads.holding(b"1", "1", most=1, limit=1),
    lambda reads: reads.back_to(1),
    lambda reads: reads.events(),
    lambda reads: reads.event_ids(),
    lambda reads: reads.due(),
    lambda reads: reads.parked_groups("dead"),
    lambda reads: reads.parked_ids("dead"),
    lambda reads: reads.parked("dead", wanted="x", limit=1),
    lambda reads: reads.letters(["x"]),
    lambda reads: reads.letters_holding("x", stage="s", most=1),
    lambda reads: reads.books.ledger(),
    lambda reads: reads.books.passed(T0),
    lambda reads: reads.books.told_at_once(),
    lambda reads: reads.books.arrived(),
    lambda reads: reads.books.said(),
    lambda reads: reads.books.passed_facts(SOURCE, T0, CLOSED),
    lambda reads: arrived(reads, since=T0),
    lambda reads: reads.books.claimed([(b"k", b"f")]),
    lambda reads: reads.books.unsaid(SOURCE, "2026-11-21T08", 10),
)


async def arrived(reads: Reads, *, since: datetime) -> list[str]:
    """The calls of the facts that sessions hold."""
    return [one.call_id async for one in reads.books.arrived_facts(SOURCE, since)]


@pytest.fixture
async def reads(store_rig: StoreRig) -> AsyncIterator[Reads]:
    """Opened before any stage, as a page is that starts first."""
    async with store_rig.open_reads() as opened:
        yield opened


@pytest.fixture
async def parked(store_rig: StoreRig) -> AsyncIterator[ParkedStore]:
    async with store_rig.open_parked() as store:
        yield store


def a_parked(n: int, *, told: float, box: str = "dead", group: str = "g") -> Parked:
    """A dead letter of a fact."""
    dead = dead_envelope(enveloped(a_cdr(f"r{n}")), reason="broken", stage="callstitch.unique.v1")
    return Parked(
        id=f"p{n}",
        box=box,
        stage="s",
        source=SOURCE,
        reason="broken",
        signature=group,
        at=at(told),
        raw=encode_envelope(dead),
    )


async def test_a_store_on_which_nothing_ever_ran_holds_no_state_and_says_so(reads: Reads) -> None:
    assert await reads.holds_state() is False
    for question in QUESTIONS:
        with pytest.raises(Misconfigured, match=r"^there is no state "):
            await question(reads)
    assert await reads.books.parked() == []
    assert await reads.books.dead_facts(SOURCE) == []
    assert await reads.holds_state() is False, "no question has made anything"


@pytest.mark.usefixtures("claims", "sessions", "parked")
async def test_an_empty_store_answers_every_question_with_nothing(reads: Reads) -> None:
    assert await reads.holds_state() is False
    assert not any([await question(reads) for question in QUESTIONS])


async def test_a_store_holds_state_once_a_notification_is_known(reads: Reads, claims: ClaimStore) -> None:
    await claims.claim([], [a_tally("t1", 1)])
    assert await reads.holds_state() is False
    await claims.claim([a_receipt("n1", quarantined=1)], [])
    assert await reads.holds_state() is True


async def test_a_store_in_which_only_correlate_ran_holds_state_by_its_calls(
    reads: Reads, sessions: SessionStore
) -> None:
    assert await reads.holds_state() is False
    await fold(sessions, a_whole_call(), told=70)
    assert await reads.holds_state() is True


async def test_readers_opened_once_see_what_is_written_later(reads: Reads, sessions: SessionStore) -> None:
    assert await reads.session("huawei-bj:s1") is None
    await fold(sessions, an_event("incoming", told=5), told=5)
    before = await reads.session("huawei-bj:s1")
    await fold(sessions, a_whole_call(), told=70)
    after = await reads.session("huawei-bj:s1")
    assert before is not None
    assert after is not None
    assert (before["status"], len(before["state"]["facts"]), before["outbox"]) == ("open", 1, [])
    assert (after["status"], len(after["state"]["facts"]), after["state"]["revision"]) == ("completed", 2, 1)


@pytest.mark.usefixtures("parked")
async def test_many_questions_can_be_asked_at_once_while_the_owner_writes(
    reads: Reads, claims: ClaimStore, sessions: SessionStore
) -> None:
    async def write() -> None:
        for n in range(20):
            await arrive(sessions, await passed_on(claims, a_whole_call(f"s{n}")))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        asked = [tasks.create_task(reads.event_ids()) for _ in range(20)]
        others = [tasks.create_task(_awaited(question(reads))) for question in QUESTIONS]
    assert all(len(one.result()) <= 20 for one in asked)
    assert all(one.done() for one in others)
    assert len(await reads.event_ids()) == 20


async def _awaited(answer: Awaitable[object]) -> object:
    return await answer


async def test_a_call_shows_what_left_in_the_order_in_which_it_was_said(reads: Reads, sessions: SessionStore) -> None:
    recorded = a_cdr(implies=(), recordings=(Announced(name="a.wav"),))
    said = await fold(sessions, *all_events(), recorded, told=70)
    await marked(sessions, [said[0].id], told=71)
    kept = await reads.session(recorded.call_id)
    assert kept is not None
    assert [row["id"] for row in kept["outbox"]] == [envelope.id for envelope in said]
    assert [row["kind"] for row in kept["outbox"]].count(Kind.EVENT) == sum(bool(event(one)) for one in said)
    assert [row["sent"] for row in kept["outbox"]] == [True, *[False] * (len(said) - 1)]


async def test_calls_are_found_by_the_end_of_their_id(reads: Reads, sessions: SessionStore) -> None:
    await fold(sessions, *(a_whole_call(f"s{n}%_") for n in (1, 11, 2)), told=70)
    assert set(await reads.calls("1%_")) == {"huawei-bj:s11%_", "huawei-bj:s1%_"}
    assert await reads.calls("huawei-bj:s2%_") == ["huawei-bj:s2%_"]
    for no_ending in ("j:s2", "1__", "s%", "S2%_", "x-huawei-bj:s2%_"):
        assert await reads.calls(no_ending) == [], no_ending


async def test_no_more_calls_are_found_than_an_operator_wants_to_read(reads: Reads, sessions: SessionStore) -> None:
    await fold(sessions, *(a_whole_call(f"{n}-x") for n in range(30)), told=70)
    assert len(await reads.calls("-x")) == 20


async def test_events_are_counted_by_route_and_other_work_is_no_event(reads: Reads, sessions: SessionStore) -> None:
    said = await fold(sessions, a_cdr(implies=(), recordings=(Announced(name="a.wav"),)), a_whole_call("s2"), told=70)
    events = [envelope.id for envelope in said if event(envelope)]
    await marked(sessions, events[:1], told=71)
    assert (await reads.events())[f"call.completed.{SOURCE}"] == {"made": 2, "sent": 1}
    assert await reads.event_ids() == set(events)
    assert len(said) > len(events)
    assert await reads.due() == 0


async def test_parked_messages_are_chosen_by_id_by_signature_and_by_time_oldest_first(
    reads: Reads, parked: ParkedStore
) -> None:
    await parked.park([a_parked(n, told=100 - n, group="odd" if n % 2 else "even") for n in range(4)])
    await parked.park([a_parked(9, told=0, box="quarantine")])
    assert await reads.parked_ids("dead") == ["p3", "p2", "p1", "p0"]
    assert await reads.parked_ids("dead", wanted="odd") == ["p3", "p1"]
    assert await reads.parked_ids("dead", wanted="p2") == ["p2"]
    assert await reads.parked_ids("dead", since=at(98), until=at(100)) == ["p2", "p1"]
    assert await reads.parked_ids("dead", wanted="even", until=at(100)) == ["p2"]


async def test_what_goes_back_is_no_longer_chosen_and_can_still_be_shown(reads: Reads, parked: ParkedStore) -> None:
    await parked.park([a_parked(1, told=1), a_parked(2, told=2)])
    await parked.want(["p1"])
    assert await reads.parked_ids("dead") == ["p2"]
    assert [(group["state"], group["count"]) for group in await reads.parked_groups("dead")] == [
        ("parked", 1),
        ("wanted", 1),
    ]
    assert [(row["id"], row["state"]) for row in await reads.parked("dead", wanted="g", limit=9)] == [
        ("p1", "wanted"),
        ("p2", "parked"),
    ]


async def test_the_ledger_has_a_row_for_each_hour_and_leaves_out_what_is_not_there(
    reads: Reads, claims: ClaimStore, sessions: SessionStore
) -> None:
    await claims.claim([a_receipt("n2", quarantined=2, told=HOUR)], [a_tally("t1", 3)])
    await fold(sessions, a_whole_call(), an_event("incoming", session="s2", told=5), told=70)
    first, second = await reads.books.ledger()
    sessions_of_both = {"sessions": 2, "completed": 1, "incomplete": 0, "open": 1}
    assert first == {"source": SOURCE, "hour": "2026-11-21T08", "answered": 3, **sessions_of_both}
    dedupe = {"receipts": 1, "items": 2, "unique": 0, "amended": 0, "duplicate": 0, "quarantined": 2}
    assert second == {"source": SOURCE, "hour": "2026-11-21T09", **dedupe}


async def test_the_books_count_and_name_the_same_facts(
    reads: Reads, claims: ClaimStore, sessions: SessionStore, parked: ParkedStore
) -> None:
    on_time, late = a_whole_call(told=70), a_whole_call("s2", told=HOUR + 70)
    passed = await passed_on(claims, on_time, late)
    await arrive(sessions, passed[:1])
    await parked.park([a_parked(1, told=99)])
    books = reads.books
    hours = [(SOURCE, "2026-11-21T08", 1), (SOURCE, "2026-11-21T09", 1)]
    assert sorted(await books.passed(T0), key=str) == hours
    assert await books.passed(at(HOUR)) == hours[1:]
    assert not await books.told_at_once()
    await passed_on(claims, a_fact(FactKind.OTHER, "other|x", Other(raw={}), told=5, session=""))
    assert await books.told_at_once()
    assert await books.arrived() == hours[:1]
    assert await books.said() == [Said(source=SOURCE, hour="2026-11-21T08", revisions=1, made=1, sent=1)]
    (fact,) = await books.passed_facts(SOURCE, T0, at(HOUR))
    assert fact == PassedFact(fact.pair, on_time.id, on_time.at)
    assert fact.at.tzinfo is UTC or fact.at.utcoffset() == UTC.utcoffset(None)
    assert [(one.pair, one.call_id, one.kind, one.at) async for one in books.arrived_facts(SOURCE, T0)] == [
        (fact.pair, on_time.call_id, on_time.kind, on_time.at)
    ]
    (dead,) = await books.dead_facts(SOURCE)
    assert await books.claimed([dead, fact.pair]) == [fact.pair]
    assert [(one.box, one.state, one.kind, one.count) for one in await books.parked()] == [
        ("dead", "parked", Kind.FACT, 1)
    ]
    assert await books.dead_facts("another") == []
    assert await books.passed_facts("another", T0, CLOSED) == []
    assert await books.unsaid(SOURCE, "2026-11-21T08", 10) == []


async def test_every_session_is_read_however_many_there_are(reads: Reads, sessions: SessionStore) -> None:
    await fold(sessions, *(a_whole_call(f"s{n}") for n in range(MORE_THAN_A_CHUNK)), told=70)
    await fold(sessions, a_whole_call("changed-last", told=90), told=90)
    assert len(set(await arrived(reads, since=T0))) == MORE_THAN_A_CHUNK + 1
    assert await arrived(reads, since=at(80)) == [f"{SOURCE}:changed-last"]
