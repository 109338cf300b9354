"""The call records that Jiuyun's samples make, against expectations written by hand.

Sections are those of docs/protocols/jiuyun-axb.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import Fact, Parsed
from schemas.platforms.jiuyun import DIALECT
from schemas.platforms.jiuyun.settings import JiuyunSource
from tests.building.facts import kept
from tests.building.pushes import XML, a_push, fact_of
from tests.building.records import record_of
from tests.building.samples import SAMPLES_OF_ALL
from workers.calls.kept import KeptFact
from workers.calls.merge import build_record
from workers.calls.session import fold, winners

SAMPLES = SAMPLES_OF_ALL / "jiuyun_axb"
SOURCE = JiuyunSource.model_validate({"name": "jiuyun", "platform": "jiuyun_axb", "tokens": ["token"]})
T0 = datetime(2024, 3, 5, 6, 8, 27, tzinfo=UTC)
A, B, X, MASK = "+8613800000001", "+8613900000003", "+8617000000002", "+8675500000004"
OLDER = "420d9ec4557f4eeabfb0000000000001"
NOTHING_ELSE = dict.fromkeys(
    ("direction", "extension", "binding_id", "called_in_at", "started_at", "ringing_at", "ring_seconds", "decision")
) | {"repaired": []}


LISTS_AND_OTHERS = ("cdrs", "timeline", "recordings", "legs", "at", "received_at")


def the_facts(*samples: bytes) -> list[Fact]:
    """Each as dedupe would make it, told one second after the other."""
    return [a_fact(body, n) for n, body in enumerate(samples)]


def a_fact(body: bytes, n: int) -> Fact:
    (parsed,) = DIALECT.parse(a_push(body, content_type=XML), SOURCE)
    assert isinstance(parsed, Parsed)
    return fact_of(parsed, SOURCE, at=T0 + timedelta(seconds=n), fact_id=str(n))


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def the_record(facts: Sequence[Fact]) -> dict[str, Any]:
    return record_of(facts)


def the_top(record: dict[str, Any]) -> dict[str, Any]:
    """Everything but the lists and the moments of our own, which have tests of their own."""
    return {name: value for name, value in record.items() if name not in LISTS_AND_OTHERS}


def at(clock: str) -> datetime:
    """Section 5: Beijing time, UTC+8."""
    return datetime.fromisoformat(f"2024-03-05T{clock}+00:00")


def a_reason(value: str | None, text: str | None) -> dict[str, Any]:
    return {"state_code": value, "fail_code": None, "q850": None, "sip": None, "text": text}


def a_call(session: str, **fields: Any) -> dict[str, Any]:
    """docs/contract.md section 1; docs/design.md section 5: one of Jiuyun's CDRs is the whole call."""
    return {
        **NOTHING_ELSE, "id": f"jiuyun:{session}", "source": "jiuyun", "session_id": session,
        "platform": "jiuyun_axb", "product": "axb", "mode": None, "caller": None, "callee": None,
        "private_number": None, "display_number": None, "user_data": None, "answered_at": None, "ended_at": None,
        "talk_seconds": 0, "answered": False, "outcome": "unknown", "complete": True, "missing": [], **fields,
    }  # fmt: skip


ANSWERED = {
    "caller": A, "callee": B, "answered_at": at("06:07:20"), "ended_at": at("06:08:25"), "talk_seconds": 65,
    "answered": True, "outcome": "answered", "reason": a_reason("0", "normal"),
}  # fmt: skip
OLDER_CALL = ("type2_call_invite.xml", "type2_call_establish.xml", "type2_hangup.xml")

