"""Pushes that nobody would send: the platforms' own, bent in their structure, with the values that break programs."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from hypothesis import strategies as st

from schemas.dialect.dialect import AnyDialect
from schemas.notification import Notification
from tests.building.damage import places, unnamed
from tests.building.pushes import JSON, XML
from tests.contracts.platforms import pushes
from tests.fuzz.seeds import json_of, seeds

NUMBERS: Final = ("13866887021", "+8613866887021", "008613866887021", "138 6688 7021", "0755-28789000", 13866887021)
RUNS: Final = (100, 4_000, 60_000)  # of one character or one item: what is quadratic shows from here
NESTING: Final = (2, 31, 33, 300)
MOST_BENDS: Final = 4
MOST_BYTES: Final = 1024 * 1024  # the door takes no more
_CHARACTERS: Final = " a0=%&,\"\\<>[]{}:;'+\n\0\x1b\x9b\ud800\u202e\ufeff\U0001f600"
_TEXTS: Final = (
    "", "null", "NaN", "\0", "a\0b", "\ud800", "\udc00x", "\x1b]0;x\x07", "\x9b31m", "\u202e", "\ufeff", "\r\n", "电话",
    "2019-01-24 02:30:03", "2019-01-24T02:30:03Z", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "1e400", "../../x",
    "https://user:pw@host.example.com/audio?Signature=abc", "' OR 1=1 --", "%00", "&#0;", "&lt;", "<![CDATA[",
    "x" * 300,
)  # fmt: skip
_PLAIN: Final[Sequence[Any]] = (None, True, 0, -1, 2**63, -(2**80), 1e308, 0.1, [], {}, [[]], [{}])
_PATHS: Final = ("", "/SecretReport", "/status", "/fee", "/x" * 200, "/x?" + "a=%" * 2_000)
_TYPES: Final = (JSON, XML, "application/x-www-form-urlencoded", "text/plain;charset=gbk", "")
_NAMES: Final = ("authorization", "x-aksk", "x-wsse", "date")
_HEADERS: Final = (
    'A realm="SDP", Username="k", PasswordDigest="d", Nonce="n", Created="2019-01-24T02:30:03Z"',
    "UsernameToken " + "a" * 8_000,
    "=" * 8_000,
    'Nonce="' * 1_000,
    "\xff\xfe",
    "",
)


@cache
def hostile(dialect: AnyDialect) -> st.SearchStrategy[Notification]:
    """What may come to the door of a source of this platform."""
    return unnamed(pushes(dialect) | _bent(dialect).flatmap(_wrapped))


@st.composite
def _bent(draw: st.DrawFn, dialect: AnyDialect) -> Notification:
    """A push as it was seen, with its body bent, and now and then come by another way."""
    push = draw(st.sampled_from(seeds(dialect)))
    body = json_of(push)
    push = _with_body(push, _bent_text(draw, push.body) if body is None else _bent_json(draw, body))
    if draw(st.integers(0, 3)):
        return push
    return Notification(
        path=draw(st.sampled_from(_PATHS)),
        remote=push.remote,
        content_type=draw(st.sampled_from(_TYPES)),
        headers=draw(st.dictionaries(st.sampled_from(_NAMES), st.sampled_from(_HEADERS), max_size=2)),
        body=push.body,
    )


def _wrapped(push: Notification) -> st.SearchStrategy[Notification]:
    """Its body as it is, or in one of the coats that a body comes in."""
    return st.sampled_from(_COATS).map(lambda coat: coat(push))


def _with_body(push: Notification, body: bytes, **headers: str) -> Notification:
    return Notification(
        path=push.path,
        remote=push.remote,
        content_type=push.content_type,
        headers={**push.headers, **{name.replace("_", "-"): text for name, text in headers.items()}},
        body=body,
    )


_COATS: Final[Sequence[Callable[[Notification], Notification]]] = (
    lambda push: push,
    lambda push: push,
    lambda push: push,
    lambda push: _with_body(push, b"\xef\xbb\xbf" + push.body),
    lambda push: _with_body(push, push.body + b"\0\0"),
    lambda push: _with_body(push, push.body[: len(push.body) // 2]),
    lambda push: _with_body(push, push.body.decode(errors="replace").encode("utf-16")),
    lambda push: _with_body(push, push.body.decode(errors="replace").encode("gbk", errors="replace")),
    lambda push: _with_body(push, gzip.compress(push.body, mtime=0), content_encoding="gzip"),
    lambda push: _with_body(push, push.body, content_encoding="gzip"),
    lambda push: _with_body(push, push.body, content_encoding="utf-8"),
)


def _bent_json(draw: st.DrawFn, seed: Any) -> bytes:
    body = copy.deepcopy(seed)
    for _ in range(draw(st.integers(1, MOST_BENDS))):
        if found := places(body):
            _bend(draw, *draw(st.sampled_from(found)))
    return json.dumps(body).encode()[:MOST_BYTES]  # a lone surrogate as an escape, as JavaScript does


def _bend(draw: st.DrawFn, rows: Any, key: Any) -> None:
    value = rows[key]
    match draw(st.sampled_from(["value", "value", "text", "run", "shape", "repeat", "nest", "name", "drop"])):
        case "value":
            rows[key] = copy.deepcopy(draw(st.sampled_from([*_PLAIN, *NUMBERS])))
        case "text":
            rows[key] = draw(st.sampled_from(_TEXTS))
        case "run":
            rows[key] = draw(st.sampled_from(_CHARACTERS)) * draw(st.sampled_from(RUNS))
        case "shape":
            rows[key] = value[0] if isinstance(value, list) and value else [value]
        case "repeat":
            times = draw(st.sampled_from([2, 3, 50, 400]))
            rows[key] = value * times if isinstance(value, list) else [value] * times
        case "nest":
            for _ in range(draw(st.sampled_from(NESTING))):
                value = [value]
            rows[key] = value
        case "name" if isinstance(rows, dict):
            rows[draw(st.sampled_from([*_TEXTS, key.upper(), "k" * 4_000]))] = value
        case _:
            del rows[key]


def _bent_text(draw: st.DrawFn, seed: bytes) -> bytes:
    """A form or a document in which pieces are repeated, gone, or something else."""
    text = seed.decode(errors="replace")
    for _ in range(draw(st.integers(1, MOST_BENDS))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 80)))
        piece = draw(
            st.sampled_from([*_TEXTS, *map(str, NUMBERS)])
            | st.just(text[start:end] * draw(st.sampled_from([0, 2, 100])))
            | st.just(draw(st.sampled_from(_CHARACTERS)) * draw(st.sampled_from(RUNS)))
        )
        text = text[:start] + piece + text[end:]
    return text.encode(errors="surrogatepass")[:MOST_BYTES]
