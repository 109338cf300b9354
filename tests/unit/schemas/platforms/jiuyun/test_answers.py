"""What Jiuyun hears, and what it is never asked. Sections are those of docs/protocols/jiuyun-axb.md."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.notification import Notification, Reply
from schemas.platforms.jiuyun import DIALECT
from schemas.platforms.jiuyun.settings import JiuyunSource
from tests.building.samples import SAMPLES_OF_ALL

SAMPLES = SAMPLES_OF_ALL / "jiuyun_axb"
NOW = datetime(2024, 3, 5, tzinfo=UTC)


def a_source(**settings: Any) -> JiuyunSource:
    row = {"name": "jiuyun", "platform": "jiuyun_axb", "tokens": ["token"], **settings}
    return JiuyunSource.model_validate(row)


def a_push(body: bytes, content_type: str = "application/xml;charset=utf-8") -> Notification:
    return Notification(path="", remote="192.0.2.1", content_type=content_type, body=body)


XML_BYTES = (SAMPLES / "ack.xml").read_bytes()  # section 2, the documented example
JSON_BYTES = b'{"statusCode":"0000","statusMsg":"Success"}'  # section 2, JSON response [inferred]


@pytest.mark.parametrize("body", [b"<req/>", b"\xef\xbb\xbf <req/>", b"\r\n\t<req/>", b"", b"?", b"\x1f\x8b"])
def test_an_xml_request_and_whatever_is_no_json_is_answered_in_xml(body: bytes) -> None:
    expected = Reply(status=200, content_type="application/xml;charset=utf-8", body=XML_BYTES)
    assert DIALECT.reply(a_push(body)) == expected
    assert DIALECT.reply(a_push(b"<req/>", "application/json")) == expected


@pytest.mark.parametrize("body", [b"{}", b"\xef\xbb\xbf{}", b" \r\n{not json", b"[]"])
def test_a_json_request_is_answered_in_json_whatever_its_content_type_says(body: bytes) -> None:
    expected = Reply(status=200, content_type="application/json;charset=utf-8", body=JSON_BYTES)
    assert DIALECT.reply(a_push(body)) == expected
    assert DIALECT.reply(a_push(b"\x1f\x8b", "Application/JSON; charset=utf-8")) == expected


def test_nothing_is_signed_and_nothing_is_asked() -> None:
    """Section 1: no signature, token or auth header; section 4: no callback with a controlling answer."""
    assert DIALECT.verify is None
    assert DIALECT.asks is None


def test_no_api_tells_where_a_recording_is() -> None:
    """Section 4: recording arrives only as recordUrl in the hang-up."""
    assert DIALECT.recordings is None
