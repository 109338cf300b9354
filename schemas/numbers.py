"""Phone numbers in E.164, by the rule of docs/contract.md section 1."""

from __future__ import annotations

import re
from typing import Final

_MOBILE: Final = re.compile(r"1[0-9]{10}")
_NATIONAL: Final = re.compile(r"0[0-9]{9,11}")


def e164(number: str) -> str:
    """A mainland number in national form gets +86, without the leading 0 of an area code; any other stays as sent."""
    if not number.startswith(("0", "1")):
        return number
    if _MOBILE.fullmatch(number):
        return f"+86{number}"
    if _NATIONAL.fullmatch(number):
        return f"+86{number[1:]}"
    return number
