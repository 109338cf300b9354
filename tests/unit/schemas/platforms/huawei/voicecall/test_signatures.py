"""VoiceCall's push digest and its recording API; digests were computed by OpenSSL from the page, not by our code.

Page: docs/protocols/huawei-voicecall.md sections 0 (push auth) and 3 (recording).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.errors import Permanent, Transient
from schemas.notification import Notification
from schemas.platforms.huawei.voicecall import DIALECT
from schemas.platforms.huawei.voicecall.auth import verify
from schemas.platforms.huawei.voicecall.settings import VoiceCallSource
from schemas.recording import RecordingWanted

URL = "https://callstitch.example.com/v1/huawei-vc/token"
# Created is Beijing time though it ends in Z: NOW is the same moment in UTC.
KEY, SECRET, NONCE, CREATED = "app-key-1", "app-secret-1", "a1B2c3", "2025-01-01T08:00:00Z"
NOW = datetime(2025, 1, 1, tzinfo=UTC)

# Printed once by `printf '%s\n%s\n%s' URL NONCE CREATED | openssl dgst -sha256 -hmac app-secret-1 -binary | base64`,
# then with `%s%s%s`, then with URL/status, then PrivateNumber's way, over nonce and created alone.
TODAY = "bgNSa591FDZCERHUmG0x48Zh2Ci68sLf0vvEj/2ViJI="
OF_2022 = "q2aIZQCjv9RoWSt5VpkLNab/UPJq4/WvuTB4Dozf1UY="
TODAY_STATUS = "nbhoBoCaUH5dNVhi1UwZE0ajiLkkY/eRK6ESoR0Smg8="
PRIVATE_NUMBER = "xpeWHgduTNfK+gyde4YefroMwIImNXR2DDzpGaPM8vg="
assert DIALECT.recordings is not None
API = DIALECT.recordings


def a_source(**settings: Any) -> VoiceCallSource:
    row = {"name": "huawei-vc", "platform": "huawei_voicecall", "tokens": ["token"], **settings}
    return VoiceCallSource.model_validate(row)


SIGNING = a_source(app_key=KEY, app_secret=SECRET, push_url=URL)


def a_token(digest: str, *, username: str = KEY, comma: str = ",") -> str:
    return "UsernameToken " + comma.join(
        [f'Username="{username}"', f'PasswordDigest="{digest}"', f'Nonce="{NONCE}"', f'Created="{CREATED}"']
    )


def verified(
    headers: dict[str, str], source: VoiceCallSource = SIGNING, *, path: str = "", now: datetime = NOW
) -> bool | None:
    push = Notification(path=path, remote="192.0.2.1", content_type="application/json", headers=headers, body=b"{}")
    return verify(push, source, now)


@pytest.mark.parametrize("digest", [TODAY, OF_2022])
@pytest.mark.parametrize("comma", [",", ", "])
def test_a_right_signature_is_right_with_and_without_newlines(digest: str, comma: str) -> None:
    """Section 0, row push auth: url, nonce and created with a newline between; the page of 2022 without it."""
    headers = {"x-aksk": a_token(digest, comma=comma), "authorization": 'AKSK realm="SDP"'}
    assert verified(headers) is True


@pytest.mark.parametrize("push_url", [URL, URL + "/", URL + "/status"])
def test_a_url_of_its_own_for_call_status_is_right_too(push_url: str) -> None:
    """Section 0, rows subscribe and URL form: statusUrl and feeUrl may differ, and both belong to one source."""
    source = a_source(app_key=KEY, app_secret=SECRET, push_url=push_url)
    assert verified({"x-aksk": a_token(TODAY_STATUS)}, source, path="/status") is True


def test_a_push_to_one_url_may_be_signed_over_the_other() -> None:
    """The published pages name the CDR's URL even for call status."""
    assert verified({"x-aksk": a_token(TODAY)}, path="/status") is True


@pytest.mark.parametrize(
    "headers",
    [
        {"x-aksk": a_token(TODAY_STATUS)},
        {"x-aksk": a_token(PRIVATE_NUMBER)},
        {"x-aksk": a_token(TODAY, username="app-key-2")},
        {"x-aksk": a_token(TODAY).replace(NONCE, "a1B2c4")},
        {"x-aksk": a_token(TODAY).replace(CREATED, "2025-01-01T00:00:00Z")},
        {"x-aksk": a_token(TODAY).replace("Created", "Made")},
        {"x-aksk": a_token("\u20ac")},
        {"x-aksk": ""},
    ],
)
def test_anything_else_under_that_name_is_wrong(headers: dict[str, str]) -> None:
    assert verified(headers) is False


@pytest.mark.parametrize("hours", [-8, 6, 24])
def test_created_is_not_judged(hours: int) -> None:
    """Section 0, row retry, CDR: pushed again for hours; no window is documented."""
    assert verified({"x-aksk": a_token(TODAY)}, now=NOW + timedelta(hours=hours)) is True


@pytest.mark.parametrize("headers", [{}, {"authorization": 'AKSK realm="SDP"'}, {"x-wsse": a_token(TODAY)}])
def test_a_push_without_a_signature_is_neither(headers: dict[str, str]) -> None:
    """Section 0, row push auth (FAQ): pushes carry no authentication."""
    assert verified(headers) is None


@pytest.mark.parametrize(
    "settings", [{"app_secret": SECRET}, {"push_url": URL}, {"app_secret": SECRET, "verify": "always"}]
)
def test_without_url_or_secret_nothing_can_be_said(settings: dict[str, str]) -> None:
    assert verified({"x-aksk": a_token(TODAY)}, a_source(app_key=KEY, **settings)) is None


def test_without_an_app_key_the_digest_decides() -> None:
    source = a_source(app_secret=SECRET, push_url=URL)
    assert verified({"x-aksk": a_token(TODAY)}, source) is True
    assert verified({"x-aksk": a_token(PRIVATE_NUMBER)}, source) is False


def a_wish(name: str | None = "1200_366_0_20161228102743.wav") -> RecordingWanted:
    return RecordingWanted(call_id="huawei-vc:1", session_id="1", key="k", name=name, domain="ostor.example.com")


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({}, "https://rtccall.cn-north-1.myhuaweicloud.cn:443"),  # section 4, base seen
        ({"recording_api": "http://127.0.0.1:9000/"}, "http://127.0.0.1:9000"),
    ],
)
def test_a_recording_is_asked_for_at_voicecalls_own_host(settings: dict[str, str], base: str) -> None:
    """Section 3: path and query; headers AKSK over Nonce+Created, unlike a push, and Created is UTC."""
    created = datetime(2025, 1, 1, 8, tzinfo=UTC)
    source = a_source(app_key=KEY, app_secret=SECRET, **settings)
    request = API.request(a_wish(), source, nonce=NONCE, created=created)
    assert request.url == (
        f"{base}/rest/provision/voice/record/v1.0?fileName=1200_366_0_20161228102743.wav&recordDomain=ostor.example.com"
    )
    assert request.headers["X-AKSK"] == a_token(PRIVATE_NUMBER)


def test_a_redirect_names_the_address() -> None:
    """Section 3: 301 Moved Permanently, Location."""
    assert API.location(301, {"location": "https://a.example/x"}, b"") == "https://a.example/x"


def test_a_recording_without_name_or_credentials_cannot_be_asked_for() -> None:
    with pytest.raises(Permanent, match="no file named"):
        API.request(a_wish(None), SIGNING, nonce=NONCE, created=NOW)
    with pytest.raises(Transient, match="app_key"):
        API.request(a_wish(), a_source(), nonce=NONCE, created=NOW)
