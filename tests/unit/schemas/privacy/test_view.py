"""What an outlet sees of an event: no number in any spelling, the same bytes each time, and tokens that join."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Envelope, JsonObject, Kind
from schemas.masking import mask_number
from schemas.numbers import same_number
from schemas.privacy.view import Manner, View, number_token

A, B, X = "+8613866887021", "+8657188990011", "+8617010000007"
KEY: Final = b"0123456789abcdef0123456789abcdef"
MASK, TOKEN, DROP = (View(numbers=manner, key=KEY) for manner in ("mask", "token", "drop"))
DIGITS: Final = re.compile(r"\d")


def spellings(number: str) -> Iterator[str]:
    """Of a mainland number."""
    bare = number.removeprefix("+86")
    for prefix in ("+86", "86", "0086", "", *(["0"] if not bare.startswith("1") else [])):
        yield prefix + bare
        for between in " -.":
            yield prefix + between + f"{bare[:3]}{between}{bare[3:7]}{between}{bare[7:]}"
    yield f"(+86) {bare}"
    yield bare.translate(str.maketrans("0123456789", "０１２３４５６７８９"))  # noqa: RUF001 - as Chinese texts have


def an_event(**data: Any) -> Envelope:
    told = {
        "id": "5f3a2b1c-0000-5000-8000-13866887021a", "specversion": "1.0", "type": "callstitch.call.completed.v1",
        "source": "/callstitch/huawei", "subject": "huawei:s1", "callid": "huawei:s1", "time": "2026-01-05T08:00:43Z",
        "datacontenttype": "application/json", "revision": 2, "data": data,
    }  # fmt: skip
    at = datetime(2026, 1, 5, tzinfo=UTC)
    return Envelope(str(told["id"]), Kind.EVENT, "huawei", at, orjson.dumps(told), 1, "t", "call.completed.huawei")


def a_call(raw: JsonObject | None = None, **more: Any) -> JsonObject:
    return {
        "id": "huawei:s1", "source": "huawei", "session_id": "s1", "caller": A, "callee": B, "private_number": X,
        "display_number": None, "extension": "12", "user_data": "order 7", "called_in_at": "2026-01-05T08:00:43Z",
        "talk_seconds": 65, "legs": [{"name": "a", "number": A}], "timeline": [{"type": "ringing", "caller": A}],
        "cdrs": [{"record_id": "r1", "caller": A, "user_data": "order 7", "raw": raw or {}}],
        "recordings": [{"key": "k", "sha256": "0" * 53 + "13866887021", "place": "h/2026/01/05/k.wav", "name": None}],
        **more,
    }  # fmt: skip


def body_of(event: Envelope) -> JsonObject:
    assert isinstance(event.body, bytes)
    told: JsonObject = orjson.loads(event.body)
    return told


def leaves(value: Any) -> Iterator[str]:
    """Every name and every text of JSON, as it would be read."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one)
    else:
        yield str(value)


def holds(told: JsonObject, number: str) -> bool:
    """Whether the digits of its last seven stand anywhere in a row, whatever is between them; but in a hash of ours."""
    rest = {name: value for name, value in told.items() if name != "id"}
    for row in rest["data"].get("call", {}).get("recordings", ()):
        row.pop("sha256", None)
    tail = number[-7:]
    return any(tail in "".join(DIGITS.findall(str(text.translate(WIDE)))) for text in leaves(rest))


WIDE: Final = str.maketrans("０１２３４５６７８９", "0123456789")  # noqa: RUF001 - as Chinese texts have


@pytest.mark.parametrize("view", [MASK, TOKEN, DROP], ids=lambda view: view.numbers)
@pytest.mark.parametrize(("number", "spelled"), [(n, one) for n in (A, B, X) for one in spellings(n)])
def test_a_number_of_the_event_leaks_in_no_spelling_from_no_place(view: View, number: str, spelled: str) -> None:
    raw = {
        "callerNum": spelled, "odd": f"sip:{spelled}@ims", "list": [{"deep": f"x{spelled}y"}], spelled: 1,
        "text": f"call me: {spelled}, or not", "id": f"CDR_{spelled}_7",
    }  # fmt: skip
    call = a_call(raw, user_data=f"for {spelled}", binding_id=f"b-{spelled}", id=f"huawei:{spelled}.1")
    call["recordings"][0]["name"] = f"{spelled}.wav"
    seen = view(an_event(call=call, changed=[f"/cdrs/0/raw/{spelled}"], reason="event"))
    assert not holds(body_of(seen), number)


