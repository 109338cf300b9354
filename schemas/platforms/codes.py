"""A result code as a platform sent it, with what a table says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas.facts import Code
from schemas.platforms.fields import as_integer


def is_code(value: Any) -> bool:
    """Whether it is an integer, or a string with something in it; anything else is only kept in `raw`."""
    return isinstance(value, (int, str)) and not isinstance(value, bool) and value != ""


def code(
    name: str,
    value: Any,
    *,
    texts: Mapping[int, str],
    outcome: Callable[[int], str | None],
    own_text: str | None = None,
) -> Code | None:
    """None if nothing was sent; `own_text` is the platform's, for a code that the table does not know."""
    if not is_code(value):
        return None
    number = as_integer(value)
    if number is None:
        return Code(name=name, value=value, text=own_text)
    return Code(name=name, value=value, outcome=outcome(number), text=texts.get(number, own_text))
