"""Masking: phone numbers, tokens and recording links never reach a log, a table or a trace in clear.

Where data has fields, the field decides and not what a value looks like: a session id of digits stays readable, and a
number in whatever spelling is masked. Only text without fields (a log line of a library) is searched.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

# A field's name in lower case, without - and _: ours, and what the platforms call theirs.
_NUMBER_FIELD: Final = re.compile(
    r".*(num(ber)?s?|phone(no)?|mobile|msisdn|caller|callee|calling|called|sender|receiver|(secret|peer|send|receive|"
    r"display|called|call)no|tel[abx]?)|from|to"
)
_PLAIN_FIELD: Final = re.compile(
    r".*(id|key|hash|sha256|fingerprint|signature|icid|code|cause|rsn|type|kind|status|state|mode|stage|route|source|"
    r"product|platform|reason|time[ab]?|timestamp|at|hour|date|created|duration|seconds|bytes|revision|place|name|"
    r"remote|trace|changed|by)"
)
_TEXT: Final = "text"  # of a raw notification: its whole body
_ENCODED: Final = "base64"

_DIGITS_OF_A_NUMBER: Final = 7  # a local number; what has fewer digits can be none
_LINK: Final = re.compile(r"(https?://[^/\s?\"']+)[^\s\"']*")
_MOBILE: Final = re.compile(r"(?<!\d)(?:\+?86-?)?1[3-9]\d-?\d{4}-?\d{4}(?!\d)")  # wherever it stands
_NUMBER: Final = re.compile(r"(?<![\w.:-])(\+\d{7,15}|\d{10,15})(?![\w:-])")
_DIGIT: Final = re.compile(r"\d")

_LONG: Final = 11  # digits from which on a number keeps its last four
_MIDDLE: Final = 4  # digits hidden of a long one
_SHORT_ENDS: Final = 2  # digits kept at both ends of a shorter one


def mask_number(number: str) -> str:
    """A number with four digits hidden, as Huawei prints it: +86138****0021; enough stays to tell it from others.

    Of a shorter one two digits stay at each end at most, and never more than half. Separators stay where they are.
    """
    digits = len(_DIGIT.findall(number))
    if digits >= _LONG:
        hidden = range(digits - 2 * _MIDDLE, digits - _MIDDLE)
    else:
        ends = min(_SHORT_ENDS, digits // 4)
        hidden = range(ends, digits - ends)
    position = iter(range(digits))
    return _DIGIT.sub(lambda match: "*" if next(position) in hidden else match[0], number)


def hidden(text: str) -> str:
    """Foreign text as it is, or nothing of it: where its digits could make up a number, in whatever spelling."""
    if len(_DIGIT.findall(text)) < _DIGITS_OF_A_NUMBER:
        return without_links(text)
    return f"*** ({len(text)} characters)"


def without_links(text: str) -> str:
    """Each link cut after its host: the rest of it opens a recording."""
    return _LINK.sub(r"\1/...", text)


def masked(text: str) -> str:
    """Text without fields, for logs: what looks like a number is masked, and each link is cut after its host."""
    text = _MOBILE.sub(lambda match: mask_number(match[0]), without_links(text))
    return _NUMBER.sub(lambda match: mask_number(match[1]), text)


def masked_json(value: Any, name: str = "") -> Any:
    """A JSON value of ours or of a platform, masked by the names of its fields.

    Numbers are masked, what names or times something stays, and any other text is hidden where it may hold a number.
    The body of a raw notification is masked as the JSON that it is, or else hidden like any text.
    """
    if isinstance(value, dict):
        return {key: masked_json(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [masked_json(item, name) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return value
    shown = _masked_field(re.sub("[-_]", "", name).lower(), str(value))
    return value if shown == str(value) else shown


def _masked_field(field: str, text: str) -> str:
    if _NUMBER_FIELD.fullmatch(field):
        return mask_number(text) if _DIGIT.search(text) else hidden(text)
    if _PLAIN_FIELD.fullmatch(field):
        return without_links(text)
    if field == _ENCODED:
        return f"*** ({len(text)} characters)"
    if field == _TEXT and (inner := _json_within(text)) is not None:
        return orjson.dumps(masked_json(inner)).decode()
    return hidden(text)


def _json_within(text: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, (dict, list)) else None
