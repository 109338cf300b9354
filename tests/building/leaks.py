"""Whether anything that JSON holds tells a number, a key of a platform or a link to a recording."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from schemas.envelope import JsonObject
from schemas.numbers import canonical

NUMBERS: Final = frozenset({"caller", "callee", "private_number", "display_number", "number", "sender", "receiver"})
SECRETS: Final = re.compile(r"Signature=|AccessKeyId|appKey|partner_key|pool_key|record_?url", re.IGNORECASE)
DIGIT: Final = re.compile(r"\d")


def known_numbers(events: Iterable[JsonObject]) -> frozenset[str]:
    """The digits of each number that a field for numbers held, without what is before them at home."""
    found: set[str] = set()

    def look(value: Any, name: str = "") -> None:
        if isinstance(value, dict):
            for inner, one in value.items():
                look(one, inner)
        elif isinstance(value, list):
            for one in value:
                look(one, name)
        elif isinstance(value, str) and name in NUMBERS:
            found.add("".join(DIGIT.findall(canonical(value))).removeprefix("86"))

    for event in events:
        look(event["data"])
    return frozenset(number for number in found if len(number) > 6)


def texts(value: Any) -> Iterator[str]:
    """Every name and every value in it."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from (str(name), *texts(one))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from texts(one)
    else:
        yield str(value)


def leaks(text: str, numbers: frozenset[str]) -> bool:
    """Whether it holds a key, a link, or one of these numbers, whatever stands between its digits."""
    digits = "".join(DIGIT.findall(text))
    return SECRETS.search(text) is not None or any(number in digits for number in numbers)
