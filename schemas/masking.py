"""Masking: phone numbers, tokens and recording links never reach a log, a table or a trace in clear.

Where data has fields, the field decides and not what a value looks like: what holds a number is masked, however it is
spelled. Ids are shown, but for the numbers that platforms put into them: those of the same data, and what is spelled
as one. Only text without fields (a log line of a library) is searched by what it looks like alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import orjson

# A field's name in lower case, without - and _: ours, and what the platforms call theirs.
_NUMBER_FIELD: Final = re.compile(
    r".*(num(ber)?s?|phone(no)?|mobile|msisdn|caller|callee|calling|called|sender|receiver|(secret|peer|send|receive|"
    r"display|called|call|origin)no|tel[abx]?)|from|to"
)
_SIGNATURE_FIELD: Final = re.compile(r"(proxy)?authorization|xaksk|xwsse")  # older versions stored them
_OURS: Final = re.compile(r".*(hash|sha256|fingerprint|signature|time[ab]?|timestamp|date|created)|at|trace")
_PLAIN_FIELD: Final = re.compile(
    r".*(id|key|icid|code|cause|rsn|type|kind|status|state|mode|stage|route|source|product|platform|reason|at|hour|"
    r"duration|seconds|bytes|revision|place|name|remote|changed|by)"
)
_NAMES: Final = 4096  # platforms have some hundred; what anybody makes up must not fill the memory
_HIDDEN: Final = "***"
_TEXT: Final = "text"  # of a raw notification: its whole body
_ENCODED: Final = "base64"

_DIGITS_OF_A_NUMBER: Final = 7  # a local number; what has fewer digits can be none
_BETWEEN: Final = r"[\s().-]*"  # what people put between the digits of one number
_LINK: Final = re.compile(r"(https?://[^/\s?\"']+)[^\s\"']*")
_SPELLED: Final = re.compile(  # as a number and as nothing else, wherever it stands: +..., 00..., a mobile, a landline
    r"(?:\+|(?<!\d)00)[1-9](?:[ ()-]{0,2}\d){6,14}"
    r"|(?<!\d)(?:86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)"
    r"|(?<!\d)0(?:10|2\d|[3-9]\d{2})[ -]?\d{7,8}(?!\d)"
)
_NUMBER: Final = re.compile(r"(?<![\w.:-])\d{10,15}(?![\w:-])")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGIT: Final = re.compile(r"\d")
_RUN: Final = re.compile(rf"\d(?:{_BETWEEN}\d)*")

_LONG: Final = 11  # digits from which on a number keeps its last four
_LONGEST: Final = 15  # of a number (E.164); more digits are more numbers than one
_MIDDLE: Final = 4  # digits hidden of a long one
_TAIL: Final = 2 * _MIDDLE  # digits by which a number is known again
_TAILS: Final = range(_TAIL, _DIGITS_OF_A_NUMBER - 1, -1)
_SHORT_ENDS: Final = 2  # digits kept at both ends of a shorter one


def mask_number(number: str) -> str:
    """A number with four digits hidden, as Huawei prints it: +86138****0021; enough stays to tell it from others.

    Of a shorter one two digits stay at each end at most, and never more than half; of what is longer than any number
    only the last four stay. Separators stay where they are.
    """
    return _RUN.sub(lambda run: _mask_run(run[0]), number)


def _mask_run(run: str) -> str:
    digits = len(_DIGIT.findall(run))
    if digits > _LONGEST:
        hidden = range(digits - _MIDDLE)
    elif digits >= _LONG:
        hidden = range(digits - 2 * _MIDDLE, digits - _MIDDLE)
    else:
        ends = min(_SHORT_ENDS, digits // 4)
        hidden = range(ends, digits - ends)
    position = iter(range(digits))
    return _DIGIT.sub(lambda match: "*" if next(position) in hidden else match[0], run)


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
    return _NUMBER.sub(lambda match: mask_number(match[0]), masked_id(without_links(text)))


def masked_id(text: str, numbers: frozenset[str] = frozenset()) -> str:
    """An id with the numbers in it masked: those of `numbers` (see `numbers_in`), and what is spelled as one.

    Our own ids are drawn or hashed, so no digits of theirs are a number.
    """
    if _UUID.fullmatch(text):
        return text
    text = _SPELLED.sub(lambda match: mask_number(match[0]), text)
    return _RUN.sub(lambda run: _without_tails(run[0], numbers), text) if numbers else text


def _without_tails(run: str, numbers: frozenset[str]) -> str:
    """A run of digits whose tails of numbers are masked: read once, however many numbers there are."""
    shown = list(run)
    places = [place for place, character in enumerate(run) if character.isdecimal()]
    digits = "".join(run[place] for place in places)
    start = 0
    while start < len(digits):
        found = any(digits[start : start + size] in numbers for size in _TAILS)
        for place in places[start : start + _MIDDLE] if found else ():
            shown[place] = "*"
        start += _MIDDLE if found else 1  # another may begin in what is left of this one
    return "".join(shown)


def numbers_in(value: Any) -> frozenset[str]:
    """The ends of all numbers that stand in fields for them: however the same number is spelled, it ends alike."""
    return frozenset(_tails(value, ""))


def masked_json(value: Any, numbers: frozenset[str] = frozenset()) -> Any:
    """A JSON value of ours or of a platform, masked by the names of its fields.

    Numbers are masked, in ids too; what times or counts something stays, and any other text is hidden where it may hold
    a number. The body of a raw notification is masked as the JSON that it is, or else hidden like any text. `numbers`
    are known from elsewhere (see `numbers_in`).
    """
    return _masked(value, "", numbers | numbers_in(value))


def without_signatures(value: Any) -> Any:
    """A JSON value with nothing but the signatures of pushes hidden: one opens the door until its secret changes."""
    if isinstance(value, dict):
        return {
            name: _HIDDEN if _SIGNATURE_FIELD.fullmatch(plain_name(name)) else without_signatures(item)
            for name, item in value.items()
        }
    return [without_signatures(item) for item in value] if isinstance(value, list) else value


def _tails(value: Any, field: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _tails(item, plain_name(name))
    elif isinstance(value, list):
        for item in value:
            yield from _tails(item, field)
    elif field == _TEXT and isinstance(value, str) and (inner := _json_within(value)) is not None:
        yield from _tails(inner, "")
    elif _NUMBER_FIELD.fullmatch(field) and not isinstance(value, bool):
        for run in _RUN.findall(str(value)):
            digits = "".join(_DIGIT.findall(run))
            if len(digits) >= _DIGITS_OF_A_NUMBER:
                yield digits[-_TAIL:]


def _masked(value: Any, field: str, numbers: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {masked_id(name, numbers): _masked(item, plain_name(name), numbers) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, field, numbers) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    shown = _masked_field(field, str(value), numbers)
    return value if shown == str(value) else shown


@lru_cache(_NAMES)
def plain_name(name: str) -> str:
    """A field's name in lower case, without - and _."""
    return re.sub("[-_]", "", name).lower()


@lru_cache(_NAMES)
def holds_number(name: str) -> bool:
    """Whether a field of that name, ours or a platform's, is one for numbers."""
    return _NUMBER_FIELD.fullmatch(plain_name(name)) is not None


def _masked_field(field: str, text: str, numbers: frozenset[str]) -> str:
    if _SIGNATURE_FIELD.fullmatch(field):
        return _HIDDEN
    if _NUMBER_FIELD.fullmatch(field):
        return mask_number(text) if _DIGIT.search(text) else hidden(text)
    if _OURS.fullmatch(field):
        return text
    if _PLAIN_FIELD.fullmatch(field):
        return masked_id(without_links(text), numbers)
    if field == _ENCODED:
        return f"*** ({len(text)} characters)"
    if field == _TEXT and (inner := _json_within(text)) is not None:
        return orjson.dumps(_masked(inner, "", numbers | numbers_in(inner))).decode()
    return hidden(text)


def _json_within(text: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, (dict, list)) else None
