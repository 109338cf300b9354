"""The parameters of an X mode question: docs/protocols/aliyun-pnp.md sections 2 and 3.

Whether they travel in the query string or in a form body was not found, so both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from schemas.dialect.json_body import BOM
from schemas.dialect.mending import ANYWHERE, NONE, Repairs, decoded
from schemas.notification import Notification
from schemas.question import QUESTION_BYTES
from schemas.vocabulary import Repair

MAX_PARAMS: Final = 64  # twelve are documented

_MEMO: Final = "control_params"
_JSON_BEGINS: Final = (b"{", b"[", BOM)
_EXACT: Final = "surrogateescape"  # what is no UTF-8 can be written back as it came
_ONLY_IN_QUESTIONS: Final = frozenset({"callNo", "callId", "recordType"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The parameters of a question: `sent` exactly, for the signature, and as they are read."""

    sent: Mapping[str, str]
    params: Mapping[str, str]
    repairs: Repairs


def control_params(notification: Notification) -> Mapping[str, str] | None:
    """The readable parameters of a question; None for anything else."""
    form = control_form(notification)
    return None if form is None else form.params


def control_form(notification: Notification) -> Form | None:
    """The decoded parameters of a question; None for anything else. Text that cannot be read is no reason to be none.

    A name that stands in both query and body counts as in the body. Read once for all who ask about one push.
    """
    memo = notification.memo
    if _MEMO not in memo:
        memo[_MEMO] = _read(notification)
    form: Form | None = memo[_MEMO]
    return form


def _read(notification: Notification) -> Form | None:
    if len(notification.body) + len(notification.path) > QUESTION_BYTES:
        return None
    body = notification.body.strip(b" \t\r\n")
    if body.startswith(_JSON_BEGINS):
        return None
    query = notification.path.partition("?")[2]
    try:
        pairs = [pair for part in (query, body.decode(errors=_EXACT)) for pair in _pairs(part)]
    except ValueError:
        return None
    sent = dict(pairs)
    return _readable(sent) if _ONLY_IN_QUESTIONS & sent.keys() else None


def _pairs(form: str) -> list[tuple[str, str]]:
    """Raises ValueError: too many parameters."""
    return parse_qsl(form, errors=_EXACT, max_num_fields=MAX_PARAMS)


def _readable(sent: Mapping[str, str]) -> Form:
    """With no byte that is no text, and no NUL, which PostgreSQL refuses."""
    repairs: dict[Repair, bytes] = {}
    params: dict[str, str] = {}
    for pair in sent.items():
        name, value = (_text(one, repairs) for one in pair)
        params[name] = value
    return Form(sent=sent, params=params, repairs=repairs)


def _text(sent: str, repairs: dict[Repair, bytes]) -> str:
    read, found = (sent, NONE) if sent.isascii() else decoded(sent.encode(errors=_EXACT))
    repairs |= found
    if "\0" in read:
        repairs["character"] = ANYWHERE
    return read.replace("\0", "")
