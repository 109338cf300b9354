"""The signature of X mode, by the worked example of docs/protocols/aliyun-pnp.md section 2 and by openssl."""

from __future__ import annotations

import base64
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from schemas.notification import Notification
from schemas.platforms.aliyun.control import nonce
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.platforms.aliyun.signature import rfc3986, rpc_signature, url_encoder, verify, x_mode_signature
from tests.building.samples import SAMPLES_OF_ALL

SAMPLE = (SAMPLES_OF_ALL / "aliyun_pnp" / "xmode_call_control_request.form").read_bytes()
KEY = "demo-secret-not-real"
NOW = datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)  # the timestamp of the worked example
# Section 2, worked example.
PARAMS = {
    "callId": "8f3c2b1a9d7e4c60", "callNo": "13800000001", "callTime": "20240305140708", "extension": "",
    "format": "JSON", "recordType": "CAL", "secretNo": "17000000002", "signatureMethod": "HMAC-SHA1",
    "signatureNonce": "0f6e5b0c-6a1e-4f6b-9d0a-2b7c1f1e9a10", "signatureVersion": "1.0",
    "timestamp": "2024-03-05T06:07:08Z",
}  # fmt: skip
# Section 2, the table under it, column Base64.
VECTORS = {
    "A": "R0Wus0MREqMZdApPiOqJqzor3T4=",
    "B": "+SssMEU8ZPOK6rtjxA8oAzUYVaY=",
    "C": "jalg0KPtiRDU6tP5GqD1BIZ+buM=",
}
# Section 2, encoder trap: with callId=`demo call*id~01^9a8b`, variant A.
TRAP = "demo call*id~01^9a8b"
TRAP_RFC3986 = "N1GrEwctkPftdfPO39jTpLkG0Eg="
TRAP_URL_ENCODER = "Mxuaubol8s8pCGWRPeqVR4sYbrI="
# Section 2, step 4 of the worked example.
STRING_TO_SIGN = (
    "callId%3D8f3c2b1a9d7e4c60%26callNo%3D13800000001%26callTime%3D20240305140708%26format%3DJSON%26recordType%3DCAL"
    "%26secretNo%3D17000000002%26signatureMethod%3DHMAC-SHA1%26signatureNonce%3D0f6e5b0c-6a1e-4f6b-9d0a-2b7c1f1e9a10"
    "%26signatureVersion%3D1.0%26timestamp%3D2024-03-05T06%253A07%253A08Z"
)


def a_source(**settings: Any) -> AliyunSource:
    row = {"name": "aliyun", "platform": "aliyun_pnp", "tokens": ["token"], "app_secret": KEY, **settings}
    return AliyunSource.model_validate(row)


def a_form(params: dict[str, str], signature: str | None, path: str = "") -> Notification:
    """The form as a client sends it: every value encoded once, the signature as it is given."""
    body = urlencode(params) + (f"&signature={signature}" if signature is not None else "")
    return a_push(body.encode(), path)


def a_push(body: bytes, path: str = "") -> Notification:
    return Notification(path=path, remote="192.0.2.1", content_type="application/x-www-form-urlencoded", body=body)


def openssl_hmac_sha1(message: str, key: str) -> str:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not here")
    ran = subprocess.run(
        [openssl, "dgst", "-sha1", "-hmac", key, "-binary"], input=message.encode(), capture_output=True, check=True
    )
    return base64.b64encode(ran.stdout).decode()


@pytest.mark.parametrize(("variant", "expected"), VECTORS.items())
@pytest.mark.parametrize("encode", [rfc3986, url_encoder])
def test_each_variant_gives_the_vector_of_the_worked_example(variant: str, expected: str, encode: Any) -> None:
    assert x_mode_signature(PARAMS, KEY, variant, encode=encode) == expected


@pytest.mark.parametrize(("variant", "prefix", "suffix"), [("A", "", ""), ("B", "", "&"), ("C", "POST&%2F&", "&")])
def test_openssl_agrees_with_the_worked_example(variant: str, prefix: str, suffix: str) -> None:
    assert openssl_hmac_sha1(prefix + STRING_TO_SIGN, KEY + suffix) == VECTORS[variant]


@pytest.mark.parametrize(("encode", "expected"), [(rfc3986, TRAP_RFC3986), (url_encoder, TRAP_URL_ENCODER)])
def test_the_two_encoders_differ_where_the_page_says(encode: Any, expected: str) -> None:
    assert x_mode_signature({**PARAMS, "callId": TRAP}, KEY, "A", encode=encode) == expected


@pytest.mark.parametrize(
    ("value", "rfc", "java"),
    [
        (" ", "%20", "+"),
        ("*", "%2A", "*"),
        ("~", "~", "%7E"),
        (":/+&=%", "%3A%2F%2B%26%3D%25", "%3A%2F%2B%26%3D%25"),
        ("aZ09-_.", "aZ09-_.", "aZ09-_."),
        ("号", "%E5%8F%B7", "%E5%8F%B7"),
    ],
)
def test_the_encoders_encode_as_their_names_promise(value: str, rfc: str, java: str) -> None:
    assert (rfc3986(value), url_encoder(value)) == (rfc, java)


def test_the_published_request_is_right() -> None:
    assert verify(a_push(SAMPLE), a_source(), NOW) is True


@pytest.mark.parametrize(("variant", "signature"), VECTORS.items())
def test_a_right_signature_passes_in_its_variant_only(variant: str, signature: str) -> None:
    push = a_form(PARAMS, quote(signature, safe=""))
    passed = [one for one in VECTORS if verify(push, a_source(key_variant=one), NOW)]
    assert passed == [variant]


