"""What one connection sends to a door, and what it hears: plays for tests/integration/test_both_doors.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.platforms.huawei.tokens import signed_headers
from tests.building.two_doors import NOW, TOKEN, a_push
from tests.integration.asking import a_callin
from tests.integration.test_questions_aliyun import QUESTION

SECRET: Final = "a-secret-of-an-app"
PLAIN: Final[Mapping[str, Any]] = {"name": "huawei-x", "platform": "huawei_privatenumber", "tokens": [TOKEN]}
ASKING: Final[Mapping[str, Any]] = {**PLAIN, "name": "asking", "control": True, "mode": "X"}
SIGNED: Final[Mapping[str, Any]] = {**PLAIN, "name": "signed", "app_secret": SECRET, "verify": "always"}
XML: Final[Mapping[str, Any]] = {"name": "jiuyun", "platform": "jiuyun_axb", "tokens": [TOKEN]}
JSON: Final[Mapping[str, Any]] = {"name": "aliyun", "platform": "aliyun_pnp", "tokens": [TOKEN], "verify": "never"}
ONCE: Final[Mapping[str, Any]] = {
    "name": "once", "platform": "aliyun_pnp", "tokens": [TOKEN], "app_secret": "demo-secret-not-real",
}  # fmt: skip
SOURCES: Final = (PLAIN, ASKING, SIGNED, ONCE, XML, JSON)
PATH: Final = f"/v1/huawei-x/{TOKEN}/fee"
PUSH: Final = a_push()
HEAD: Final = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode()
CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MEBIBYTE: Final = 1024 * 1024
EOF: Final = None


def signed(nonce: str, secret: str = SECRET) -> bytes:
    headers = signed_headers("aksk", username="key", secret=secret, nonce=nonce, created=NOW)
    return a_push(f"/v1/signed/{TOKEN}/fee", b"{}", *(f"{name}: {value}" for name, value in headers.items()))


ONCE_PUSH: Final = a_push(f"/v1/once/{TOKEN}", QUESTION)


@dataclass(frozen=True)
class Play:
    """What one connection sends, piece by piece, and the statuses that come back; `short` of them on the short way."""

    pieces: Sequence[bytes | None]
    expected: Sequence[int]
    short: int | None = 0  # None: the network decides


def play(*pieces: bytes | None, says: int | Sequence[int], short: int | None = 0) -> Play:
    return Play(pieces, [says] if isinstance(says, int) else says, short)


PLAYS: Final = {
    "a push": play(PUSH, says=200, short=1),
    "one after the other": play(*[PUSH] * 5, says=[200] * 5, short=5),
    "two in one breath": play(PUSH * 2, says=[200] * 2),
    "more than aiohttp queues": play(PUSH * 50, says=[200] * 50),
    "plain again after a breath of three": play(PUSH * 3, PUSH, says=[200] * 4, short=1),
    "one and a half": play(PUSH + PUSH[:-1], PUSH[-1:], says=[200] * 2),
    "refused between two": play(PUSH, a_push(method="GET"), PUSH, says=[200, 405, 200], short=2),
    "head and body apart": play(PUSH[:-2], PUSH[-2:], says=200),
    "byte by byte": play(*(PUSH[n : n + 1] for n in range(8)), PUSH[8:], says=200, short=1),
    "no body": play(a_push(body=b""), says=200, short=1),
    "no length": play(HEAD + b"\r\n", says=200, short=1),
    "just under what counts": play(a_push(body=b"x" * 4096), says=200, short=1),
    "just over it": play(a_push(body=b"x" * 4097), says=200, short=1),
    "large": play(a_push(body=b"x" * 60_000), PUSH, says=[200] * 2, short=None),
    "not UTF-8": play(a_push(body=b"\xff\xfe\x00"), says=200, short=1),
    "compressed": play(a_push(PATH, b"\x1f\x8b\x08", "Content-Encoding: gzip"), says=200, short=1),
    "over 1 MiB": play(a_push(body=b"x" * (MEBIBYTE + 1)), says=413),
    "says it is over 1 MiB": play(HEAD + b"Content-Length: 1048577\r\n\r\n", says=413),
    "chunks over 1 MiB": play(CHUNKED, (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 17, says=413),
    "chunks in one piece": play(CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", says=200, short=1),
    "chunks apart": play(CHUNKED, b"1\r\n{\r\n", b"1\r\n}\r\n0\r\n\r\n", PUSH, says=[200] * 2, short=1),
    "a trailer": play(CHUNKED + b"2\r\n{}\r\n0\r\nX-Any: y\r\n\r\n", says=200, short=1),
    "a bad chunk": play(CHUNKED + b"zz\r\n{}\r\n", says=400),
    "a bad chunk later": play(CHUNKED + b"1\r\n{\r\n", b"zz\r\n", says=[]),
    "expects 100": play(
        HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", b"{}", PUSH, says=[100, 200, 200], short=1
    ),
    "expects 100 and does not wait": play(a_push(PATH, b"{}", "Expect: 100-continue"), says=200, short=1),
    "HTTP/1.0": play(a_push(http="1.0"), says=200),
    "HTTP/1.0, kept": play(a_push(PATH, b"{}", "Connection: keep-alive", http="1.0"), PUSH, says=[200] * 2, short=1),
    "the last one": play(a_push(PATH, b"{}", "Connection: close"), says=200),
    "the last one, and one more": play(a_push(PATH, b"{}", "Connection: close") + PUSH, says=400),
    "HTTP/2.0": play(a_push(http="2.0"), says=[]),
    "a preface": play(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", says=400),
    "TLS": play(b"\x16\x03\x01\x02\x00\x01\x00", says=400),
    "GET": play(a_push(method="GET"), says=405),
    "an unknown method": play(a_push(method="FETCH"), says=400),
    "CONNECT": play(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", says=404),
    "a wrong path": play(a_push("/v2/x"), says=404),
    "a wrong token": play(a_push("/v1/huawei-x/other/fee"), PUSH, says=[404, 200], short=1),
    "an unknown source": play(a_push(f"/v1/nobody/{TOKEN}/fee"), says=404),
    "two slashes": play(a_push(f"//v1/huawei-x/{TOKEN}/fee"), says=200, short=1),
    "a query": play(a_push(f"{PATH}?s=a/b%2Fc&d=%E7"), says=200, short=1),
    "an empty query": play(a_push(f"{PATH}?"), says=200, short=1),
    "a fragment": play(a_push(f"{PATH}?a=1#x?y"), says=200, short=1),
    "a path that is no ASCII": play(a_push(f"{PATH}/电话"), says=400),
    "a path that is no UTF-8": play(PUSH.replace(b"fee", b"f\xffe"), says=400),
    "dots": play(a_push(f"{PATH}/../x"), says=200, short=1),
    "a whole URL": play(a_push(f"http://elsewhere{PATH}?a=1"), says=200),
    "no host": play(b"POST / HTTP/1.1\r\n\r\n", says=400),
    "two lengths": play(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", says=400),
    "a length and chunks": play(HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", says=400),
    "a header too long": play(a_push(PATH, b"{}", f"X-Any: {'x' * 9000}"), says=400),
    "just not too long": play(a_push(PATH, b"{}", f"X-Any: {'x' * 8000}"), says=200, short=1),
    "a path too long": play(a_push(PATH + "x" * 9000), says=400),
    "too many headers": play(a_push(PATH, b"{}", *["X: y"] * 130), says=400),
    "a zero byte": play(a_push(PATH, b"{}", "X-Any: a\0b"), says=400),
    "bad after good": play(PUSH, b"no HTTP at all\r\n\r\n", says=[200, 400], short=1),
    "good and bad in one breath": play(PUSH + b"no HTTP at all\r\n\r\n", says=400),
    "an upgrade": play(a_push(PATH, b"{}", "Connection: upgrade", "Upgrade: websocket"), PUSH, says=[200] * 2, short=1),
    "h2c": play(a_push(PATH, b"{}", "Connection: upgrade", "Upgrade: h2c"), PUSH, says=[200] * 2, short=1),
    "a header twice": play(a_push(PATH, b"{}", "Date: a", "date: b\xff", "Content-Type: \xe9"), says=200, short=1),
    "half closed after it": play(PUSH, EOF, says=200, short=1),
    "half closed before its end": play(PUSH[:-1], EOF, says=[]),
    "nothing": play(EOF, says=[]),
    "signed": play(signed("1"), says=200, short=1),
    "signed, again": play(signed("1"), signed("1"), signed("2"), says=[200] * 3, short=3),
    "used before": play(ONCE_PUSH, ONCE_PUSH, PUSH, says=[200, 401, 200], short=3),
    "signed wrongly": play(signed("1", "wrong"), signed("1"), says=[401, 200], short=2),
    "not signed": play(a_push(f"/v1/signed/{TOKEN}/fee"), PUSH * 2, says=[401, 200, 200], short=1),
    "JSON": play(a_push(f"/v1/aliyun/{TOKEN}"), says=200, short=1),
    "XML": play(a_push(f"/v1/jiuyun/{TOKEN}"), PUSH, says=[200] * 2, short=2),
    "a question": play(a_push(f"/v1/asking/{TOKEN}/status", a_callin()), PUSH, says=[200] * 2, short=1),
    "no question": play(a_push(f"/v1/asking/{TOKEN}/status"), PUSH, says=[200] * 2, short=1),
}  # fmt: skip