@pytest.mark.parametrize("sent", ["+8613912345678", "86 139-1234-5678", "0571-88990077", "0044 20 7946 0958"])
def test_nor_does_what_looks_like_one_that_nobody_told_of(sent: str) -> None:
    for view in (MASK, TOKEN, DROP):
        seen = body_of(view(an_event(call=a_call({"note": f"or {sent}!"}))))
        assert not holds(seen, re.sub(r"\D", "", sent))


def test_what_is_no_number_stays_as_it_is() -> None:
    raw = {
        "sessionId": "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com", "duration": 65,
        "startTime": "2026-01-05 08:00:43", "dateCreated": "20260105080043", "call_time": 1629893489000,
        "sub_id": 1000000012345678, "icid": "ba171f34a4.3757285803.338666679.5", "sms_number": 2,
    }  # fmt: skip
    seen = body_of(MASK(an_event(call=a_call(raw))))
    assert seen["data"]["call"]["cdrs"][0]["raw"] == raw
    assert seen["id"] == "5f3a2b1c-0000-5000-8000-13866887021a"
    assert seen["data"]["call"]["recordings"][0]["sha256"].endswith("13866887021")


def test_a_mask_is_that_of_all_that_is_shown() -> None:
    call = body_of(MASK(an_event(call=a_call())))["data"]["call"]
    assert (call["caller"], call["private_number"], call["extension"]) == ("+86138****7021", "+86170****0007", "12")


def test_dropped_numbers_are_null_and_others_are_untouched() -> None:
    call = body_of(DROP(an_event(call=a_call({"callerNum": A, "x": 1}))))["data"]["call"]
    assert (call["caller"], call["legs"][0]["number"], call["user_data"]) == (None, None, "order 7")
    assert call["cdrs"][0]["raw"] == {"x": 1}


@pytest.mark.parametrize("number", [A, B, X])
def test_a_token_is_the_same_for_each_spelling_and_in_each_outlet_of_a_key(number: str) -> None:
    known = {number_token(KEY, one) for one in spellings(number) if same_number(one.translate(WIDE), number)}
    assert known == {number_token(KEY, number)}
    other = View(numbers="token", text="drop", without=frozenset({"raw"}), key=KEY)
    bare = number.removeprefix("+86")
    told = an_event(call=a_call({"callerNum": number, "note": f"tel:{bare}"}, caller=number))
    one, two = (body_of(view(told))["data"]["call"] for view in (TOKEN, other))
    assert one["caller"] == two["caller"] == number_token(KEY, number)
    assert one["cdrs"][0]["raw"] == {"callerNum": one["caller"], "note": f"tel:{one['caller']}"}
    assert number_token(b"another key, as long as this", number) != one["caller"]


def test_an_id_that_holds_a_number_holds_its_token_and_the_event_another_id() -> None:
    told = body_of(an_event(call=a_call(id="huawei:9-13866887021", session_id="9-13866887021")))
    told |= {"subject": "huawei:9-13866887021", "callid": "huawei:9-13866887021"}
    event = an_event()
    event = Envelope(event.id, event.kind, "huawei", event.at, orjson.dumps(told), route=event.route)
    for view in (MASK, TOKEN, DROP):
        seen = view(event)
        made = body_of(seen)
        assert made["subject"] == made["callid"] == made["data"]["call"]["id"] == f"huawei:9-{number_token(KEY, A)}"
        assert made["id"] == seen.id != event.id
    assert MASK(event).id == TOKEN(event).id


