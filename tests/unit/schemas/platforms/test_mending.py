"""One bad character never costs a push, of whatever platform; the items that held it say so, and no others."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from schemas.errors import Malformed
from schemas.facts import Cdr, Parsed
from schemas.platforms import DIALECTS
from tests.building.pushes import JSON, XML, a_push
from tests.unit.schemas.platforms.test_siblings import ANSWERED, EACH, SIBLINGS

MARK: Final = "@@@"
USER_DATA: Final = {"aliyun_pnp": "out_id"}
LISTS: Final = pytest.mark.parametrize("platform", ["huawei_privatenumber", "huawei_voicecall", "aliyun_pnp"])


def a_body(platform: str, bad: bytes, *, rest: str = "") -> bytes:
    """A push in JSON whose user data is `bad`, as those bytes."""
    sibling = SIBLINGS[platform]
    row = sibling.cdr(sibling.local(ANSWERED), **{USER_DATA.get(platform, "userData"): MARK, "more": rest})
    return json.dumps(sibling.push(row), ensure_ascii=False).encode().replace(MARK.encode(), bad)


def read(platform: str, body: bytes, content_type: str = JSON) -> list[Parsed | Malformed]:
    dialect = DIALECTS[platform]
    source = dialect.settings.model_validate({"name": "a-source", "platform": platform, "tokens": ["token"]})
    return list(dialect.parse(a_push(body, content_type=content_type), source))


def the_cdr(platform: str, body: bytes, content_type: str = JSON) -> tuple[Cdr, tuple[str, ...]]:
    (item,) = read(platform, body, content_type)
    assert isinstance(item, Parsed)
    assert isinstance(item.body, Cdr)
    assert "\0" not in str(item.body)  # what PostgreSQL refuses
    return item.body, item.repaired


@EACH
@pytest.mark.parametrize(
    ("sent", "told", "repaired"),
    [
        (rb"cut \ud83d", "cut \ufffd", ("character",)),
        (rb"\ude00 cut", "\ufffd cut", ("character",)),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600", ("character",)),
        (rb"\\\ud83d", "\\\ufffd", ("character",)),
        (rb"a\u0000b\u0000", "ab", ("character",)),
        (rb"a\u0000\ud83d", "a\ufffd", ("character",)),
        (b"a\x00b", "ab", ("character",)),
        (b"a\x01\x1fb", "a\ufffd\ufffdb", ("character",)),
        (b"a\r\n\tb\\\\\nc", "a\r\n\tb\\\nc", ("character",)),
        (b"a\n\x00\x01", "a\n\ufffd", ("character",)),
        ("\ufffd\u5e97\ufffd".encode() + b"\xe4", "\ufffd\u5e97\ufffd\ufffd", ("encoding",)),
        ("\ufffd\ufffd".encode() + b"\xe4\xb8\xad\xd6", "\ufffd\ufffd\u4e2d\ufffd", ("encoding",)),
        (b"\xf0\x9f\x98", "\ufffd", ("encoding",)),
        ("\u4e91\u547c".encode() + b"\xe4\xb8", "\u4e91\u547c\ufffd", ("encoding",)),
        (b"\xff" + rb"\ud83d", "\ufffd\ufffd", ("character", "encoding")),
        ("\u5e97\u94fa A".encode("gbk"), "\u5e97\u94fa A", ("encoding",)),
    ],
)
def test_a_bad_character_is_replaced_and_told(platform: str, sent: bytes, told: str, repaired: tuple[str, ...]) -> None:
    cdr, mended = the_cdr(platform, a_body(platform, sent))
    assert (cdr.call.user_data, mended, cdr.call.answered_at) == (told, repaired, ANSWERED)


@EACH
@pytest.mark.parametrize(
    "sent", [rb"\\ud83d", rb"\\u0000", rb"\ud83d\ude00", rb"a\n\tb", "\U0001f600\ufffd".encode(), b"\x7f"]
)
def test_what_is_well_is_left_alone(platform: str, sent: bytes) -> None:
    cdr, mended = the_cdr(platform, a_body(platform, sent))
    assert (cdr.call.user_data, mended) == (json.loads(b'"%b"' % sent), ())


@EACH
@pytest.mark.parametrize("noise", [b"\x00", b"\x00\x00\r\n", b"\x0b\x0c"])
def test_control_characters_around_a_body_say_nothing(platform: str, noise: bytes) -> None:
    body = a_body(platform, b"x")
    assert [str(item) for item in read(platform, body + noise)] == [str(item) for item in read(platform, body)]


@EACH
@pytest.mark.parametrize("name", ["GBK", "gb2312", "GB18030"])
def test_a_charset_that_the_header_names_is_read(platform: str, name: str) -> None:
    sent = "\u5e97".encode("gbk")
    cdr, mended = the_cdr(platform, a_body(platform, sent), f"application/json; charset={name}")
    assert (cdr.call.user_data, mended) == ("\u5e97", ("encoding",))
    cdr, mended = the_cdr(platform, a_body(platform, "\u5e97".encode()), f"application/json; charset={name}")
    assert (cdr.call.user_data, mended) == ("\u5e97", ())


@LISTS
def test_only_the_item_that_held_it_says_so(platform: str) -> None:
    """The case: one cut letter must not cost up to 50 CDRs."""
    sibling = SIBLINGS[platform]
    rows = [sibling.cdr(sibling.local(ANSWERED), more=more) for more in ("whole", MARK, "whole too")]
    push: Any = sibling.push(rows[0])
    push = rows if isinstance(push, list) else {**push, "feeLst": rows}
    sent = json.dumps(push).encode().replace(MARK.encode(), rb"red table \ud83d")
    items = read(platform, sent)
    assert [item.repaired for item in items if isinstance(item, Parsed)] == [(), ("character",), ()]


@EACH
@pytest.mark.parametrize(
    "body", [b"{\x00", b'{"a": "\xff', b"\x00", b'{"a":"\\ud83d}', b'\xff{"a":1}', b'{"a":"b\\\n"}', b"[" * 20_001]
)
def test_what_is_no_json_is_still_refused(platform: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        read(platform, body)


def xml(user_data: bytes, prolog: bytes = b"<?xml version='1.0'?>") -> bytes:
    return prolog + (
        b"<req><action>Hangup</action><type>10</type><appId>app</appId><callId>s1</callId><duration>0</duration>"
        b"<byeType>0</byeType><userData>" + user_data + b"</userData></req>"
    )


@pytest.mark.parametrize(
    ("sent", "told", "repaired"),
    [
        (b"shop A&nbsp;B", "shop A&nbsp;B", ("entity",)),
        (b"&nbsp;&amp;&copy;", "&nbsp;&&copy;", ("entity",)),
        (b"R&D &nbsp;", "R&D &nbsp;", ("ampersand", "entity")),
        (b"R&D", "R&D", ("ampersand",)),
        (b"a<b", "a<b", ("ampersand",)),
        (b"a<b &nbsp;", "a<b &nbsp;", ("ampersand", "entity")),
        (b"&xxe; & <", "&xxe; & <", ("ampersand", "entity")),
        (b"a\x01b", "a\ufffdb", ("character",)),
        (b"a\x00b", "ab", ("character",)),
        (b"a&#0;b&#x0;", "ab", ("character",)),
        (b"&#0;&#xD83D;&#65;", "\ufffdA", ("character",)),
        (b"&#1114112;", "\ufffd", ("character",)),
        (b"\xf0\x9f\x98", "\ufffd", ("encoding",)),
        ("\u5e97\u94fa".encode("gbk"), "\u5e97\u94fa", ("encoding",)),
        ("\u5e97\u94fa".encode("gbk") + b"&nbsp;", "\u5e97\u94fa&nbsp;", ("encoding", "entity")),
        (b"a &amp; b", "a & b", ()),
    ],
)
def test_xml_that_its_sender_joined_is_read_as_it_stood(sent: bytes, told: str, repaired: tuple[str, ...]) -> None:
    cdr, mended = the_cdr("jiuyun_axb", xml(sent), XML)
    assert (cdr.call.user_data, mended) == (told, repaired)


@pytest.mark.parametrize("name", [b"GBK", b"gb2312", b"GB18030"])
def test_a_charset_that_the_xml_declares_is_read(name: bytes) -> None:
    prolog = b'<?xml version="1.0" encoding="%b"?>' % name
    cdr, mended = the_cdr("jiuyun_axb", xml("\u5e97".encode("gbk"), prolog), XML)
    assert (cdr.call.user_data, mended) == ("\u5e97", ("encoding",))
    cdr, mended = the_cdr("jiuyun_axb", xml("\u5e97".encode(), prolog), XML)
    assert (cdr.call.user_data, mended) == ("\u5e97", ())


def test_a_body_whose_end_the_platforms_queue_cut_says_so() -> None:
    (event,) = read("jiuyun_axb", b"<req><action>CallEstablish</action><callId>s1</callId><userData>ab", XML)
    assert isinstance(event, Parsed)
    assert event.repaired == ("cut",)
