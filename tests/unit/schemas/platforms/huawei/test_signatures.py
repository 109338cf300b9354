"""Huawei's signatures and the recording API; digests are computed here from the page, not by our code.

Page: docs/protocols/huawei-privatenumber.md sections 0 and 6; codes: docs/protocols/huawei-reason-codes.md table G.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from schemas.errors import Permanent, Transient
from schemas.notification import Notification
from schemas.platforms.huawei.privatenumber import DIALECT
from schemas.platforms.huawei.privatenumber.auth import verify
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.recording import RecordingWanted

KEY, SECRET, NONCE, CREATED = "app-key-1", "app-secret-1", "a1B2c3", "2024-12-31T23:59:59Z"
REALM = 'realm="SDP",profile="UsernameToken",type="Appkey"'
NOW = datetime(2025, 1, 1, tzinfo=UTC)

# Printed once by OpenSSL, not by Python: `printf 'a1B2c32024-12-31T23:59:59Z' | openssl dgst -sha256 -hmac app-secret-1
# -binary | base64`, and `printf 'a1B2c32024-12-31T23:59:59Zapp-secret-1' | openssl dgst -sha256 -binary | base64`.
AKSK = "IZWtRqLaa+tiaG2IQkOuWhK+4TBEyO5s5vSEqVtrXR0="
WSSE = "sACABOyi3/xfdywj+I/OwAMltAwE4vCuQgLx7nhXoV8="
assert DIALECT.recordings is not None
API = DIALECT.recordings


def a_source(**settings: Any) -> PrivateNumberSource:
    row = {"name": "huawei-bj", "platform": "huawei_privatenumber", "tokens": ["token"], **settings}
    return PrivateNumberSource.model_validate(row)


SIGNING = a_source(app_key=KEY, app_secret=SECRET)


def a_token(digest: str, *, username: str = KEY, comma: str = ",") -> str:
    return "UsernameToken " + comma.join(
        [f'Username="{username}"', f'PasswordDigest="{digest}"', f'Nonce="{NONCE}"', f'Created="{CREATED}"']
    )


def verified(headers: dict[str, str], source: PrivateNumberSource = SIGNING) -> bool | None:
    push = Notification(path="", remote="192.0.2.1", content_type="application/json", headers=headers, body=b"{}")
    return verify(push, source, NOW)


def test_the_vectors_are_what_the_page_describes() -> None:
    message = (NONCE + CREATED).encode()
    assert base64.b64encode(hmac.new(SECRET.encode(), message, hashlib.sha256).digest()).decode() == AKSK
    assert base64.b64encode(hashlib.sha256(message + SECRET.encode()).digest()).decode() == WSSE


@pytest.mark.parametrize(
    "headers",
    [
        {"x-aksk": a_token(AKSK)},
        {"x-wsse": a_token(WSSE)},
        {"x-aksk": a_token(AKSK, comma=", "), "authorization": 'AKSK realm="SDP"'},
        {"x-wsse": a_token(WSSE, comma=" , ")},
        {"x-aksk": a_token(AKSK), "x-wsse": a_token("wrong")},
        # section 0: the headers of pushes since about December 2024, and before
        {"authorization": f"AKSK {REALM}", "x-aksk": a_token(AKSK)},
        {"authorization": f"WSSE {REALM}", "x-wsse": a_token(WSSE)},
    ],
)
def test_a_right_signature_is_right(headers: dict[str, str]) -> None:
    assert verified(headers) is True


@pytest.mark.parametrize(
    "headers",
    [
        {"x-aksk": a_token(WSSE)},
        {"x-wsse": a_token(AKSK)},
        {"x-aksk": a_token(AKSK, username="app-key-2")},
        {"x-aksk": a_token(AKSK).replace(NONCE, "a1B2c4")},
        {"x-aksk": a_token(AKSK).replace("Nonce", "Once")},
        {"x-aksk": a_token(AKSK).replace("UsernameToken", "PasswordToken")},
        {"x-aksk": a_token("\u20ac")},
        {"x-aksk": a_token(AKSK).replace(NONCE, "\udcff")},
        {"x-aksk": a_token("wrong"), "x-wsse": a_token(WSSE)},
        {"x-aksk": ""},
        {"x-wsse": "UsernameToken"},
        {"x-wsse": "\x00"},
        {"x-aksk": f"{a_token(AKSK)}, {a_token(AKSK)}"},  # the header twice, as the door joins it
        {"x-aksk": a_token(AKSK) + f',Nonce="{NONCE}"'},
        {"x-aksk": f"{a_token(AKSK)},a={'x' * 1024}"},
    ],
)
def test_anything_else_under_that_name_is_wrong(headers: dict[str, str]) -> None:
    assert verified(headers) is False


def test_a_repeated_push_is_right_again_hours_later() -> None:
    """Section 0, retry: up to 300 minutes after; whether it is signed anew is not stated, so no time is too old."""
    push = Notification(path="", remote="", content_type="", headers={"x-aksk": a_token(AKSK)}, body=b"{}")
    assert verify(push, SIGNING, NOW + timedelta(minutes=623)) is True


def test_a_push_without_a_signature_is_neither() -> None:
    assert verified({"authorization": 'AKSK realm="SDP"'}) is None


def test_without_a_secret_nothing_can_be_said() -> None:
    assert verified({"x-aksk": a_token(AKSK)}, a_source(app_key=KEY)) is None


def test_without_an_app_key_the_digest_decides() -> None:
    assert verified({"x-aksk": a_token(AKSK)}, a_source(app_secret=SECRET)) is True
    assert verified({"x-aksk": a_token(WSSE)}, a_source(app_secret=SECRET)) is False


def a_wish(
    name: str | None = "19012402300612050118304.wav", domain: str | None = "ostor.example.com"
) -> RecordingWanted:
    return RecordingWanted(call_id="huawei-bj:1", session_id="1", key="k", name=name, domain=domain)


@pytest.mark.parametrize(("scheme", "digest"), [("aksk", AKSK), ("wsse", WSSE)])
def test_the_request_for_a_recording_is_signed_in_either_scheme(scheme: str, digest: str) -> None:
    source = a_source(app_key=KEY, app_secret=SECRET, recording_auth=scheme)
    created = datetime(2025, 1, 1, 7, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=8)))  # CREATED, seen in Beijing
    request = API.request(a_wish(), source, nonce=NONCE, created=created)
    assert request.url == (
        "https://rtcpns.cn-north-1.myhuaweicloud.com/rest/provision/voice/record/v1.0"
        "?fileName=19012402300612050118304.wav&recordDomain=ostor.example.com"
    )
    assert request.headers == {
        "Content-Type": "application/json;charset=UTF-8",
        "Authorization": f'{scheme.upper()} realm="SDP",profile="UsernameToken",type="Appkey"',
        f"X-{scheme.upper()}": a_token(digest),
    }


def test_the_configured_address_is_asked_and_the_query_is_encoded() -> None:
    source = a_source(app_key=KEY, app_secret=SECRET, recording_api="http://127.0.0.1:9000/")
    request = API.request(a_wish("a b/c&d=+.wav", "h:1"), source, nonce=NONCE, created=NOW)
    assert request.url == (
        "http://127.0.0.1:9000/rest/provision/voice/record/v1.0?fileName=a%20b%2Fc%26d%3D%2B.wav&recordDomain=h%3A1"
    )


@pytest.mark.parametrize("wish", [a_wish(name=None), a_wish(domain=None), a_wish(name="")])
def test_a_recording_without_a_name_cannot_be_asked_for(wish: RecordingWanted) -> None:
    with pytest.raises(Permanent, match="no file named"):
        API.request(wish, SIGNING, nonce=NONCE, created=NOW)


@pytest.mark.parametrize("settings", [{"app_key": KEY}, {"app_secret": SECRET}])
def test_a_source_without_credentials_cannot_ask(settings: dict[str, str]) -> None:
    with pytest.raises(Transient, match="app_key"):
        API.request(a_wish(), a_source(**settings), nonce=NONCE, created=NOW)


LOCATION = "https://obs.example.com/19012402300612050118304.wav?Signature=secret"


def an_error(code: Any) -> bytes:
    return json.dumps({"resultcode": code, "resultdesc": "of no use"}).encode()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_names_the_address(status: int) -> None:
    """Section 6: HTTP 301, download URL in Location, Content-Length 0."""
    assert API.location(status, {"location": LOCATION, "content-length": "0"}, b"") == LOCATION


@pytest.mark.parametrize(
    ("status", "body", "retry_after"),
    [
        (400, an_error("1012007"), None),  # the published error; soon after the CDR retryable [inferred]
        (200, an_error("1012007"), None),
        (400, an_error(1012007), None),
        (403, an_error("1012007"), None),
        (400, an_error("1010010"), 60.0),
        (400, an_error("1011006"), 60.0),
        (500, an_error("1010001"), None),
        (400, an_error("1023001"), None),
        (400, an_error("1023002"), None),
        (503, b"<html>", None),
        (400, an_error("9999999"), None),
        (200, b"RIFF", None),
        (301, b"", None),
        (404, b"[" * 2000, None),
    ],
)
def test_another_attempt_may_help(status: int, body: bytes, retry_after: float | None) -> None:
    with pytest.raises(Transient) as failed:
        API.location(status, {}, body)
    assert failed.value.retry_after == retry_after


@pytest.mark.parametrize("code", [13866887021, "138668870"])
def test_a_code_that_is_too_long_to_be_one_is_not_repeated(code: Any) -> None:
    """It may be a number of somebody's; found by the contract suite."""
    with pytest.raises(Transient, match=r"resultcode None$"):
        API.location(400, {}, an_error(code))


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, an_error("1010003"), "1010003"),
        (400, an_error("1020176"), "1020176"),
        (403, an_error("1020166"), "1020166"),
        (400, an_error("1010040"), "1010040"),
        (400, an_error("1023006"), "1023006"),
        (401, b"", "401"),
        (403, b"<html>", "403"),
    ],
)
def test_a_refusal_waits_until_the_operator_may_have_mended_it(status: int, body: bytes, told: str) -> None:
    """Table G, 1020176: blocked about 30 minutes after repeated failures."""
    with pytest.raises(Transient, match=told) as failed:
        API.location(status, {}, body)
    assert (failed.value.retry_after or 0) > 1800


@pytest.mark.parametrize("status", [200, 403])
def test_no_error_tells_an_address(status: int) -> None:
    with pytest.raises(Transient) as failed:
        API.location(status, {"location": LOCATION}, an_error(LOCATION))
    assert "obs.example.com" not in str(failed.value)
