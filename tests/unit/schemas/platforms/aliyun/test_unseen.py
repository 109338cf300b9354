"""Receipts of Aliyun that no sample shows, made from the words of docs/protocols/aliyun-pnp.md ("section")."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import Announced, Announcement, CallEvent, Cdr, Code, NumberState, Other, Parsed
from schemas.notification import Notification
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.settings import AliyunSource

SOURCE = AliyunSource.model_validate({"name": "aliyun", "platform": "aliyun_pnp", "tokens": ["token"]})
A, B, X = "+8613800000001", "+8613900000003", "+8617000000002"
# Section 4.1, all rows of a call that was answered: 06:07:08 to 06:08:25 in UTC.
REPORT: dict[str, Any] = {
    "id": 1, "call_id": "c1", "pool_key": "FC1", "phone_no": "13800000001", "secret_no": "17000000002",
    "peer_no": "13900000003", "sub_id": 1000043068030001, "call_type": 0, "call_time": "2024-03-05 14:07:08",
    "call_out_time": "2024-03-05 14:07:09", "ring_time": "2024-03-05 14:07:13",
    "free_ring_time": "2024-03-05 14:07:13", "start_time": "2024-03-05 14:07:20",
    "release_time": "2024-03-05 14:08:25", "release_cause": 16, "unconnected_cause": 0,
}  # fmt: skip


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2024-03-05T{clock}+00:00")


def read(row: Any, path: str = "") -> Parsed | Malformed:
    body = json.dumps([row]).encode()
    push = Notification(path=path, remote="192.0.2.1", content_type="application/json", body=body)
    (item,) = DIALECT.parse(push, SOURCE)
    return item


def the_fact(row: Any, path: str = "") -> Parsed:
    item = read(row, path)
    assert isinstance(item, Parsed)
    return item


def the_cdr(**changed: Any) -> Cdr:
    body = the_fact({**REPORT, **changed}).body
    assert isinstance(body, Cdr)
    return body


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


RANG, WENT_OUT, DIALLED = "2024-03-05 14:07:13", "2024-03-05 14:07:09", "2024-03-05 14:07:08"


@pytest.mark.parametrize(
    ("changed", "ringing"),
    [
        ({}, "06:07:13"),  # later than call_out_time: it truly rang
        ({"free_ring_time": "2024-03-05 14:07:11"}, "06:07:11"),  # the idle ringing is the true one
        ({"free_ring_time": WENT_OUT}, None),  # = call_out_time: no ringing, whatever ring_time says
        ({"free_ring_time": None}, "06:07:13"),  # then ring_time
        ({"free_ring_time": "", "ring_time": WENT_OUT}, None),  # ring_time = call_out_time: never
        ({"free_ring_time": WENT_OUT, "ring_time": WENT_OUT}, None),
        ({"free_ring_time": None, "ring_time": None}, None),
        ({"call_out_time": None, "ring_time": DIALLED, "free_ring_time": None}, None),
        ({"call_out_time": None, "free_ring_time": None}, "06:07:13"),
    ],
)
def test_it_rang_only_where_the_ringing_is_later_than_the_leg(changed: dict[str, Any], ringing: str | None) -> None:
    """Section 4.1, rows ring_time and free_ring_time."""
    assert the_cdr(**changed).call.ringing_at == (at(ringing) if ringing else None)


@pytest.mark.parametrize(
    ("changed", "started"),
    [
        ({}, "06:07:09"),
        # answered in the very second of the call: the leg was there
        ({"call_out_time": DIALLED}, "06:07:08"),
        # nothing ever happened: call_out_time is call_time because there was no leg
        ({"call_out_time": DIALLED, "ring_time": DIALLED, "free_ring_time": DIALLED,
          "start_time": "2024-03-05 14:08:25"}, None),
        ({"call_out_time": None}, None),
    ],
)  # fmt: skip
def test_the_leg_to_the_callee_started_unless_its_time_only_repeats_the_call(
    changed: dict[str, Any], started: str | None
) -> None:
    """Section 4.1, row call_out_time: = call_time if never."""
    assert the_cdr(**changed).call.started_at == (at(started) if started else None)


@pytest.mark.parametrize(
    ("changed", "answered"),
    [
        ({}, "06:07:20"),
        ({"start_time": "2024-03-05 14:08:25"}, None),  # = release_time
        ({"start_time": "2024-03-05 14:09:00"}, None),  # later than release_time
        ({"release_time": ""}, None),
        ({"start_time": None}, None),
    ],
)
def test_answered_is_release_after_start(changed: dict[str, Any], answered: str | None) -> None:
    """Section 7, trap 3: start_time is always filled."""
    assert the_cdr(**changed).call.answered_at == (at(answered) if answered else None)


@pytest.mark.parametrize(
    ("call_type", "direction", "caller", "callee"),
    [
        (0, "a_to_b", A, B),
        ("0", "a_to_b", A, B),
        (1, "b_to_a", B, A),
        ("1", "b_to_a", B, A),
        (4, "abnormal", A, B),
        (9, None, A, B),
        ("?", None, A, B),
        (None, None, A, B),
    ],
)
def test_call_type_tells_who_called(call_type: Any, direction: str | None, caller: str, callee: str) -> None:
    """Section 4.1, row call_type; section 7, trap 4: it changes between string and number."""
    call = the_cdr(call_type=call_type).call
    assert (call.direction, call.caller, call.callee) == (direction, caller, callee)


@pytest.mark.parametrize("sub_id", [0, "0", "", None])
def test_no_binding_is_none(sub_id: Any) -> None:
    """Section 7, trap 7; the published sample without a binding has sub_id 0."""
    assert the_cdr(sub_id=sub_id).call.binding_id is None


@pytest.mark.parametrize("value", [1014568510002123, "1014568510002123"])
def test_ids_come_as_numbers_or_strings_and_are_the_same_text(value: Any) -> None:
    """Section 7, traps 4 and 5."""
    fact = the_fact({**REPORT, "id": value, "call_id": value, "sub_id": value, "out_id": value})
    assert isinstance(fact.body, Cdr)
    told = (fact.session_id, fact.key, fact.body.record_id, fact.body.call.binding_id, fact.body.call.user_data)
    text = "1014568510002123"
    assert told == (text, f"cdr|{text}", text, text, text)


def test_a_report_without_an_id_is_named_by_its_call() -> None:
    assert the_cdr(id=None).record_id == "c1"


def test_the_oldest_format_has_an_id_and_numbers_and_perhaps_nothing_more() -> None:
    """Last lines of section 4: all but id, partner_key and numbers are optional."""
    row = {"id": 9, "partner_key": "FC1", "phone_no": "13800000001", "secret_no": "17000000002", "release_cause": 17}
    fact = the_fact(row)
    assert (fact.kind, fact.session_id, fact.key) == ("cdr", "9", "cdr|9")
    assert isinstance(fact.body, Cdr)
    assert (fact.body.call.caller, fact.body.call.callee, fact.body.call.ended_at) == (A, None, None)


def test_the_same_call_told_with_another_id_is_an_amendment() -> None:
    """Section 4.1: the key of a call is (SecretReport, call_id)."""
    one, other = the_fact(REPORT), the_fact({**REPORT, "id": 2})
    assert one.key == other.key
    assert one.fingerprint != other.fingerprint


def test_two_calls_of_one_binding_have_two_keys() -> None:
    """Section 4.1: never dedupe on sub_id."""
    assert the_fact(REPORT).key != the_fact({**REPORT, "call_id": "c2"}).key


def test_a_report_announces_its_recording_and_the_ring_back_by_link() -> None:
    """Section 4.1, record_url / ring_record_url; the download call of section 6 knows only the first."""
    body = the_cdr(record_url="https://a.example/1", ring_record_url="https://a.example/2")
    assert body.recordings == (
        Announced(name="c1", domain="FC1", url="https://a.example/1", called_at=at("06:07:08")),
        Announced(name="c1/ring", domain=None, url="https://a.example/2", called_at=at("06:07:08")),
    )


@pytest.mark.parametrize("time", [1629893489000, "1629893489000"])
def test_a_recording_receipt_carries_milliseconds(time: Any) -> None:
    """Section 4, times: 1629893489000 is 2021-08-25 20:11:29 at +08:00; 4.4: a Number or a String."""
    row = {"pool_key": "FC1", "subs_id": 5, "call_id": "c1", "call_time": time}
    fact = the_fact(row)
    called_at = datetime.fromisoformat("2021-08-25T20:11:29+08:00")
    assert (fact.kind, fact.session_id, fact.key) == ("announcement", "c1", "announcement|c1")
    assert fact.body == Announcement(recording=Announced(name="c1", domain="FC1", called_at=called_at), raw=row)


def test_a_recording_receipt_may_name_its_pool_as_partner() -> None:
    """Section 4.1: both are sent, equal in samples."""
    body = the_fact({"partner_key": "FC1", "call_id": "c1", "call_time": 1629893489000}).body
    assert isinstance(body, Announcement)
    assert body.recording.domain == "FC1"


PICK_UP = {
    "phone_no": "13800000001", "secret_no": "17000000002", "peer_no": "13900000003", "call_type": "1",
    "call_id": "c1", "call_time": DIALLED, "ring_time": RANG, "start_time": "2024-03-05 14:07:20", "sub_id": "5",
}  # fmt: skip


@pytest.mark.parametrize("ring", ["ring_time", "ring_Time"])
def test_a_pick_up_is_the_answer(ring: str) -> None:
    """Section 4.3: PickUp also has start_time; the queue's table spells ring_Time."""
    event = the_fact({**without(PICK_UP, "ring_time"), ring: RANG}).body
    assert isinstance(event, CallEvent)
    assert (event.type, event.platform_type, event.at) == ("answered", "SecretPickUpReport", at("06:07:20"))
    assert (event.call.caller, event.call.callee, event.call.direction) == (B, A, "b_to_a")
    assert (event.call.called_in_at, event.call.ringing_at, event.call.answered_at) == (
        at("06:07:08"), at("06:07:13"), at("06:07:20"),
    )  # fmt: skip


