"""Signed links and platform keys in what a platform sent: whoever has one may listen, or speak for the account.

A fact is made without them (docs/protocols: `appKey`, `pool_key`, `partner_key`, `recordUrl`, `record_url`,
`ring_record_url`, `recordFileDownloadUrl`), so nothing that is made of facts holds them. What fetches a recording has
its link from the announcement, which is no part of `raw`. Fields are left out whole: a name that says where to look for
a key is no use to anybody.
"""

from __future__ import annotations

import re
from typing import Any, Final

from schemas.envelope import JsonObject
from schemas.masking import plain_name

# As the platforms spell them at the top of an item: by these a fact that an older version left is known.
DOCUMENTED: Final = frozenset(
    {
        "appKey",
        "pool_key",
        "partner_key",
        "partnerKey",
        "recordUrl",
        "record_url",
        "ring_record_url",
        "recordFileDownloadUrl",
    }
)

_KEY: Final = re.compile(  # a field's name in lower case, without - and _
    r".*(appkey|poolkey|partnerkey|apikey|accesskey|accesskeyid|signature|token|password|passworddigest)"
    r"|.*(app|key|access|client)secret|secret(key)?|sign|sig|authorization|xaksk|xwsse"
)
_LINK: Final = re.compile(r".*(url|uri|link)")
_NAMES: Final = 4096  # platforms have some hundred; what anybody makes up must not fill the memory

_WORD: Final = re.compile(r"[^\s\"'<>]+")
_SIGNED: Final = re.compile(r"(signature|accesskeyid|(app|pool|partner)_?key)(=|%3D)", re.IGNORECASE)
_SIGNED_LINK: Final = re.compile(r"(token|sign?|auth_?key|secret|password|credential|expires)(=|%3D)", re.IGNORECASE)
_LEFT_OUT: Final = "***"


class _Names(dict[str, bool]):
    """Whether a field of that name goes, as far as one was met: each is judged once."""

    def __missing__(self, name: str) -> bool:
        plain = plain_name(name)
        goes = _KEY.fullmatch(plain) is not None or _LINK.fullmatch(plain) is not None
        if len(self) < _NAMES:
            self[name] = goes
        return goes


_GOES: Final = _Names()


def without_secrets(raw: JsonObject) -> JsonObject:
    """What a platform sent without its keys and links, at whatever depth; the same object where there are none."""
    made = raw
    for name, value in raw.items():
        kind = value.__class__
        if _GOES[name]:
            made = made.copy() if made is raw else made
            del made[name]
        elif (kind is str and "=" in value) or kind is dict or kind is list:
            cleaned = _cleaned(value)
            if cleaned is not value:
                made = made.copy() if made is raw else made
                made[name] = cleaned
    return made


def without_documented(raw: JsonObject) -> JsonObject:
    """The same of a fact that an older version may have left, at the price of one look."""
    return raw if DOCUMENTED.isdisjoint(raw) else without_secrets(raw)


def _cleaned(value: Any) -> Any:
    """The same object where there is nothing to leave out."""
    told: Any
    if isinstance(value, str):
        told = _WORD.sub(_unsigned, value) if "=" in value else value
    elif isinstance(value, dict):
        return without_secrets(value)
    elif isinstance(value, list):
        told = [_cleaned(one) for one in value]
    else:
        return value
    return value if told == value else told


def _unsigned(word: re.Match[str]) -> str:
    is_signed = _SIGNED.search(word[0]) or ("://" in word[0] and _SIGNED_LINK.search(word[0]))
    return _LEFT_OUT if is_signed else word[0]
