"""An event as one outlet sees it: pure, so that the same event has the same bytes there however often it is made.

Numbers stand in fields for them, in the platform's own fields, in ids that a platform made of them, in names of files
and in texts. The fields say which numbers the event is about; all of it is then searched for them in any spelling, and
for what looks like another. What an outlet gets of one is `mask` (schemas/masking.py), `token` (keyed, the same for
each spelling and in each outlet of one key), or nothing (`drop`). In an id its token stands in any case, for an id that
is masked may be that of another; and an event whose ids hold one has an id of its own, keyed too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import orjson

from schemas.envelope import Envelope, JsonObject
from schemas.masking import holds_number, mask_number, plain_name
from schemas.numbers import canonical
from schemas.privacy.spellings import Instead, Numbers, plain_digits

Manner = Literal["clear", "mask", "token", "drop"]

HIDDEN: Final = "***"
RAW: Final = "raw"
TIMELINE: Final = "timeline"

_NUMBERS: Final = frozenset({"caller", "callee", "private_number", "display_number", "number", "sender", "receiver"})
_IDS: Final = frozenset({"id", "subject", "callid", "session_id", "record_id", "binding_id", "identifier"})
_OURS: Final = frozenset(  # what no platform spells: words, times and sums of ours
    {
        "specversion", "type", "source", "datacontenttype", "dataschema", "time", "platform", "product", "mode",
        "direction", "outcome", "at", "received_at", "called_in_at", "started_at", "ringing_at", "answered_at",
        "ended_at", "sent_at", "leg", "key", "state", "bytes", "sha256", "seconds", "format", "media_type", "status",
        "action", "by", "missing", "repaired", "revision",
    }
)  # fmt: skip
_USER_DATA: Final = frozenset({"userdata", "outid"})  # a platform's names for it, in lower case without - and _
_TEXT: Final = re.compile(r".*(content|text|sentences?|message|msg)")
_ID: Final = re.compile(r".*(id|icid|key)")
_A_NUMBER: Final = re.compile(r"\+?[0-9]{1,20}")
_RUNS: Final = re.compile(r"\+?[0-9](?:[\s().-]{0,3}[0-9])*")
_LEAST_RAW: Final = 5  # digits of a number in a field for numbers; a field of that name may also hold a count
_TOKEN_BYTES: Final = 15
_DROPPED: Final = object()


def token(key: bytes, kind: str, value: str) -> str:
    """Letters and few digits, so that no token can be read as a number."""
    digest = hmac.digest(key, f"{kind}|{value}".encode(), hashlib.sha256)[:_TOKEN_BYTES]
    return f"t_{base64.b32encode(digest).decode().lower()}"


def number_token(key: bytes, number: str) -> str:
    """That of a number, however it is spelled."""
    return token(key, "number", canonical(plain_digits(number)))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an outlet may see. `without`: `raw` and `timeline`, or neither.

    `key` makes the tokens: it is there wherever there may be one, so also where numbers are masked, for those in ids.
    """

    numbers: Manner = "clear"
    text: Manner = "clear"
    user_data: Manner = "clear"
    without: frozenset[str] = frozenset()
    key: bytes = b""

    def __post_init__(self) -> None:
        """Raises ValueError for a view that would need a key and has none."""
        if not self.key and (self.numbers != "clear" or "token" in (self.text, self.user_data)):
            raise ValueError("a view with tokens needs a key")

    def __call__(self, event: Envelope) -> Envelope:
        """The event for that outlet; its source, type, moment and trace are those of the event."""
        assert isinstance(event.body, bytes)
        told = orjson.loads(event.body)
        seen = _Seen(self, told)
        made = seen.whole(told)
        if seen.ids_hold_numbers:
            made["id"] = _keyed_id(self.key, event.id)
        return replace(event, id=made["id"], body=orjson.dumps(made))


def _keyed_id(key: bytes, event_id: str) -> str:
    """A UUID of version 8, as whose layout is up to us."""
    text = hmac.new(key, f"id|{event_id}".encode(), hashlib.sha256).hexdigest()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-a{text[17:20]}-{text[20:32]}"


