"""Aliyun's receipts about a call as facts: docs/protocols/aliyun-pnp.md sections 4.1 to 4.4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from schemas.dialect import items
from schemas.dialect.fields import text
from schemas.envelope import JsonObject
from schemas.facts import Announced, Announcement, CallEvent, CallFields, Cdr, Parsed
from schemas.platforms.aliyun.codes import call_codes
from schemas.platforms.aliyun.fields import call_id, called_in_keys, https, ident, moment, parties, pool_key, ring_time
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.vocabulary import TimelineType

# The message type: what it is on our timeline, and the field with its moment.
EVENTS: Final[Mapping[str, tuple[TimelineType, tuple[str, ...]]]] = {
    "SecretStartReport": ("incoming", ("call_time",)),
    "SecretRingReport": ("ringing", ("ring_time", "ring_Time")),
    "SecretPickUpReport": ("answered", ("start_time",)),
}


def call_event(row: JsonObject, source: AliyunSource, platform_type: str) -> Parsed:
    """A receipt of a type in EVENTS.

    Raises:
        Malformed: no_call_id, float_id, long_id, bad_time.
    """
    session_id = call_id(row)
    timeline_type, names = EVENTS[platform_type]
    at = moment(row, *names)
    call = _event_fields(row, source, timeline_type, at)
    event = CallEvent(
        type=timeline_type,
        platform_type=platform_type,
        at=at,
        caller=call.caller,
        callee=call.callee,
        call=call,
        raw=row,
    )
    return items.call_event_to(called_in_keys(row), event, session_id=session_id)


def cdr(row: JsonObject, source: AliyunSource) -> Parsed:
    """A SecretReport of a call. Keyed by call_id as section 4.1 says; another `id` is an amendment.

    It alone makes the call whole (docs/design.md section 5): only some carriers' numbers send events (section 4.3). In
    the oldest format call_id is optional and `id` is not: then that names the call.

    Raises:
        Malformed: no_call_id, float_id, long_id, bad_time.
    """
    record_id = ident(row, "id")
    session_id = ident(row, "call_id") or record_id or call_id(row)
    call = _cdr_fields(row, source)
    recordings = _recordings(row, session_id, call.called_in_at)
    body = Cdr(record_id=record_id or session_id, call=call, recordings=recordings, raw=row)
    return items.cdr(body, session_id=session_id, key=(session_id,))


def recording(row: JsonObject, source: AliyunSource) -> Parsed:  # noqa: ARG001 - every reader has the source
    """A SecretRecording: no link inside, it is the signal to ask for one (section 4.4).

    Raises:
        Malformed: no_call_id, float_id, long_id, bad_time.
    """
    session_id = call_id(row)
    announced = Announced(name=session_id, domain=pool_key(row), called_at=moment(row, "call_time"))
    return items.announcement(Announcement(recording=announced, raw=row), session_id=session_id)


def _event_fields(
    row: JsonObject, source: AliyunSource, timeline_type: TimelineType, at: datetime | None
) -> CallFields:
    called_in = moment(row, "call_time")
    return replace(
        parties(row, source),
        called_in_at=called_in,
        ringing_at=at if timeline_type == "ringing" else ring_time(row, called_in),
        answered_at=at if timeline_type == "answered" else None,
        codes=call_codes(row),
    )


def _cdr_fields(row: JsonObject, source: AliyunSource) -> CallFields:
    """The times of section 4.1, each of which is filled with an earlier one where the thing did not happen.

    Answered is release after start, never a filled start_time (section 7 trap 3).
    """
    called_in, called_out = moment(row, "call_time"), moment(row, "call_out_time")
    start, release = moment(row, "start_time"), moment(row, "release_time")
    rang = ring_time(row, called_out or called_in)
    answered = start if _later(release, start) else None
    went_out = _later(called_out, called_in) or called_in is None or rang is not None or answered is not None
    return replace(
        parties(row, source),
        called_in_at=called_in,
        started_at=called_out if went_out else None,
        ringing_at=rang,
        answered_at=answered,
        ended_at=release,
        codes=call_codes(row),
    )


def _later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other


def _recordings(row: JsonObject, session_id: str, called_at: datetime | None) -> tuple[Announced, ...]:
    """The recording under the same name as in a SecretRecording, so that it is fetched once; its link is a spare.

    The ring-back recording has no name in the download API, only its link: without domain it is fetched from there.
    """
    found = []
    if url := text(row, "record_url"):
        found.append(Announced(name=session_id, domain=pool_key(row), url=https(url), called_at=called_at))
    if url := text(row, "ring_record_url"):
        found.append(Announced(name=f"{session_id}/ring", url=https(url), called_at=called_at))
    return tuple(found)
