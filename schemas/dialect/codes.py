"""A result code as a platform sent it, with what a table says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from schemas.dialect.fields import as_integer
from schemas.facts import Code
from schemas.vocabulary import Outcome

Read = Callable[[Any], Code | None]
_RECENT_CODES: Final = 1024


def read_once(read: Read) -> Read:
    """The same reader; an integer is looked up once, since platforms send few different codes, and integers mostly."""
    known = lru_cache(_RECENT_CODES)(read)
    return lambda value: known(value) if type(value) is int else read(value)


def is_code(value: Any) -> bool:
    """Whether it is an integer, or a string with something in it; anything else is only kept in `raw`."""
    return isinstance(value, (int, str)) and not isinstance(value, bool) and value != ""


def code(
    name: str,
    value: Any,
    *,
    texts: Mapping[int, str],
    outcome: Callable[[int], Outcome | None],
    own_text: str | None = None,
) -> Code | None:
    """None if nothing was sent; `own_text` is the platform's, for a code that the table does not know."""
    if not is_code(value):
        return None
    number = as_integer(value)
    if number is None:
        return Code(name=name, value=value, text=own_text)
    return Code(name=name, value=value, outcome=outcome(number), text=texts.get(number, own_text))