class _Seen:
    """One event, looked through for one outlet."""

    def __init__(self, view: View, told: JsonObject) -> None:
        self._view = view
        data = told.get("data")
        self._numbers = Numbers(_numbers_in(data, is_raw=False)) if view.numbers != "clear" else None
        self._same = dict(_texts_in(data)) if view.user_data != "clear" or view.text != "clear" else {}
        self._tokens: dict[str, str] = {}
        self.ids_hold_numbers = False

    def whole(self, told: JsonObject) -> JsonObject:
        made: JsonObject = {name: self._ours(name, value) for name, value in told.items()}
        if "changed" in (data := made.get("data") or {}):
            data["changed"] = [one for one in data["changed"] if self._view.without.isdisjoint(one.split("/"))]
        return made

    def _ours(self, name: str, value: Any, within: str = "") -> Any:
        if name in _OURS or value is None:
            return value
        if name in (RAW, TIMELINE) and name in self._view.without:
            return {} if name == RAW else []
        if name == RAW:
            return self._raw("", value) if isinstance(value, dict) else value
        if isinstance(value, dict):
            return {inner: self._ours(inner, one, name) for inner, one in value.items()}
        if isinstance(value, list):
            return [self._ours(name, one, within) for one in value]
        return self._text_of_ours(name, value, within) if isinstance(value, str) else value

    def _text_of_ours(self, name: str, value: str, within: str) -> Any:
        view = self._view
        if name == "user_data" and view.user_data != "clear":
            return self._hidden("user_data", view.user_data, value)
        if name == "text" and within == "sms" and view.text != "clear":
            return self._hidden("text", view.text, value)
        if name in _NUMBERS:
            return self._number(value)
        return self._id(value) if name in _IDS else self._scrubbed(value)

    def _hidden(self, kind: str, manner: Manner, value: str) -> str | None:
        if manner == "drop":
            return None
        return token(self._view.key, kind, value) if manner == "token" else HIDDEN

    def _number(self, value: str) -> str | None:
        """What stands in a field for a number: all of its digits go, however few they are."""
        manner = self._view.numbers
        if manner == "clear":
            return value
        if manner == "drop":
            return None
        plain = plain_digits(value)
        if manner == "mask":
            return mask_number(plain)
        if _A_NUMBER.fullmatch(canonical(plain)):
            return self._token("", plain)
        return _RUNS.sub(lambda run: self._token("", run[0]), plain)

    def _id(self, value: str) -> str:
        if self._numbers is None:
            return value
        found = self._numbers.replaced(value, self._token)
        self.ids_hold_numbers = self.ids_hold_numbers or found != value
        return found

    def _scrubbed(self, value: str) -> str:
        return value if self._numbers is None else self._numbers.replaced(value, self._instead)

    @property
    def _instead(self) -> Instead:
        match self._view.numbers:
            case "mask":
                return _mask
            case "token":
                return self._token
            case _:
                return _nothing

    def _token(self, _: str, number: str) -> str:
        made = self._tokens.get(number)
        if made is None:
            made = self._tokens[number] = number_token(self._view.key, number)
        return made

    def _raw(self, name: str, value: Any) -> Any:
        """What a platform sent: by its own names, which may be numbers too."""
        if isinstance(value, dict):
            rows = ((self._scrubbed(inner), self._raw_field(inner, one)) for inner, one in value.items())
            return {inner: one for inner, one in rows if one is not _DROPPED}
        if isinstance(value, list):
            return [one for one in (self._raw_field(name, one) for one in value) if one is not _DROPPED]
        if isinstance(value, str):
            return self._id(value) if _ID.fullmatch(plain_name(name)) else self._scrubbed(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value if (found := self._scrubbed(str(value))) == str(value) else found
        return value

    def _raw_field(self, name: str, value: Any) -> Any:
        plain = plain_name(name)
        is_one = isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""
        kind = "user_data" if plain in _USER_DATA else "text" if _TEXT.fullmatch(plain) else ""
        if isinstance(value, str) and (same := self._same.get(value)):
            kind = same
        if kind and value and (manner := self._view.user_data if kind == "user_data" else self._view.text) != "clear":
            found = self._hidden(kind, manner, value if isinstance(value, str) else orjson.dumps(value).decode())
            return _DROPPED if found is None else found
        if self._numbers is not None and is_one and holds_number(name) and _digits(str(value)) >= _LEAST_RAW:
            found = self._number(str(value))
            return _DROPPED if found is None else found
        return self._raw(name, value)


def _mask(spelled: str, _: str) -> str:
    return mask_number(spelled)


def _nothing(_: str, __: str) -> str:
    return HIDDEN


def _digits(value: str) -> int:
    return sum(map(str.isdecimal, value))


def _numbers_in(value: Any, *, is_raw: bool, name: str = "") -> Iterator[str]:
    """Each number that stands in a field for one."""
    if isinstance(value, dict):
        for inner, one in value.items():
            yield from _numbers_in(one, is_raw=is_raw or inner == RAW, name=inner)
    elif isinstance(value, list):
        for one in value:
            yield from _numbers_in(one, is_raw=is_raw, name=name)
    elif isinstance(value, (str, int, float)) and (holds_number(name) if is_raw else name in _NUMBERS):
        yield from _RUNS.findall(plain_digits(str(value)))


def _texts_in(data: Any) -> Iterator[tuple[str, str]]:
    """What was attached and written, which may stand in a field of any name as well."""
    for name, record in (data or {}).items():
        if isinstance(record, dict) and name in ("call", "sms"):
            for part in (record, *record.get("cdrs", ())):
                if len(part.get("user_data") or "") > 1:
                    yield part["user_data"], "user_data"
            if name == "sms" and len(record.get("text") or "") > 1:
                yield record["text"], "text"