RECORDS: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (
        ("axb_hangup.xml",),
        a_call("a1b2c3d4e5f60718293a4b5c6d7e8f90", **ANSWERED, mode="AXB", private_number=X),
    ),
    (
        ("axb_hangup_wrapped.INFERRED.json",),
        a_call("a1b2c3d4e5f60718293a4b5c6d7e8f93", **ANSWERED, mode="AXB", private_number=X),
    ),
    # Section 3: byeType 2, duration 0, no parties
    (
        ("axb_hangup_unanswered.xml",),
        a_call(
            "a1b2c3d4e5f60718293a4b5c6d7e8f91", mode="AXB", private_number=X, ended_at=at("07:00:35"),
            outcome="unreachable", reason=a_reason("2", "B unreachable"),
        ),
    ),
    (("type1_hangup.xml",), a_call(OLDER, **ANSWERED)),
    # A CDR beats events, and userData of the hang-up is abcdef
    (
        OLDER_CALL,
        a_call(OLDER, **ANSWERED, private_number=MASK, user_data="abcdef", started_at=at("06:07:08")),
    ),
    # Before the hang-up: B answered, nothing ended yet
    (
        OLDER_CALL[:2],
        a_call(
            OLDER, caller=A, callee=B, private_number=MASK, user_data="abcdef",
            started_at=at("06:07:08"), answered_at=at("06:07:20"),
            answered=True, outcome="answered", talk_seconds=None, reason=a_reason(None, None), complete=False,
            missing=["ended", "cdr"],
        ),
    ),
    # docs/contract.md section 1: caller null, callee = whom the platform called
    (
        ("voice_notify.xml",),
        a_call(
            OLDER, callee=B, display_number=MASK, started_at=at("06:07:08"), talk_seconds=None,
            reason=a_reason("0", "normal"),
        ),
    ),
    (
        ("voice_code_notify.xml",),
        a_call(
            OLDER, callee=B, display_number=MASK, started_at=at("06:07:08"), talk_seconds=None,
            reason=a_reason("0", "normal"),
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("names", "expected"), RECORDS, ids="+".join)
def test_the_samples_of_a_call_make_its_record(names: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert the_top(the_record(the_facts(*map(sample, names)))) == expected


def test_the_record_of_an_older_call_shows_its_legs_and_what_happened_when() -> None:
    """Section 4: A answered at startTimeA, B at startTimeB; A was invited, B answered."""
    record = the_record(the_facts(*map(sample, OLDER_CALL)))
    nothing = {"started_at": None, "ringing_at": None, "ended_at": None}
    assert record["legs"] == [
        {"name": "a", "number": A, "answered_at": at("06:07:12"), **nothing},
        {"name": "b", "number": B, "answered_at": at("06:07:20"), **nothing},
    ]
    happened = [(row["type"], row["platform_type"], row["leg"], row["at"]) for row in record["timeline"]]
    assert happened == [
        ("outgoing", "CallInvite", "a", at("06:07:08")),
        ("answered", "CallEstablish", "b", at("06:07:20")),
    ]


def test_the_first_invitation_is_when_the_call_started() -> None:
    """Section 4: userFlag 0 = A leg, 1 = B leg, each invited."""
    invited = sample("type2_call_invite.xml")
    later = invited.replace(b"<userFlag>0", b"<userFlag>1").replace(b"20240305140708", b"20240305140713")
    record = the_record(the_facts(invited, later, sample("type2_hangup.xml")))
    assert record["started_at"] == at("06:07:08")
    assert [row["leg"] for row in record["timeline"]] == ["a", "b"]


def test_a_call_that_nobody_answered_says_so() -> None:
    """docs/contract.md section 1, Jiuyun: 0 with duration 0 no_answer."""
    sent = sample("axb_hangup_unanswered.xml").replace(b"<byeType>2<", b"<byeType>0<")
    record = the_record(the_facts(sent))
    assert (record["answered"], record["outcome"], record["talk_seconds"]) == (False, "no_answer", 0)
    assert record["reason"] == a_reason("0", "normal")


def test_a_call_that_ended_before_it_began_has_the_talk_time_that_was_told() -> None:
    """Section 3: its own times are inconsistent; trust duration."""
    sent = sample("axb_hangup.xml").replace(b"20240305140825", b"20240305140600")
    record = the_record(the_facts(sent))
    assert (record["answered"], record["talk_seconds"], record["ended_at"]) == (True, 65, at("06:06:00"))


def test_an_answer_is_known_by_duration_alone() -> None:
    """Section 3: startTime is optional."""
    sent = sample("axb_hangup.xml").replace(b"<startTime>20240305140720</startTime>", b"")
    record = the_record(the_facts(sent))
    assert (record["answered"], record["outcome"], record["talk_seconds"]) == (True, "answered", 65)
    assert record["answered_at"] is None


def test_a_recording_is_wanted_by_its_address_and_none_without_one() -> None:
    """Section 3: recordUrl, empty when recording is off."""
    (recording,) = the_record(the_facts(sample("axb_hangup.xml")))["recordings"]
    assert (recording["state"], recording["reason"]) == ("wanted", None)
    assert the_record(the_facts(sample("axb_hangup_unanswered.xml")))["recordings"] == []


def test_an_upstream_code_decides_nothing_but_stands_in_the_record() -> None:
    """Section 4: of type 10, byeType is outside the table."""
    sent = sample("axb_hangup_unanswered.xml").replace(b"<type>22<", b"<type>10<")
    record = the_record(the_facts(sent))
    assert (record["outcome"], record["reason"]) == ("unknown", a_reason("2", None))


# All of one session, as the samples share it: three CDRs, an amended one, a repaired one, two call events.
SHARED = the_facts(
    *map(sample, OLDER_CALL),
    sample("voice_notify.xml"),
    sample("voice_code_notify.xml"),
    sample("type2_hangup.xml").replace(b"<duration>65<", b"<duration>66<"),
    sample("type2_call_establish.xml").replace(b'{"test":"test"}', b"R&D"),
)


@given(order=st.lists(st.sampled_from(SHARED), min_size=1).map(lambda some: [*some, *SHARED]), shuffle=st.randoms())
def test_any_order_with_any_repetition_makes_one_record(order: list[Fact], shuffle: Any) -> None:
    shuffle.shuffle(order)
    facts: dict[str, KeptFact] = {}
    for fact in order:
        facts = fold(facts, [kept(fact)])
    assert orjson.dumps(build_record(winners(facts), call_events=True)) == ONE_RECORD


ONE_RECORD = orjson.dumps(build_record(winners(fold({}, map(kept, SHARED))), call_events=True))


def test_the_shared_session_shows_all_three_and_the_answered_one_first() -> None:
    """docs/design.md section 5, several CDRs: primary = earliest answered; the amended one counts."""
    record = the_record(SHARED)
    assert [row["record_id"].rpartition(".")[2] for row in record["cdrs"]] == [
        "Hangup", "VoiceCodeNotify", "VoiceNotify",
    ]  # fmt: skip
    assert (record["talk_seconds"], record["complete"]) == (66, True)
    assert record["timeline"][1]["raw"]["_repaired"] == "escaped"


def test_a_notification_that_is_told_again_changes_nothing() -> None:
    """Section 1: the Redis drain hands records out twice."""
    once = the_facts(*map(sample, OLDER_CALL))
    again = [replace(fact, id=f"{fact.id}-again", at=fact.at + timedelta(hours=1)) for fact in once]
    assert the_record([*once, *again]) == the_record(once)


@pytest.mark.parametrize("kind", ["1", "2", "7"])
def test_two_hangups_of_one_call_with_different_legs_are_two_cdrs(kind: str) -> None:
    sent = sample("type2_hangup.xml").replace(b"<type>2</type>", b"<type>%b</type>" % kind.encode())
    legs = [sent.replace(b"</req>", b"<userFlag>%d</userFlag></req>" % flag) for flag in (0, 1)]
    record = the_record(the_facts(*legs, legs[0], legs[1]))
    assert len({cdr["record_id"] for cdr in record["cdrs"]}) == 2
    assert len(the_record(the_facts(legs[0], legs[0]))["cdrs"]) == 1


@pytest.mark.parametrize(("action", "kind"), [("Hangup", "10"), ("VoiceNotify", "2"), ("IncomeHangup", "2")])
def test_what_userflag_tells_no_leg_of_is_one_cdr_with_the_key_that_it_always_had(action: str, kind: str) -> None:
    """Section 4: of type 10 it is who released; the platform tells unset as 0, and a re-push is the same CDR."""
    sent = sample("type2_hangup.xml").replace(b"<type>2</type>", b"<type>%b</type>" % kind.encode())
    sent = sent.replace(b"<action>Hangup<", b"<action>%b<" % action.encode())
    sent = sent.replace(b"</req>", b"<requestId>r1</requestId></req>")
    flags = [sent.replace(b"</req>", b"<userFlag>%d</userFlag></req>" % flag) for flag in (0, 1)]
    keys = {fact.key for fact in the_facts(sent, *flags)}
    assert len(keys) == 1
    assert keys.pop().endswith(f".{action}")
