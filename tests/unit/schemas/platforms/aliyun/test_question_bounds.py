"""What a question of X mode may cost before its signature is judged: it is read once, and only while it is small."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from schemas.notification import Notification
from schemas.platforms.aliyun import DIALECT
from schemas.platforms.aliyun.answers import answer
from schemas.platforms.aliyun.control import nonce, question
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.question import QUESTION_BYTES, Decision

AT = datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)
BUSINESS = {"callNo": "13800000001", "secretNo": "17000000002", "recordType": "CAL", "callId": "8f3c2b1a9d7e4c60"}


def a_source(**settings: Any) -> AliyunSource:
    return AliyunSource.model_validate({"name": "aliyun", "platform": "aliyun_pnp", "tokens": ["token"], **settings})


def asking(**more: str) -> Notification:
    body = urlencode({**BUSINESS, **more}).encode()
    return Notification(path="", remote="", content_type="application/x-www-form-urlencoded", body=body)


class Read(bytes):
    """A body that counts how often it was begun to be read."""

    times = 0

    def strip(self, chars: Any = None, /) -> bytes:
        Read.times += 1
        return super().strip(chars)


def test_a_question_is_read_once_by_all_who_ask_about_it() -> None:
    """Each of five parsed the form anew: 1 MiB of `%` cost a second before its signature was judged."""
    push = replace(asking(signatureNonce="n"), body=Read(asking(signatureNonce="n").body))
    source = a_source(app_secret="any-secret")
    Read.times = 0
    assert DIALECT.verify is not None
    assert DIALECT.verify(push, source, AT) is False
    assert nonce(push) == "n"
    assert question(push, source) is not None
    assert answer(push, Decision(action="connect", callee="+8613800000001"), source) != DIALECT.reply(push)
    assert Read.times == 1
    assert question(replace(push, body=b"{}"), source) is None, "another push is read by itself"


def test_what_is_larger_than_any_question_is_none() -> None:
    push = asking(userData="x" * QUESTION_BYTES)
    assert question(push, a_source()) is None
    assert DIALECT.verify is not None
    assert DIALECT.verify(push, a_source(app_secret="any-secret"), AT) is None
