"""What is said of an SMS, and when; and what a decision adds to a call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import permutations

import orjson
from pydantic import TypeAdapter

from schemas.envelope import JsonObject
from schemas.facts import Code, Fact
from schemas.record import SmsRecord
from tests.building.facts import T0, a_cdr, a_decision, all_events, an_event, an_sms, kept, seconds
from tests.building.records import record_of
from tests.building.states import come_back
from workers.calls.events import event_at_once
from workers.calls.session import Session
from workers.calls.sms import is_sms, sms_step
from workers.calls.step import Patience, step

A_QUESTION = an_sms("block", told=10, sender="+8613800000021", private_number="+8617010000001", text="hi")
A_NOTICE = an_sms(
    "notify", told=12, sender="+8613800000021", receiver="+8613800000022", status="delivered", parts=2,
    code=Code(name="send_result", value=0),
)  # fmt: skip
A_DECISION = a_decision("sms", told=10, session="sms1", action="route", callee="+8613800000022")


SMS_RECORD = TypeAdapter(SmsRecord)


class Story:
    """An SMS whose session is told facts at moments."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.due_at: datetime | None = None
        self.said: list[JsonObject] = []

    def told(self, facts: Sequence[Fact], *, at: float) -> Story:
        taken = sms_step(self.session, [*map(kept, facts)], now=T0 + seconds(at), patience=Patience())
        self.session, self.due_at = come_back(taken.session), taken.due_at
        self.said += [orjson.loads(e.body) for e in taken.envelopes if isinstance(e.body, bytes)]
        return self

    def waits(self, *, until: float) -> Story:
        while self.due_at is not None and self.due_at <= T0 + seconds(until):
            self.told([], at=(self.due_at - T0).total_seconds())
        return self


def test_question_decision_and_notice_end_as_one_event_at_once_in_any_order() -> None:
    bodies = set()
    for order in permutations([A_QUESTION, A_DECISION, A_NOTICE]):
        story = Story()
        for fact in order:
            story.told([fact], at=12)
        assert len(story.said) == 1
        assert story.waits(until=500).said[-1]["type"] == "callstitch.sms.notified.v1"
        bodies.add(orjson.dumps(story.said[0]))
    assert len(bodies) == 1
    sms = orjson.loads(bodies.pop())["data"]["sms"]
    assert list(SMS_RECORD.validate_python(sms, strict=True)) == list(sms) == list(SmsRecord.__annotations__)
    assert (sms["sender"], sms["receiver"], sms["text"]) == ("+8613800000021", "+8613800000022", "hi")
    assert sms["decision"] == {"action": "route", "callee": "+8613800000022", "by": "rule", "milliseconds": 3}
    assert (sms["status"], sms["code"]["value"], sms["parts"]) == ("delivered", 0, 2)
    assert sms["raw"] == {"block": {"mode": "block"}, "notify": {"mode": "notify"}}


def test_a_notice_alone_is_told_after_settle() -> None:
    story = Story().told([A_NOTICE], at=12)
    assert (story.said, story.due_at) == ([], T0 + seconds(14))
    assert len(story.waits(until=14).said) == 1
    assert story.due_at is None


def test_a_question_whose_notice_never_comes_is_told_after_a_minute_with_its_decision() -> None:
    story = Story().told([A_QUESTION, A_DECISION], at=11)
    assert (story.said, story.due_at) == ([], T0 + seconds(70))
    (event,) = story.waits(until=70).said
    assert event["data"]["sms"]["decision"]["action"] == "route"


def test_a_notice_that_comes_after_that_is_one_more_revision() -> None:
    story = Story().told([A_QUESTION, A_DECISION], at=11).waits(until=70).told([A_NOTICE], at=100).waits(until=200)
    assert [event["revision"] for event in story.said] == [1, 2]
    assert story.said[0]["id"] != story.said[1]["id"]
    assert story.said[1]["data"]["sms"]["status"] == "delivered"


def test_the_same_pushes_again_say_nothing_more() -> None:
    everything = [A_QUESTION, A_DECISION, A_NOTICE]
    story = Story().told(everything, at=12).told(everything, at=300).waits(until=900)
    assert len(story.said) == 1


def test_only_an_sms_and_what_was_decided_about_one_make_its_session() -> None:
    assert [is_sms(kept(fact)) for fact in (A_NOTICE, A_DECISION, a_decision("call"), a_cdr())] == [
        True,
        True,
        False,
        False,
    ]


def test_a_decision_stands_in_the_record_and_in_the_timeline_of_its_call() -> None:
    decided = a_decision("call", told=1, callee="+8613800000022", by="service", milliseconds=41)
    record = record_of([*all_events(), a_cdr(), decided])
    assert record["decision"] == {"action": "connect", "callee": "+8613800000022", "by": "service", "milliseconds": 41}
    assert [row["type"] for row in record["timeline"]] == [
        "incoming", "outgoing", "ringing", "decided", "answered", "ended",
    ]  # fmt: skip
    assert (record["timeline"][3]["platform_type"], record["timeline"][3]["at"]) == ("connect", T0 + seconds(1))
    assert record["complete"] is True


def test_a_decision_that_comes_after_the_call_was_completed_amends_it_for_that_reason() -> None:
    done = step(None, [*map(kept, (*all_events(), a_cdr()))], now=T0 + seconds(70), patience=Patience())
    late = step(done.session, [kept(a_decision("call", told=71))], now=T0 + seconds(71), patience=Patience())
    amended = step(late.session, [], now=T0 + seconds(80), patience=Patience())
    (event,) = [orjson.loads(e.body) for e in amended.envelopes if isinstance(e.body, bytes)]
    assert (event["type"], event["data"]["reason"]) == ("callstitch.call.amended.v1", "decision")


def test_a_decision_is_told_at_once_with_the_doors_clock_and_always_in_the_same_bytes() -> None:
    decided = a_decision("call", told=1)
    made = {bytes(event_at_once(kept(decided), trace="").body) for _ in range(2)}  # type: ignore[arg-type]
    (event,) = map(orjson.loads, made)
    assert (event["type"], event["time"]) == ("callstitch.call.decided.v1", "2026-11-21T08:00:01Z")
    assert event["data"]["decision"]["action"] == "connect"


def test_a_call_with_only_a_decision_waits_like_any_other() -> None:
    taken = step(None, [kept(an_event("incoming")), kept(a_decision("call"))], now=T0 + seconds(1), patience=Patience())
    assert (taken.envelopes, taken.due_at) == ((), T0 + seconds(1 + 86400))
