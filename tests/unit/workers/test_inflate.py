"""What is made of a body whose header says that it is packed, rightly or not."""

from __future__ import annotations

import codecs
import gzip
import hashlib
from dataclasses import replace

import pytest

from schemas.dialect.items import other
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification
from tests.building.pushes import a_push
from workers.inflate import INFLATED_BYTES, read_inflated


def read(notification: Notification) -> list[Parsed | Malformed]:
    """A dialect that knows one body."""
    if notification.body != b"{}":
        raise Malformed("not_json")
    return [other({}, session_id=None, named=True)]


def pushed(body: bytes, coding: str) -> Notification:
    return replace(a_push(body), headers={"content-encoding": coding})


@pytest.mark.parametrize(
    "coding",
    ["", "identity", " Identity ", "none", "UTF-8", "utf-8", "utf8", "GBK", "gb2312", "ISO-8859-1", "8bit", "x-ours"],
)
def test_what_names_no_coding_or_one_that_nobody_knows_is_read_as_it_stands(coding: str) -> None:
    assert read_inflated(pushed(b"{}", coding), read) == read(a_push(b"{}"))


@pytest.mark.parametrize(
    "coding",
    ["UTF-8", "utf8", "us-ascii", "GBK", "gb2312", "GB18030", "ISO-8859-1", "latin1", "windows-1252", "utf-16le"],
)
def test_a_charset_is_no_coding(coding: str) -> None:
    with pytest.raises(Malformed, match="not_json"):
        read_inflated(pushed(b"{]", coding), read)


def test_no_name_is_looked_up_and_so_kept_for_ever() -> None:
    asked: list[str] = []

    def searched(name: str) -> None:
        asked.append(name)

    codecs.register(searched)
    try:
        for n in range(3):
            with pytest.raises(Malformed):
                read_inflated(pushed(b"{]", f"nobodys-{n}"), read)
    finally:
        codecs.unregister(searched)
    assert asked == []


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", " gzip"])
def test_gzip_is_unpacked(coding: str) -> None:
    assert read_inflated(pushed(gzip.compress(b"{}", mtime=0), coding), read) == read(a_push(b"{}"))


@pytest.mark.parametrize(
    ("body", "coding", "reason"),
    [
        (b"{]", "UTF-8", "not_json"),
        (b"{]", "identity", "not_json"),
        (b"{]", "br", "unknown_content_encoding"),
        (b"{]", "\u00e4", "unknown_content_encoding"),
        (gzip.compress(b"{}", mtime=0), "snappy", "unknown_content_encoding"),
        (b"{}", "gzip", "not_gzip"),
        (gzip.compress(b"{}", mtime=0)[:-9], "gzip", "not_gzip"),
        (gzip.compress(b"{}", mtime=0) + b"x", "gzip", "not_gzip"),
        (gzip.compress(b" " * 9_000_000, mtime=0), "gzip", "inflates_too_large"),
        (gzip.compress(hashlib.shake_128(b"any").digest(INFLATED_BYTES + 1), mtime=0), "gzip", "inflates_too_large"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, coding: str, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_inflated(pushed(body, coding), read)
    assert refused.value.reason == reason
