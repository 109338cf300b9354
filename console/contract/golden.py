"""Golden events: of each type and each edge one, for a consumer's tests.

Our own code makes them from the samples of the platforms, the same in every run. A scene tells what happens, and is
asked for the last event of each of its types.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import orjson

from console.contract.telling import BEGINS, Telling
from console.stories import STORIES
from schemas.envelope import JsonObject, derived_id
from schemas.events.versions import TEST
from schemas.question import Asked, Decision
from workers.sinks.trial import trial_event

_HUAWEI: Final = "huawei_privatenumber"
_CALL: Final = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
_SMS: Final = "ASN:16:example0000000001"
_CDR_WAIT: Final = 15 * 60 + 30
_MONTHS: Final = 60 * 86400
_EVENTS: Final = ("callin", "callout", "alerting", "answer", "disconnect")
_AUDIO: Final = b"RIFF, but for the audio"
_CDR: Final = "axyb-fee.json"
_CORRECTED: Final = {'"callEndTime": "2019-01-24 02:30:22"': '"callEndTime": "2019-01-24 02:31:22"'}
_SECOND: Final = {"ba171f34e6953fcd751edc77127748f4": "ba171f34e6953fcd751edc77127748f5"}
_CONNECT: Final = Decision(action="connect", callee="+8613866887021")


def _huawei() -> Telling:
    return Telling(_HUAWEI, "huawei-pn")


def _story(name: str) -> Telling:
    """A story of the samples, a push a second."""
    story = STORIES[name]
    told = Telling(story.platform, story.platform.replace("_", "-"))
    for second, push in enumerate(story.pushes):
        told.pushed(push.file, at=second, path=push.path)
    return told.waits(until=len(story.pushes) + 10)


def _events(told: Telling, *, at: float = 0, but: Iterable[str] = ()) -> Telling:
    for second, name in enumerate(_EVENTS):
        if name not in but:
            told.pushed(f"axyb-event-{name}.json", at=at + second)
    return told


def _answered() -> Telling:
    return _events(_huawei()).pushed(_CDR, at=5)


def _stored() -> Telling:
    digest = hashlib.sha256(_AUDIO).hexdigest()
    place = f"huawei-pn/2026/01/05/{digest[:8]}.wav"
    return _answered().fetched(
        at=20, state="stored", place=place, bytes=256044, sha256=digest, seconds=16.0, format="wav"
    )


def _late_cdr() -> Telling:
    return _events(_huawei()).waits(until=_CDR_WAIT).pushed(_CDR, at=_CDR_WAIT + 1).waits(until=_CDR_WAIT + 10)


def _late_events() -> Telling:
    return _events(_huawei().pushed(_CDR, at=0).waits(until=5), at=6).waits(until=20)


def _silent() -> Telling:
    """Nobody tells more than that it ended."""
    return _huawei().pushed("axyb-event-disconnect.json", at=0).waits(until=_CDR_WAIT)


def _asked(kind: str, session_id: str) -> Asked:
    return Asked.model_validate({"kind": kind, "session_id": session_id, "key": f"{kind}|golden", "fingerprint": ""})


def _decided() -> Telling:
    told = _huawei().decided(_asked("call", _CALL), _CONNECT, at=0)
    for second, name in enumerate(_EVENTS[1:], 1):
        told.pushed(f"x-event-{name}.json", at=second)
    return told.pushed("x-fee.json", at=5).waits(until=10)


def _late_decision() -> Telling:
    return _answered().decided(_asked("call", _CALL), _CONNECT, at=8).waits(until=20)


def _sms() -> Telling:
    decision = Decision(action="route", callee="+8613866887021")
    told = _huawei().pushed("ax-sms-block.json", at=0).decided(_asked("sms", _SMS), decision, at=0)
    return told.pushed("ax-sms-notify.json", at=2).waits(until=10)


def _mended() -> Telling:
    """An ampersand that nobody escaped, in each push."""
    told, instead = Telling("jiuyun_axb", "jiuyun-axb"), {"<userData>abcdef<": "<userData>a&b<"}
    told.pushed("type2_call_invite.xml", at=0, instead=instead)
    return told.pushed("type2_hangup.xml", at=1, instead=instead).waits(until=10)


def _number(state: str) -> Telling:
    body = {"eventType": "numstatus", "numInfo": [{"number": "+8617010000002", "status": state}]}
    return _huawei().told(orjson.dumps(body), at=0)


def _test() -> bytes:
    example = orjson.loads(_answered().said[-1])
    body = trial_event("crm", event_id=derived_id("golden", TEST), now=BEGINS, example=example).body
    assert isinstance(body, bytes)
    return body


_Scene = tuple[Callable[[], Telling], tuple[str, ...]]
SCENES: Final[Mapping[str, _Scene]] = {
    "answered": (_answered, ("call.progress", "call.completed")),
    "extension": (lambda: _story("axe"), ("call.completed",)),
    "two_legs": (lambda: _story("callback"), ("call.progress", "call.completed")),
    "notification": (lambda: _story("notify"), ("call.completed",)),
    "blocked": (lambda: _story("aliyun"), ("call.progress", "call.completed")),
    "jiuyun": (lambda: _story("jiuyun-2"), ("call.progress", "call.completed")),
    "unanswered": (lambda: _story("jiuyun"), ("call.completed",)),
    "events_missing": (lambda: _huawei().pushed(_CDR, at=0).waits(until=5), ("call.completed",)),
    "late_cdr": (_late_cdr, ("call.incomplete", "call.completed")),
    "unknown": (_silent, ("call.incomplete",)),
    "mended": (_mended, ("call.progress", "call.completed")),
    "decided": (_decided, ("call.decided", "call.completed")),
    "closed": (
        lambda: _huawei().decided(_asked("call", _CALL), Decision(action="close"), at=0),
        ("call.decided",),
    ),
    "cdr_amended": (
        lambda: _answered().pushed(_CDR, at=60, instead=_CORRECTED).waits(until=70),
        ("call.amended",),
    ),
    "cdr_added": (lambda: _answered().pushed(_CDR, at=60, instead=_SECOND).waits(until=70), ("call.amended",)),
    "event_late": (_late_events, ("call.amended",)),
    "decision_late": (_late_decision, ("call.amended",)),
    "forgotten": (
        lambda: _answered().forgotten().pushed(_CDR, at=_MONTHS, instead=_CORRECTED).waits(until=_MONTHS + 10),
        ("call.amended",),
    ),
    "recorded": (_stored, ("recording.stored",)),
    "refused": (
        lambda: _answered().fetched(at=3600, state="failed", reason="not_found"),
        ("recording.failed",),
    ),
    "no_time": (
        lambda: _huawei().pushed("axyb-event-answer.json", at=0, instead={'"timestamp"': '"untimely"'}),
        ("call.progress",),
    ),
    "notice": (lambda: _story("sms"), ("sms.notified",)),
    "routed": (_sms, ("sms.notified",)),
    "state": (lambda: _number("9"), ("number.changed",)),
    "report": (
        lambda: Telling("aliyun_pnp", "aliyun-pnp").pushed("number_management_report.json", at=0),
        ("number.changed",),
    ),
    "transcript": (
        lambda: Telling("aliyun_pnp", "aliyun-pnp").pushed(
            "secret_asr_report.json", at=0, path="/SecretAsrReport"
        ),
        ("platform.notified",),
    ),
}  # fmt: skip


def golden_events() -> dict[str, JsonObject]:
    """Each by its name, `<short type>.<scene>`."""
    return {name: orjson.loads(body) for name, body in sorted(_bodies())}


def _bodies() -> Iterator[tuple[str, bytes]]:
    for scene, (tell, types) in SCENES.items():
        last = {short_type(body): body for body in tell().said}
        yield from ((f"{kind}.{scene}", last[kind]) for kind in types)
    yield f"{TEST}.marked", _test()


def short_type(body: bytes) -> str:
    """The type of an event without what all have before and behind it."""
    return str(orjson.loads(body)["type"]).removeprefix("callstitch.").removesuffix(".v1")
