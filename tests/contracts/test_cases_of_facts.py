"""What correlate and the claims make of pushes from the field, from push to event, on both stores."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import orjson
import pytest

from schemas.envelope import JsonObject
from tests.building.stores import StoreRig, asked
from tests.contracts.pipe import VOICE, Pipe, open_pipe

A, B = "+8613100000021", "+8613200000022"


def a_state(status: str, **more: str) -> JsonObject:
    return {"eventType": "numStatus", "numInfo": [{"number": "+8617000000051", "status": status, **more}]}


def changes(pipe: Pipe) -> list[JsonObject]:
    events = map(orjson.loads, pipe.events)
    return [event for event in events if event["type"] == "callstitch.number.changed.v1"]


async def test_a_number_that_is_suspended_works_and_is_suspended_again_is_told_three_times(pipe: Pipe) -> None:
    for status in ("9", "9", "5", "5", "9", "9"):
        await pipe.pushes(a_state(status))
    told = changes(pipe)
    assert [event["data"]["raw"]["numInfo"][0]["status"] for event in told] == ["9", "5", "9"]
    assert len({event["id"] for event in told}) == 3
    assert [event["time"] for event in told] == ["2026-11-21T08:00:00Z"] * 3


async def test_states_in_one_push_are_told_in_their_order(pipe: Pipe) -> None:
    push = a_state("9")
    push["numInfo"] = [a_state(status)["numInfo"][0] for status in "9595"]
    await pipe.pushes(push, push)
    assert [event["data"]["raw"]["numInfo"][0]["status"] for event in changes(pipe)] == list("95959595")


async def test_a_redelivery_after_a_crash_tells_the_same_events_and_no_other(store_rig: StoreRig) -> None:
    """Dedupe committed and died before its facts left: what it passes on again makes the same three."""
    told: list[list[JsonObject]] = []
    for _ in range(2):
        async with open_pipe(store_rig) as pipe:
            for status in ("9", "5", "9"):
                await pipe.pushes(a_state(status))
            told.append(changes(pipe))
    assert ([len(events) for events in told], told[1]) == ([3, 0], [])
    made = await asked(store_rig, lambda reads: reads.events())
    assert made == {"number.changed.huawei-bj": {"made": 3, "sent": 0}}


def an_answer(**more: str) -> JsonObject:
    return {"eventType": "answer", "statusInfo": {"sessionId": "s1", "timestamp": "2026-11-20 05:24:51", **more}}


def a_callback(**parties: str) -> JsonObject:
    """A answered and B did not: 518 says only that some leg failed, 480 says how."""
    record = {
        "icid": "CAE-1",
        "sessionId": "s1",
        "fwdDstNum": B,
        "callOutStartTime": "2026-11-20 05:24:30",
        "callOutAlertingTime": "2026-11-20 05:24:36",
        "callOutAnswerTime": "2026-11-20 05:24:51",
        "fwdStartTime": "2026-11-20 05:24:51",
        "fwdAlertingTime": "2026-11-20 05:24:53",
        "callEndTime": "2026-11-20 05:25:20",
        "failTime": "2026-11-20 05:25:20",
        "ulFailReason": 518,
        "sipStatusCode": 480,
        "serviceType": "002",
        **parties,
    }
    return {"eventType": "fee", "feeLst": [record]}


@pytest.mark.parametrize(
    ("answer", "cdr"),
    [
        (an_answer(), a_callback(callerNum="+8675500000001", calleeNum=A)),
        (an_answer(caller="+8675500000001", called=A), a_callback(callerNum="", calleeNum="")),
        (an_answer(called=A), a_callback(calleeNum="", fwdDstNum="")),
        (an_answer(called="8613100000021"), a_callback(calleeNum=A)),
        (an_answer(called="0086 131-0000-0021"), a_callback(calleeNum=A)),
        (an_answer(called=A), a_callback(calleeNum="13100000021")),
    ],
)
async def test_a_callback_that_only_its_caller_took_is_not_answered(
    store_rig: StoreRig, answer: JsonObject, cdr: JsonObject
) -> None:
    for n, order in enumerate(permutations((answer, cdr))):
        async with open_pipe(store_rig) as pipe:
            for push in order:
                await pipe.pushes(in_session(push, f"s{n}"), source=VOICE)
            await pipe.waits(100)
            record = pipe.records()[-1]
        assert (record["answered"], record["outcome"], record["talk_seconds"]) == (False, "no_answer", 0)
        assert record["answered_at"] is None


def in_session(push: JsonObject, session: str) -> JsonObject:
    inside: Any = push.get("statusInfo") or push["feeLst"][0]
    return (
        {**push, "statusInfo": {**inside, "sessionId": session}}
        if "statusInfo" in push
        else {**push, "feeLst": [{**inside, "sessionId": session, "icid": session}]}
    )
