"""Numbers and links: by field where there are fields, in free text where there are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.masking import hidden, mask_number, masked, masked_json

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
        ("session_id", "13800000021", "13800000021"),
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
