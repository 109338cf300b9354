"""Phone numbers in E.164, by the rule of docs/contract.md section 1, and whether two spellings are one number."""

from __future__ import annotations

import re
from typing import Final

_MOBILE: Final = re.compile(r"1[0-9]{10}")
_NATIONAL: Final = re.compile(r"0[1-9][0-9]{8,10}")
_NATIONAL_IN_KEYS: Final = re.compile(r"0[0-9]{9,11}")
_INTERNATIONAL: Final = re.compile(r"00([1-9][0-9]{6,14})")  # 00 and what E.164 allows
_MAINLAND: Final = re.compile(r"(?:\+|00)?86(?:0?([1-9][0-9]{8,10}))")
_BETWEEN: Final = re.compile(r"[\s().-]+")  # what people put between figures


def e164(number: str) -> str:
    """A mainland number in national form gets +86, without the 0 of an area code; 00 is +; any other stays as sent."""
    if not number.startswith(("0", "1")):
        return number
    if _MOBILE.fullmatch(number):
        return f"+86{number}"
    if _NATIONAL.fullmatch(number):
        return f"+86{number[1:]}"
    if abroad := _INTERNATIONAL.fullmatch(number):
        return f"+{abroad[1]}"
    return number


def in_keys(number: str) -> str:
    """A number as sent, as keys spell it: as `e164` did before it knew 00, since claims are kept for a week."""
    if _MOBILE.fullmatch(number):
        return f"+86{number}"
    return f"+86{number[1:]}" if _NATIONAL_IN_KEYS.fullmatch(number) else number


def same_number(one: str | None, other: str | None) -> bool:
    """Whether both are one number, however each is spelled; what is unknown, or only what stands between, is none."""
    if not one or not other:
        return False
    return (spelled := canonical(one)) != "" and (one == other or spelled == canonical(other))


def canonical(number: str) -> str:
    """One spelling of a number, to compare by and never to publish.

    `86...`, `0086...`, `+86 0755 ...`, spaces, dashes and brackets are of the spelling, not of the number.
    """
    bare = _BETWEEN.sub("", number)
    mainland = _MAINLAND.fullmatch(bare)
    return f"+86{mainland[1]}" if mainland else e164(bare)
