"""The download call of Aliyun: docs/protocols/aliyun-pnp.md section 6, signed by an independent computation here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from yarl import URL

from schemas.errors import Permanent, Transient
from schemas.platforms.aliyun.recordings import recording_location, recording_request
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.recording import RecordingWanted

CREATED = datetime(2024, 3, 5, 6, 30, 0, tzinfo=UTC)
WANTED = RecordingWanted(
    call_id="aliyun:4361aa01bb02cc03",
    session_id="4361aa01bb02cc03",
    key="k",
    name="4361aa01bb02cc03",
    domain="FC100000000000001",
    called_at=datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC),
)
LINK = "https://rec-demo.oss-cn-shanghai.aliyuncs.com/a.mp3?Expires=1&Signature=a%2Bb%3D"


def a_source(**settings: Any) -> AliyunSource:
    row = {"name": "aliyun", "platform": "aliyun_pnp", "tokens": ["token"], "app_key": "LTAI", "app_secret": "hush"}
    return AliyunSource.model_validate({**row, **settings})


def the_query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True))


def sent(**fields: Any) -> bytes:
    return json.dumps({"RequestId": "1", **fields}).encode()


def test_the_address_is_asked_by_pool_call_and_beijing_time() -> None:
    """Section 6: PoolKey, CallId, CallTime "yyyy-MM-dd HH:mm:ss", from UTC to Beijing."""
    request = recording_request(WANTED, a_source(), nonce="abc123", created=CREATED)
    told = the_query(request.url)
    signature = told.pop("Signature")
    assert told == {
        "AccessKeyId": "LTAI",
        "Action": "QueryRecordFileDownloadUrl",
        "CallId": "4361aa01bb02cc03",
        "CallTime": "2024-03-05 14:07:08",
        "Format": "JSON",
        "PoolKey": "FC100000000000001",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "abc123",
        "SignatureVersion": "1.0",
        "Timestamp": "2024-03-05T06:30:00Z",
        "Version": "2017-05-25",
    }
    joined = "&".join(f"{name}={quote(value, safe='~')}" for name, value in sorted(told.items()))
    digest = hmac.new(b"hush&", f"GET&%2F&{quote(joined, safe='~')}".encode(), hashlib.sha1).digest()
    assert signature == base64.b64encode(digest).decode()
    assert urlsplit(request.url)[:3] == ("https", "dyplsapi.aliyuncs.com", "/")
    assert request.headers == {}


def test_the_signature_survives_the_http_client() -> None:
    """The URL type of aiohttp normalises percent-encoding; what the platform decodes must stay what was signed."""
    for n in range(50):
        url = recording_request(WANTED, a_source(), nonce=f"n{n}", created=CREATED).url
        assert the_query(str(URL(url))) == the_query(url)


@pytest.mark.parametrize("api", ["https://api.example.com", "https://api.example.com/"])
def test_the_endpoint_is_a_setting(api: str) -> None:
    url = recording_request(WANTED, a_source(recording_api=api), nonce="n", created=CREATED).url
    assert url.startswith("https://api.example.com/?AccessKeyId=")


@pytest.mark.parametrize("missing", ["app_key", "app_secret"])
def test_without_a_key_it_waits_for_the_operator(missing: str) -> None:
    with pytest.raises(Transient):
        recording_request(WANTED, a_source(**{missing: None}), nonce="n", created=CREATED)


@pytest.mark.parametrize("missing", ["name", "domain", "called_at"])
def test_what_the_call_needs_cannot_be_left_out(missing: str) -> None:
    nothing: dict[str, Any] = {missing: None}
    wanted = replace(WANTED, **nothing)
    with pytest.raises(Permanent):
        recording_request(wanted, a_source(), nonce="n", created=CREATED)


def test_the_answer_names_the_download_address() -> None:
    """Section 6: -> {Code:"OK", DownloadUrl}."""
    assert recording_location(200, {}, sent(Code="OK", DownloadUrl=LINK, Message="OK")) == LINK


@pytest.mark.parametrize(
    ("status", "body", "text", "retry_after"),
    [
        (200, sent(Code="OK"), "record not ready", 300),
        (200, sent(Code="OK", DownloadUrl=""), "record not ready", 300),
        (200, sent(Code="OK", DownloadUrl=7), "record not ready", 300),
        (200, sent(Code="isv.RECORD_NOT_EXIST"), "record not ready", 300),
        (404, sent(Code="whatever"), "record not ready", 300),
        (200, b"", "record not ready", 300),
        (200, b"<html>", "record not ready", 300),
        (200, b"[]", "record not ready", 300),
        (400, sent(Code="Throttling.User"), "platform busy", 60),
        (503, sent(Code="ServiceUnavailable"), "platform busy", 60),
        (404, sent(Code="InvalidAccessKeyId.NotFound"), "platform refused", 1900),
        (400, sent(Code="SignatureDoesNotMatch"), "platform refused", 1900),
        (403, sent(Code="Forbidden.RAM"), "platform refused", 1900),
        (200, sent(Code="isv.RAM_PERMISSION_DENY"), "platform refused", 1900),
        (401, b"", "platform refused", 1900),
        (500, sent(Code="InternalError"), "platform failed", None),
        (502, b"", "platform failed", None),
    ],
)
def test_anything_else_is_worth_another_attempt(status: int, body: bytes, text: str, retry_after: float | None) -> None:
    """Section 4.1: ready 15 to 20 minutes after the call; section 6: kept for 30 days."""
    with pytest.raises(Transient, match=f"^{text}") as error:
        recording_location(status, {}, body)
    assert error.value.retry_after == retry_after


def test_an_error_never_repeats_what_the_platform_said() -> None:
    for code in ("call 13800000001 not found", LINK, "x" * 100, "13800000001"):
        with pytest.raises(Transient) as error:
            recording_location(200, {}, sent(Code=code, Message=code, DownloadUrl=LINK))
        assert code not in str(error.value)
        assert "138" not in str(error.value)


@pytest.mark.parametrize(
    ("sent_as", "asked_for"),
    [
        ("http://b.oss-cn-shanghai.aliyuncs.com/a.wav?x=1", "https://b.oss-cn-shanghai.aliyuncs.com/a.wav?x=1"),
        ("http://b.oss-cn-shanghai.aliyuncs.com:80/a.wav", "https://b.oss-cn-shanghai.aliyuncs.com/a.wav"),
        ("https://b.oss-cn-shanghai.aliyuncs.com/a.wav", "https://b.oss-cn-shanghai.aliyuncs.com/a.wav"),
        ("http://b.oss-cn-shanghai.aliyuncs.com:8080/a.wav", "http://b.oss-cn-shanghai.aliyuncs.com:8080/a.wav"),
        ("http://aliyuncs.com.example.com/a.wav", "http://aliyuncs.com.example.com/a.wav"),
        ("http://[nonsense/a.wav", "http://[nonsense/a.wav"),
    ],
)
def test_a_link_to_the_vendors_storage_is_asked_for_by_https(sent_as: str, asked_for: str) -> None:
    """The vendor's own example of QueryRecordFileDownloadUrl says http."""
    assert recording_location(200, {}, sent(Code="OK", DownloadUrl=sent_as)) == asked_for
