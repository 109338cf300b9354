"""Every published push of every product and mode over HTTP, and the call record that comes out at the other end.

What is expected stands in platforms_truth.py, written by hand from the protocol pages.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from schemas.platforms import DIALECTS
from tests.building.schemas import problems
from tests.e2e.platforms import SAMPLES, content_of, post, published, running_platforms
from tests.e2e.platforms_plays import ACCOUNTS, NUMBER_CHANGES, OTHER_NOTICES, Account, Push
from tests.e2e.platforms_truth import RECORDS, SMS, TIMELINES
from tests.e2e.running import Answer, Up

WHAT_ALL_HEAR = {
    "huawei_privatenumber": b"",  # docs/protocols/huawei-privatenumber.md section 0, row expected reply
    "huawei_voicecall": b"",  # docs/protocols/huawei-voicecall.md section 0, row reply
    "aliyun_pnp": b'{"code":0,"msg":"ok"}',  # docs/protocols/aliyun-pnp.md section 4: code is a number
    "jiuyun_axb": b"ack.xml",  # docs/protocols/jiuyun-axb.md section 2
}
KEYS = {"partner_key", "partnerKey"}  # never leave
JIUYUN_JSON = {"statusCode": "0000", "statusMsg": "Success"}  # docs/protocols/jiuyun-axb.md section 2 [inferred]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What stands in calls.jsonl, repeated deliveries folded."""

    records: dict[str, dict[str, Any]]  # of the highest revision
    sms: dict[str, list[dict[str, Any]]]  # in the order of their revisions
    others: list[tuple[str, str, str]]  # type, source, what the platform sent
    completed: Counter[str]


@dataclass(frozen=True, kw_only=True)
class Played:
    """All pushes with their answers, and what the sink holds in the end."""

    up: Up
    answers: list[tuple[Account, Push, Answer]]
    told: Told


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with running_platforms(tmp_path_factory.mktemp("platforms"), ACCOUNTS) as up:
        with ThreadPoolExecutor(8) as platforms:
            answers = [answer for one in platforms.map(partial(_pushed, up), ACCOUNTS) for answer in one]
        with suppress(AssertionError):
            up.wait_for(lambda: _all_right(_told(up)))
        yield Played(up=up, answers=answers, told=_told(up))


def _pushed(up: Up, account: Account) -> list[tuple[Account, Push, Answer]]:
    """Each platform pushes its own in order."""
    return [(account, push, post(up, account, push)) for push in account.pushes]


def _told(up: Up) -> Told:
    events = list({event["id"]: event for event in up.events()}.values())
    calls = [event["data"]["call"] for event in events if "call" in event["data"]]
    sms: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event["type"] == "callstitch.sms.notified.v1":
            sms.setdefault(event["subject"], []).append(event["data"]["sms"])
    return Told(
        records={call["id"]: call for call in sorted(calls, key=lambda call: call["revision"])},
        sms={name: sorted(revisions, key=lambda one: one["revision"]) for name, revisions in sms.items()},
        others=sorted(
            (event["type"], event["source"], as_text(event["data"]["raw"]))
            for event in events
            if event["type"] in ("callstitch.number.changed.v1", "callstitch.platform.notified.v1")
        ),
        completed=Counter(e["subject"] for e in events if e["type"] == "callstitch.call.completed.v1"),
    )


def _all_right(told: Told) -> bool:
    """Everything is as expected: no later revision is on its way. When it never is, each test says what is wrong."""
    others = len(NUMBER_CHANGES) + len(OTHER_NOTICES)
    return (
        all(name in told.records and shown(told.records[name]).items() >= RECORDS[name].items() for name in RECORDS)
        and all(name in told.sms and sms_shown(told.sms[name][-1]).items() >= SMS[name].items() for name in SMS)
        and len(told.others) >= others
    )


def shown(record: dict[str, Any]) -> dict[str, Any]:
    """A record with the states of its recordings, and its decision without how long that took."""
    return {**record, "recordings": [row["state"] for row in record["recordings"]], "decision": decided(record)}


def decided(record: dict[str, Any]) -> dict[str, Any] | None:
    """The decision, without how long it took."""
    decision: dict[str, Any] | None = record["decision"]
    return decision and {name: value for name, value in decision.items() if name != "milliseconds"}