def test_a_ring_of_the_queue_has_its_own_spelling() -> None:
    event = the_fact({**without(PICK_UP, "ring_time", "start_time"), "ring_Time": RANG}).body
    assert isinstance(event, CallEvent)
    assert (event.type, event.at) == ("ringing", at("06:07:13"))


def test_a_start_without_a_binding_says_that_it_is_blocked() -> None:
    """Section 4.2: unconnected_cause is in the start already."""
    event = the_fact({**without(PICK_UP, "ring_time", "start_time"), "unconnected_cause": 2}).body
    assert isinstance(event, CallEvent)
    assert (event.type, event.call.codes) == (
        "incoming",
        (Code(name="fail_code", value=2, outcome="blocked", text="no binding"),),
    )


def test_no_key_spells_a_phone_number() -> None:
    rows = (REPORT, PICK_UP)
    assert not [row for row in rows if "13900000003" in the_fact(row).key or "13800000001" in the_fact(row).key]


def test_a_call_that_counts_no_sms_stays_a_call() -> None:
    assert the_fact({**REPORT, "sms_number": 0}).kind == "cdr"
    assert the_fact({**REPORT, "sms_number": None}).kind == "cdr"
    assert the_fact({**REPORT, "sms_number": 1}).kind == "cdr"


def test_a_number_state_of_either_spelling_is_kept() -> None:
    """Section 4.7."""
    row = {"secretNo": "17000000002", "partnerKey": "FC1", "operatingTime": DIALLED, "status": "2", "Vendor": 3}
    fact = the_fact(row)
    assert (fact.kind, fact.session_id, fact.body) == ("number_state", "", NumberState(raw=row))
    assert fact.key != the_fact({**row, "operatingTime": RANG}).key


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({}, "/SecretNewReport"),
        ({"call_id": "c1"}, ""),
        ({"call_id": "c1", "call_time": DIALLED}, ""),
        (REPORT, "/SecretNewReport"),
        (REPORT, "/SmartSomethingReport"),
        ({"noStatus": 1, "timestamp": 1709618828080}, ""),
        ({"callId": ["?"], "sentences": [1]}, ""),
    ],
)
def test_what_nobody_has_seen_is_kept_raw(row: dict[str, Any], path: str) -> None:
    fact = the_fact(row, path)
    assert (fact.kind, fact.body) == ("other", Other(raw=row))


