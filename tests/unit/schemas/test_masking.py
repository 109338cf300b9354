"""Numbers and links: by field where there are fields, in free text where there are none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.masking import hidden, mask_number, masked, masked_id, masked_json, without_signatures

SESSION = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+8613800000021", "+86138****0021"),
        ("13800000021", "138****0021"),
        ("0086 138 0000 0021", "0086 138 **** 0021"),
        ("138-0000-0021", "138-****-0021"),
        ("tel:+8613800000021", "tel:+86138****0021"),
        ("075500000004", "0755****0004"),
        ("62345678", "62****78"),
        ("10086", "1***6"),
        ("110", "***"),
        ("", ""),
    ],
)
def test_a_number_keeps_enough_to_tell_it_from_another(number: str, shown: str) -> None:
    assert mask_number(number) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("caller", "+8613800000021", "+86138****0021"),
        ("calleeNum", "138 0000 0021", "138 **** 0021"),
        ("phone_no", 13800000021, "138****0021"),
        ("telX", "17000000002", "170****0002"),
        ("fwdDisplayNum", "１３８００００００２１", "１３８****００２１"),  # noqa: RUF001 - full-width digits are digits too
        ("called_display_no", "01000000004", "010****0004"),
        ("caller", "anonymous", "anonymous"),
        ("caller", "13800000021,13800000022", "138****0021,138****0022"),
        ("caller", "13800000021 13800000022", "*********** *******0022"),
        ("peer_no", "0755-12345678", "0755-****5678"),
        ("caller", 13800000021.0, "1380****021.0"),
        ("session_id", "13800000021", "138****0021"),
        ("session_id", "1300_+44 7911 123456_7", "1300_+44 79** **3456_7"),
        ("session_id", "20190124023003", "20190124023003"),
        ("key", "event|0755-12345678|20190124023003", "event|0755-****5678|20190124023003"),
        ("id", "0196f0aa-6f3c-7c1e-9d52-013800000021", "0196f0aa-6f3c-7c1e-9d52-013800000021"),
        ("callId", SESSION, SESSION),
        ("id", 12345678901, 12345678901),
        ("resultcode", "1010007", "1010007"),
        ("start_time", "20240305140720", "20240305140720"),
        ("duration", 65, 65),
        ("bytes", 12345678, 12345678),
        ("userData", "ring me at 138 0000 0021", "*** (24 characters)"),
        ("userData", "order 42", "order 42"),
        ("sms_content", "code 4711", "code 4711"),
        ("recordUrl", "https://obs.example.com/a.wav?Signature=x", "https://obs.example.com/..."),
        ("something_new", "8613800000021", "*** (13 characters)"),
        ("base64", "eyJ4IjoxfQ==", "*** (12 characters)"),
        ("answered", True, True),
        ("extension", None, None),
    ],
)
def test_the_field_decides_and_not_what_the_value_looks_like(name: str, value: Any, shown: Any) -> None:
    assert masked_json({"deep": [{name: value}]}) == {"deep": [{name: shown}]}


def test_a_raw_notification_is_masked_by_the_fields_of_its_body() -> None:
    body = {"feeLst": [{"callerNum": "+8613800000021", "sessionId": SESSION}]}
    (shown,) = masked_json([{"text": json.dumps(body)}])
    assert json.loads(shown["text"]) == {"feeLst": [{"callerNum": "+86138****0021", "sessionId": SESSION}]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<caller>138 0000 0021</caller>", "*** (30 characters)"),
        ("release me", "release me"),
        ("see https://obs.example.com/a.wav?k=v", "see https://obs.example.com/..."),
    ],
)
def test_text_that_may_hold_a_number_is_hidden_whole(text: str, shown: str) -> None:
    assert hidden(text) == shown
    assert masked_json({"text": text}) == {"text": shown}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caller +8613800000021 rang", "caller +86138****0021 rang"),
        ("from 13800000021, to +8617010000002", "from 138****0021, to +86170****0002"),
        ("https://obs.example.com/a.wav?Signature=x and more", "https://obs.example.com/... and more"),
        ("tel:13800000021 A13800000021 _13800000021", "tel:138****0021 A138****0021 _138****0021"),
        ("138-0000-0021 or +86-138-0000-0021", "138-****-0021 or +86-138-****-0021"),
        ("01000000004 rang", "010****0004 rang"),
        ("port 8080, revision 12, resultcode 1010007", "port 8080, revision 12, resultcode 1010007"),
        ('{"caller":"+8613800000021"}', '{"caller":"+86138****0021"}'),
        ("s3://bucket/x", "s3://bucket/x"),
    ],
)
def test_free_text_of_a_log_shows_no_number_and_no_link(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_session_id_stays_readable_in_a_log() -> None:
    assert masked(f"call huawei:{SESSION}") == f"call huawei:{SESSION}"


def test_an_id_that_platforms_make_of_numbers_keeps_none_of_them() -> None:
    session = "+8613100000011_+8613200000012_4_627e5c1f_963036_669_1_0"
    assert masked_id(session) == "+86131****0011_+86132****0012_4_627e5c1f_963036_669_1_0"


def test_a_number_of_the_same_data_is_found_in_its_ids_however_it_is_spelled() -> None:
    data = {"peer_no": "+44 7911 123456", "call_id": "x447911123456y", "447911123456": {"out_id": "07911-123456"}}
    assert masked_json(data) == {
        "peer_no": "+44 79** **3456",
        "call_id": "x4479****3456y",
        "4479****3456": {"out_id": "079**-**3456"},
    }


NATIONAL = st.from_regex(r"(1[3-9][1-9]{9}|0(10|2[1-9]|[3-9][1-9]{2})[1-9]{8})", fullmatch=True)
ABROAD = st.from_regex(r"[1-9]{9,13}", fullmatch=True)
SEPARATED = st.sampled_from(["", " ", "-"])
AROUND = st.text(alphabet="abcxyz_|:@", max_size=5)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, str]:
    """Digits of a number, and one of the ways in which people write it."""
    digits = draw(NATIONAL | ABROAD)
    national = digits[0] in "01" and len(digits) > 10
    prefix = draw(st.sampled_from(["", "+86", "0086", "86"] if national else ["+", "00"]))
    local = digits.lstrip("0") if prefix else digits
    between = draw(SEPARATED)
    groups = [local[:3], local[3:7], local[7:]]
    return local, draw(SEPARATED if prefix else st.just("")).join([prefix, between.join(groups)])


@given(number=spelled(), around=AROUND, other=spelled())
def test_a_mask_leaves_no_number(number: tuple[str, str], around: str, other: tuple[str, str]) -> None:
    digits, text = number
    data = {
        "deep": [{"phone_no": text, "sessionId": f"{around}{text}_{other[1]}", "userData": f"ring {text}"}],
        "text": json.dumps({"calleeNum": other[1], "icid": f"{around}{digits}"}),
    }
    bare = re.sub(r"[\s().-]", "", json.dumps(masked_json(data), ensure_ascii=False))
    assert digits[-8:] not in bare
    assert other[0][-8:] not in bare


def masked_one_by_one(text: str, numbers: frozenset[str]) -> str:
    """What hiding the tails of numbers means, in time that grows with the numbers too."""
    for tail in sorted(numbers, key=len, reverse=True):
        text = re.sub(r"[\s().-]*".join(tail), lambda match: re.sub(r"\d", "*", match[0], count=4), text)
    return text


TAILS = st.builds("".join, st.permutations("23456789").map(lambda drawn: drawn[1:])) | st.permutations("23456789").map(
    "".join
)


@given(tail=TAILS, text=st.text(alphabet="23456789 -(_", max_size=40))
def test_a_tail_of_a_number_is_hidden_wherever_it_stands(tail: str, text: str) -> None:
    for said in (text, f"{text}{tail}", f"{text}_{'-'.join(tail)}{text}", f"{tail}{tail} {tail}"):
        assert masked_id(said, frozenset([tail])) == masked_one_by_one(said, frozenset([tail]))


@given(numbers=st.frozensets(TAILS, max_size=6), around=st.lists(AROUND, min_size=7, max_size=7))
def test_each_tail_of_many_is_hidden(numbers: frozenset[str], around: list[str]) -> None:
    text = "x".join(f"{before}{tail}" for before, tail in zip(around, sorted(numbers), strict=False))
    assert masked_id(text, numbers) == masked_one_by_one(text, numbers)


@given(numbers=st.frozensets(st.text("23", min_size=7, max_size=8), max_size=9), text=st.text("23 -", max_size=60))
def test_no_tail_is_left_where_they_overlap(numbers: frozenset[str], text: str) -> None:
    bare = re.sub(r"[\s().-]", "", masked_id(text, numbers))
    assert not any(tail in bare for tail in numbers)


class Counting(frozenset[str]):
    """Numbers that count how often one is looked for."""

    looked = 0

    def __contains__(self, tail: object) -> bool:
        self.looked += 1
        return super().__contains__(tail)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("each number is work")


def test_the_work_grows_with_the_text_and_not_with_the_numbers() -> None:
    text = "2" * 3000
    numbers = Counting(f"{n:08}" for n in range(10_000, 12_000))
    assert masked_id(text, numbers) == text
    assert numbers.looked <= 2 * len(text)


@pytest.mark.parametrize("name", ["authorization", "x-aksk", "X-WSSE"])
def test_a_signature_that_an_older_version_stored_is_shown_to_nobody(name: str) -> None:
    row = {"id": "1", "raw": {"headers": {name: 'UsernameToken Nonce="ab"', "date": "now"}, "caller": "13800000021"}}
    shown = {"headers": {name: "***", "date": "now"}, "caller": "13800000021"}
    assert without_signatures(row) == {"id": "1", "raw": shown}
    assert masked_json(row) == {"id": "1", "raw": {**shown, "caller": "138****0021"}}
