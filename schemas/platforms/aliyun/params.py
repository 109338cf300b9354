"""The parameters of an X mode question: docs/protocols/aliyun-pnp.md sections 2 and 3.

Whether they travel in the query string or in a form body was not found, so both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from schemas.dialect.json_body import BOM
from schemas.notification import Notification
from schemas.question import QUESTION_BYTES

MAX_PARAMS: Final = 64  # twelve are documented

_MEMO: Final = "control_params"
_JSON_BEGINS: Final = (b"{", b"[", BOM)
_ONLY_IN_QUESTIONS: Final = frozenset({"callNo", "callId", "recordType"})


def control_params(notification: Notification) -> Mapping[str, str] | None:
    """The decoded parameters of a question, as sent; None for anything else, and for what cannot be read.

    A name that stands in both query and body counts as in the body. Read once for all who ask about one push.
    """
    memo = notification.memo
    if _MEMO not in memo:
        memo[_MEMO] = _read(notification)
    params: Mapping[str, str] | None = memo[_MEMO]
    return params


def _read(notification: Notification) -> Mapping[str, str] | None:
    if len(notification.body) + len(notification.path) > QUESTION_BYTES:
        return None
    body = notification.body.strip(b" \t\r\n")
    if body.startswith(_JSON_BEGINS):
        return None
    query = notification.path.partition("?")[2]
    try:
        pairs = [pair for part in (query, body.decode("ascii")) for pair in _pairs(part)]
    except ValueError:
        return None
    params = dict(pairs)
    return params if _ONLY_IN_QUESTIONS & params.keys() else None


def _pairs(form: str) -> list[tuple[str, str]]:
    """Raises ValueError: bytes that are no UTF-8, too many parameters, or not ASCII as it has to be on the wire."""
    form.encode("ascii")
    return parse_qsl(form, errors="strict", max_num_fields=MAX_PARAMS)
