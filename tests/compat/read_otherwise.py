"""The few recorded pushes that are read otherwise since then, on purpose; all that is made of them is compared still.

Each is read here as version 7189888 read it: what it could not read, or what it took for a number state because it knew
nothing better. How they are read today is what the tests of their dialects tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from schemas.dialect import items
from schemas.dialect.dialect import AnyDialect
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification
from schemas.platforms.jiuyun.body import load_message
from schemas.settings.source import Source
from tests.compat.recorded import Push

MADE_UP_STATES: Final = (98, 153, 339)  # pushes without any mark
NAMELESS: Final = (353, 367, 374, 375, 381, 382, 388, 389)  # neither what they are nor of which call: told, each once
UNREAD: Final[Mapping[int, Mapping[int, str]]] = {  # by push and item, the reason
    329: {1: "no_session_id"},  # a CDR that has an id of its own
}


def as_then(dialects: Mapping[str, AnyDialect], pushes: Sequence[Push]) -> dict[str, AnyDialect]:
    """The dialects, but for those pushes, which are known by their bytes and their source."""
    numbers = {(pushes[n].source, pushes[n].body): n for n in (*MADE_UP_STATES, *NAMELESS, *UNREAD)}
    return {name: replace(dialect, parse=_parse(dialect, numbers)) for name, dialect in dialects.items()}


def for_dedupe_as_then(dialects: Mapping[str, AnyDialect]) -> dict[str, AnyDialect]:
    """The same as dedupe reads by them: a body whose coding nobody knows was not tried as it stands."""

    def refusing(dialect: AnyDialect) -> Any:
        def parse(notification: Notification, source: Source) -> Sequence[Parsed | Malformed]:
            if notification.headers.get("content-encoding") == "br":
                raise Malformed("not_tried")
            return dialect.parse(notification, source)

        return parse

    return {name: replace(dialect, parse=refusing(dialect)) for name, dialect in dialects.items()}


def _parse(dialect: AnyDialect, numbers: Mapping[tuple[str, bytes], int]) -> Any:
    def parse(notification: Notification, source: Source) -> Sequence[Parsed | Malformed]:
        found = dialect.parse(notification, source)
        number = numbers.get((source.name, notification.body))
        return found if number is None else _then(number, found, notification.body, source)

    return parse


def _then(number: int, found: Sequence[Parsed | Malformed], sent: bytes, source: Source) -> list[Parsed | Malformed]:
    if number in MADE_UP_STATES + NAMELESS:
        (one,) = found
        assert isinstance(one, Malformed)
        assert one.reason == "unknown_push"
        raw = load_message(sent, "").raw
        if number in MADE_UP_STATES:
            return [items.number_state(raw, sent=sent)]
        by_bytes = None if source.platform == "aliyun_pnp" else sent
        return [items.other(raw, session_id=None, named=True, sent=by_bytes)]
    reasons = UNREAD[number]
    assert all(isinstance(found[n], Parsed) for n in reasons)
    return [Malformed(reasons[n]) if n in reasons else one for n, one in enumerate(found)]
