"""The states of sessions, today's and those of older versions. Frozen: never change one of these."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from schemas.fact_json import encode_fact
from schemas.facts import Fact
from workers.calls.session import Session, decode_session, encode_session


def come_back(session: Session) -> Session:
    """As a store gives it back, which keeps beside its state what was said last."""
    return decode_session(encode_session(session), said=session.said, published=session.published)


def state_1(session: Session, facts: Iterable[Fact]) -> bytes:
    """What version 1 kept of a session of these facts."""
    return orjson.dumps(
        {
            "v": 1,
            "facts": [orjson.loads(encode_fact(fact)) for fact in facts],
            "revision": session.revision,
            "published": orjson.loads(session.published) if session.published else None,
            "completed": session.completed,
            "incomplete": session.incomplete,
            "ordered": sorted(session.ordered),
            "told": sorted(session.ended),
            "changed_at": session.changed_at,
            "changed_by": session.changed_by,
        },
        option=orjson.OPT_UTC_Z,
    )