@pytest.mark.parametrize("numbers", ["mask", "drop", "token"])
def test_numbers_are_not_hidden_without_a_key_since_two_ids_would_be_one(numbers: Manner) -> None:
    with pytest.raises(ValueError, match="needs a key"):
        View(numbers=numbers)


def test_two_calls_whose_ids_look_alike_when_masked_stay_two() -> None:
    one, other = "huawei:9-13866887021", "huawei:9-13811117021"
    assert mask_number(one.partition("-")[2]) == mask_number(other.partition("-")[2])
    for view in (MASK, TOKEN, DROP):
        seen = {body_of(view(an_event(call=a_call(id=call_id))))["data"]["call"]["id"] for call_id in (one, other)}
        assert len(seen) == 2


@pytest.mark.parametrize(("manner", "seen"), [("mask", "***"), ("drop", None)])
def test_texts_and_user_data_go_wherever_they_stand(manner: Manner, seen: str | None) -> None:
    view = View(text=manner, user_data=manner)
    sms = {"id": "a:1", "sender": A, "text": "hello there", "user_data": "order 7", "code": {"text": "sent"}}
    raw = {"notify": {"sms_content": "hello there", "out_id": "order 7", "attached": "order 7", "kept": 1}}
    made = body_of(view(an_event(sms={**sms, "raw": raw})))["data"]["sms"]
    assert (made["text"], made["user_data"], made["sender"], made["code"]) == (seen, seen, A, {"text": "sent"})
    names = ("sms_content", "out_id", "attached")
    assert made["raw"] == {"notify": {**({} if seen is None else dict.fromkeys(names, seen)), "kept": 1}}


def test_a_transcript_is_text() -> None:
    made = body_of(View(text="token", key=KEY)(an_event(raw={"sentences": [{"text": "hi"}], "callId": "1"})))
    assert re.fullmatch("t_[a-z2-7]{24}", made["data"]["raw"]["sentences"])


def test_a_raw_and_a_timeline_that_are_dropped_are_empty_and_named_in_no_pointer() -> None:
    view = View(without=frozenset({"raw", "timeline"}))
    changed = ["/cdrs/0/raw/icid", "/timeline/0/caller", "/talk_seconds"]
    data = body_of(view(an_event(call=a_call({"icid": "1"}), changed=changed, reason="event")))["data"]
    assert (data["call"]["cdrs"][0]["raw"], data["call"]["timeline"], data["changed"]) == ({}, [], ["/talk_seconds"])
    assert data["call"]["caller"] == A


NAMES: Final = st.text(max_size=8) | st.sampled_from(["from", "callNo", A])
ANY: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30) | st.sampled_from([*spellings(A), *spellings(B), f"a{A}b", f"1{A[1:]}9"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
VIEWS: Final = st.builds(
    View,
    numbers=st.sampled_from(["clear", "mask", "token", "drop"]),
    text=st.sampled_from(["clear", "mask", "token", "drop"]),
    user_data=st.sampled_from(["clear", "mask", "token", "drop"]),
    without=st.frozensets(st.sampled_from(["raw", "timeline"])),
    key=st.just(KEY),
)


@given(raw=st.dictionaries(st.text(max_size=8), ANY, max_size=5), view=VIEWS)
def test_whatever_a_platform_sends_is_told_the_same_each_time_without_the_number(raw: JsonObject, view: View) -> None:
    told = an_event(call=a_call(raw))
    once, again = view(told), view(told)
    assert (once.id, once.body) == (again.id, again.body)
    assert isinstance(once.body, bytes)
    assert once.body.startswith(b'{"id":"')
    seen = body_of(once)
    assert seen.keys() == body_of(told).keys()
    assert seen["data"]["call"].keys() == a_call().keys()
    if view.numbers != "clear":
        assert not any(holds(seen, number) for number in (A, B))


def test_an_outlet_that_sees_all_gets_the_very_bytes() -> None:
    told = an_event(call=a_call({"callerNum": A}))
    assert View()(told).body == told.body


def test_every_kind_of_spelling_is_tried() -> None:
    assert len(list(product(spellings(A)))) == 18