@pytest.mark.parametrize("signature", [TRAP_RFC3986, TRAP_URL_ENCODER])
def test_both_encoders_are_accepted(signature: str) -> None:
    push = a_form({**PARAMS, "callId": TRAP}, quote(signature, safe=""))
    assert verify(push, a_source(), NOW) is True


@pytest.mark.parametrize(
    "wire",
    [
        "%2BSssMEU8ZPOK6rtjxA8oAzUYVaY%3D",  # encoded once
        "%252BSssMEU8ZPOK6rtjxA8oAzUYVaY%253D",  # encoded twice
        "+SssMEU8ZPOK6rtjxA8oAzUYVaY=",  # not at all: the form reads a space
        "%20SssMEU8ZPOK6rtjxA8oAzUYVaY%3D",  # a space all the way
        "%2520SssMEU8ZPOK6rtjxA8oAzUYVaY%253D",
    ],
)
@pytest.mark.parametrize("where", ["body", "query"])
def test_the_signature_may_arrive_encoded_once_or_twice_or_with_spaces(wire: str, where: str) -> None:
    """Section 2, double encoding on the wire."""
    push = a_form(PARAMS, wire) if where == "body" else a_push(b"", f"/x?{urlencode(PARAMS)}&signature={wire}")
    assert verify(push, a_source(key_variant="B"), NOW) is True


def test_parameters_of_query_and_form_are_merged() -> None:
    """Section 2: method and place were not found, so read both."""
    query = {name: PARAMS[name] for name in ("signatureMethod", "signatureNonce", "signatureVersion", "timestamp")}
    rest = {name: value for name, value in PARAMS.items() if name not in query}
    push = a_form(rest, quote(VECTORS["A"], safe=""), f"/control?{urlencode(query)}")
    assert verify(push, a_source(), NOW) is True
    assert nonce(push) == PARAMS["signatureNonce"]


def test_the_order_of_parameters_makes_no_difference() -> None:
    push = a_form(dict(reversed(PARAMS.items())), quote(VECTORS["A"], safe=""))
    assert verify(push, a_source(), NOW) is True


@pytest.mark.parametrize("name", sorted(set(PARAMS) - {"extension"}))
def test_no_signed_parameter_can_be_changed(name: str) -> None:
    push = a_form({**PARAMS, name: PARAMS[name] + "0"}, quote(VECTORS["A"], safe=""))
    assert verify(push, a_source(), NOW) is False


@pytest.mark.parametrize(
    "added", [{"extension": "12"}, {"vendorKey": "x"}, {"signatureMethod": ""}, {"callId": ""}], ids=str
)
def test_no_parameter_can_be_added_or_taken_away(added: dict[str, str]) -> None:
    push = a_form({**PARAMS, **added}, quote(VECTORS["A"], safe=""))
    assert verify(push, a_source(), NOW) is False


@pytest.mark.parametrize("signature", ["", "x", "R0Wus0MREqMZdApPiOqJqzor3T4", "%E5%8F%B7", VECTORS["B"].lower()])
def test_a_wrong_signature_is_wrong(signature: str) -> None:
    assert verify(a_form(PARAMS, signature), a_source(), NOW) is False


def test_a_question_without_a_signature_is_wrong_and_not_unsigned() -> None:
    """Section 2: the signature is one of the common parameters, so every question carries it."""
    assert verify(a_form(PARAMS, None), a_source(), NOW) is False


def test_another_key_makes_another_signature() -> None:
    assert verify(a_push(SAMPLE), a_source(app_secret="other"), NOW) is False


def test_nothing_can_be_said_without_a_key() -> None:
    assert verify(a_push(SAMPLE), a_source(app_secret=None), NOW) is None


@pytest.mark.parametrize(
    ("minutes", "right"), [(0, True), (15, True), (-15, True), (15.1, False), (-15.1, False), (8 * 60, False)]
)
def test_a_timestamp_is_believed_for_a_quarter_of_an_hour(minutes: float, right: bool) -> None:
    now = NOW + timedelta(minutes=minutes)
    assert verify(a_push(SAMPLE), a_source(), now) is right


def test_the_window_is_a_setting() -> None:
    now = NOW + timedelta(minutes=20)
    assert verify(a_push(SAMPLE), a_source(clock_skew="30m"), now) is True
    assert verify(a_push(SAMPLE), a_source(clock_skew="10s"), now) is False


@pytest.mark.parametrize("timestamp", ["", "2024-03-05 06:07:08", "2024-03-05T06:07:08+08:00", "1709618828", "x"])
def test_a_timestamp_in_another_form_is_wrong_even_if_signed(timestamp: str) -> None:
    params = {**PARAMS, "timestamp": timestamp}
    signature = x_mode_signature(params, KEY, "A", encode=rfc3986)
    assert verify(a_form(params, quote(signature, safe="")), a_source(), NOW) is False


def test_our_own_calls_are_signed_as_openssl_signs_them() -> None:
    """Section 2 of Aliyun's outbound RPC signing: METHOD&%2F& before the encoded string, key `secret&`."""
    params = {"Action": "Query", "CallTime": "2024-03-05 14:07:08", "PoolKey": "FC*~1"}
    message = "GET&%2F&Action%3DQuery%26CallTime%3D2024-03-05%252014%253A07%253A08%26PoolKey%3DFC%252A~1"
    assert rpc_signature(params, KEY, method="GET") == openssl_hmac_sha1(message, f"{KEY}&")