def sms_shown(sms: dict[str, Any]) -> dict[str, Any]:
    """The record of an SMS: of its decision as `shown` does, of each push only which it was."""
    return {**sms, "decision": decided(sms), "raw": sorted(sms["raw"])}


def as_text(raw: Any) -> str:
    return json.dumps(raw, sort_keys=True)


def test_every_published_push_of_every_platform_is_played() -> None:
    played = {(a.platform, push.body) for a in ACCOUNTS for push in a.pushes if isinstance(push.body, str)}
    assert played == published()
    assert {account.platform for account in ACCOUNTS} == set(DIALECTS)


@pytest.mark.parametrize("call", RECORDS)
def test_the_final_record_says_what_the_pages_say(played: Played, call: str) -> None:
    record = shown(played.told.records[call])
    assert {name: record[name] for name in RECORDS[call]} == RECORDS[call]


@pytest.mark.parametrize("call", TIMELINES)
def test_the_timeline_shows_every_event_that_was_pushed(played: Played, call: str) -> None:
    timeline = played.told.records[call]["timeline"]
    assert [(row["type"], row["leg"]) for row in timeline] == TIMELINES[call]


def test_each_event_is_what_its_schema_says(played: Played) -> None:
    assert {event["id"]: found for event in played.up.events() if (found := problems(event))} == {}


def test_there_is_no_other_call_and_each_was_completed_once(played: Played) -> None:
    assert played.told.records.keys() == RECORDS.keys()
    assert played.told.completed == Counter(RECORDS.keys())


@pytest.mark.parametrize("identifier", SMS)
def test_an_sms_ends_as_one_notice_with_its_decision(played: Played, identifier: str) -> None:
    """In one revision, unless the pushes lay further apart than changes gather: then its last one."""
    revisions = played.told.sms[identifier]
    assert [one["revision"] for one in revisions] == list(range(1, len(revisions) + 1))
    assert sms_shown(revisions[-1]).items() >= SMS[identifier].items()


def test_what_is_no_call_and_no_sms_is_passed_on_as_it_was_sent(played: Played) -> None:
    changes = [("callstitch.number.changed.v1", source, name) for source, name in NUMBER_CHANGES]
    notices = [("callstitch.platform.notified.v1", source, name) for source, name in OTHER_NOTICES]
    expected = []
    for kind, source, name in [*changes, *notices]:
        sent = json.loads((SAMPLES / "aliyun_pnp" / name).read_bytes())
        expected += [
            (kind, f"/callstitch/{source}", as_text({name: row[name] for name in row if name not in KEYS}))
            for row in (sent if isinstance(sent, list) else [sent])
        ]
    assert played.told.others == sorted(expected)


def test_each_platform_hears_what_it_wants_to_hear(played: Played) -> None:
    for account, push, answer in played.answers:
        assert answer.status == 200, (account.name, push)
        wanted = WHAT_ALL_HEAR[account.platform]
        if push.answer is not None:
            wanted, _ = content_of(account.platform, push.answer)
            assert json.loads(answer.body) == json.loads(wanted), (account.name, push)
        elif account.platform == "jiuyun_axb" and str(push.body).endswith(".json"):
            assert json.loads(answer.body) == JIUYUN_JSON
        elif wanted == b"ack.xml":
            assert answer.body.split() == (SAMPLES / "jiuyun_axb/ack.xml").read_bytes().split()
        else:
            assert answer.body == wanted, (account.name, push)


def test_a_question_with_a_wrong_signature_or_a_used_nonce_is_refused(played: Played) -> None:
    """docs/protocols/aliyun-pnp.md section 2: all parameters are signed, and signatureNonce is unique."""
    (account,) = (account for account in ACCOUNTS if account.name == "aliyun-x")
    asked, _ = content_of("aliyun_pnp", "xmode_call_control_request.form")
    for body, reason in (
        (asked.replace(b"callNo=13800000001", b"callNo=13800000009"), "signature missing or wrong"),
        (asked, "signature used before"),  # in the play
    ):
        assert post(played.up, account, Push(body=body)).status == 401
        assert reason in played.up.log_file.read_text()