@pytest.mark.parametrize("path", ["/our-secret-report", "/receipts", "/report", "/secret"])
def test_a_path_of_the_operators_own_names_no_type(path: str) -> None:
    assert the_fact(REPORT, path).kind == "cdr"


def test_the_path_decides_against_the_shape() -> None:
    """Section 4: give each type its own path; the shape rules serve only where one must do for all."""
    assert the_fact(PICK_UP, "/SecretRingReport").kind == "call_event"
    event = the_fact(PICK_UP, "/SecretRingReport").body
    assert isinstance(event, CallEvent)
    assert event.type == "ringing"


def test_fields_that_nobody_has_seen_pass_under_raw() -> None:
    assert the_cdr(brand_new={"a": [1, None]}, release_dir=3).raw == {
        **REPORT, "brand_new": {"a": [1, None]}, "release_dir": 3,
    }  # fmt: skip


def test_milliseconds_beside_numbers_are_no_recording() -> None:
    """Section 4, shape rules: a recording has a 13-digit call_time and no numbers."""
    row = {"call_id": "c1", "phone_no": "13800000001", "secret_no": "17000000002", "call_time": 1629893489000}
    assert the_fact(row).kind == "call_event"


def test_an_id_that_is_too_long_names_no_call_of_something_unknown() -> None:
    assert the_fact({"callId": "c" * 256, "sentences": [1]}).session_id == "c" * 256
    assert the_fact({"callId": "c" * 257, "sentences": [1]}).session_id == ""
