"""Masking: phone numbers, tokens and recording links never reach a log, a table or a trace in clear."""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(r"(?<![\w.:-])(\+?\d{7,15})(?![\w:-])")
_MOBILE: Final = re.compile(r"(?<!\d)(?:\+?86-?)?1[3-9]\d-?\d{4}-?\d{4}(?!\d)")  # wherever it stands
_LINK: Final = re.compile(r"(https?://[^/\s?]+)[^\s\"']*")
_STARS: Final = re.compile(r"\*+")
_COUNTRY: Final = 3
_KEPT_TAIL: Final = 2


def mask_number(number: str) -> str:
    """Country code and the last two digits stay: +86*********21."""
    head = number[:_COUNTRY] if number.startswith("+") else ""
    hidden = len(number) - len(head) - _KEPT_TAIL
    return f"{head}{'*' * max(hidden, 0)}{number[-_KEPT_TAIL:]}"


def mask_shortly(number: str) -> str:
    """The same in fewer columns, for tables: +86..21."""
    return _STARS.sub("..", mask_number(number))


def masked(text: str) -> str:
    """Free text with every phone number masked and every link cut after its host."""
    text = _LINK.sub(r"\1/...", text)
    text = _MOBILE.sub(lambda match: mask_number(match[0]), text)
    return _NUMBER.sub(lambda match: mask_number(match[1]), text)
