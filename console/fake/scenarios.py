"""The scenarios, by name: each plays its pushes, and every type of event and every edge of docs/events.md is in one."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from console.emulator.push import Content
from console.fake import plays
from console.fake.pipeline import Pipeline
from console.fake.plays import Setting, is_recorded
from schemas.envelope import Envelope, JsonObject
from schemas.question import Decision

START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)  # of seed 0; each seed has a day of its own, and so other call ids
DAYS: Final = 3650
LONG_MINUTES: Final = 20  # longer than a call waits for its CDR
CALLEE: Final = "+8613800009999"
ENDINGS: Final = ("answered", "busy", "no_answer", "rejected", "cancelled", "unreachable", "blocked")
CROWDED: Final = 310  # events of one call: more than a record holds


@dataclass(frozen=True)
class Scenario:
    """What it is good for, in words, and how it is played; a `play` returns what is published, in that order."""

    words: str
    play: Callable[[Setting], Awaitable[list[Envelope]]]


async def _told(pipeline: Pipeline) -> list[Envelope]:
    await pipeline.waits(minutes=1)
    return pipeline.events


async def _answered(setting: Setting) -> list[Envelope]:
    call, pipeline = setting.call(is_recorded), setting.pipeline()
    for push in [*plays.events_of(call), plays.cdr_of(call)]:
        await pipeline.push(push)
    await pipeline.fetched()
    return await _told(pipeline)


async def _outcomes(setting: Setting) -> list[Envelope]:
    pipeline = setting.pipeline()
    for outcome in ENDINGS:
        call = setting.call(lambda call: call.ending.outcome == outcome and call.object_name is None)  # noqa: B023
        for push in [*plays.events_of(call), plays.cdr_of(call)]:
            await pipeline.push(push)
    return await _told(pipeline)


async def _late_cdr(setting: Setting) -> list[Envelope]:
    call, pipeline = setting.call(is_recorded), setting.pipeline()
    for push in plays.events_of(call):
        await pipeline.push(push)
    await pipeline.waits(minutes=LONG_MINUTES)
    await pipeline.push(plays.cdr_of(call))
    await pipeline.fetched()
    return await _told(pipeline)


async def _no_cdr(setting: Setting) -> list[Envelope]:
    call, pipeline = setting.call(lambda call: call.ending.outcome == "busy"), setting.pipeline()
    for push in plays.events_of(call):
        await pipeline.push(push)
    await pipeline.waits(minutes=LONG_MINUTES)
    return await _told(pipeline)


async def _event_missing(setting: Setting) -> list[Envelope]:
    call, pipeline = setting.call(lambda call: "alerting" in call.times), setting.pipeline()
    for push in [*plays.events_of(call, but="alerting"), plays.cdr_of(call)]:
        await pipeline.push(push)
    return await _told(pipeline)


async def _late_event(setting: Setting) -> list[Envelope]:
    call, pipeline = setting.call(lambda call: "alerting" in call.times), setting.pipeline()
    for push in [*plays.events_of(call, but="alerting"), plays.cdr_of(call)]:
        await pipeline.push(push)
    await pipeline.waits(seconds=30)
    await pipeline.push(plays.event_of(call, "alerting"))
    return await _told(pipeline)


async def _amended(setting: Setting) -> list[Envelope]:
    call, pipeline = setting.call(plays.costs_more_once_corrected), setting.pipeline()
    for push in [*plays.events_of(call), plays.cdr_of(call)]:
        await pipeline.push(push)
    await pipeline.fetched()
    await pipeline.waits(minutes=4)
    await pipeline.push(plays.corrected_cdr_of(call))
    return await _told(pipeline)


async def _redialed(setting: Setting) -> list[Envelope]:
    call, pipeline = setting.call(is_recorded), setting.pipeline()
    for push in [*plays.events_of(call), plays.cdr_of(call)]:
        await pipeline.push(push)
    await pipeline.waits(seconds=30)
    await pipeline.push(plays.redial_of(call))
    return await _told(pipeline)


async def _recording_failed(setting: Setting) -> list[Envelope]:
    call, pipeline = setting.call(is_recorded), setting.pipeline()
    for push in [*plays.events_of(call), plays.cdr_of(call)]:
        await pipeline.push(push)
    await pipeline.not_fetched("not_found")
    return await _told(pipeline)


async def _decided(setting: Setting) -> list[Envelope]:
    asked = setting.call(lambda call: call.asks and call.ending.outcome == "answered", ask=True)
    call, pipeline = replace(asked, callee=CALLEE), setting.pipeline()
    first, *others = plays.events_of(call)
    await pipeline.ask(first, Decision(action="connect", callee=CALLEE))
    for push in [*others, plays.cdr_of(call)]:
        await pipeline.push(push)
    return await _told(pipeline)


async def _sms(setting: Setting) -> list[Envelope]:
    pipeline = setting.pipeline()
    question, notice = setting.messages(lambda item: item.name == "Block")
    inner = notice.items[0].content["smsEvent"]
    notified = {"smsEvent": {**inner, "called": CALLEE}}
    await pipeline.ask(
        plays.posted(question.form, [question.items[0].content]), Decision(action="route", callee=CALLEE)
    )
    await pipeline.push(plays.posted(notice.form, [notified]))
    (plain,) = setting.messages(lambda item: item.kind == "sms" and "called" in item.content["smsEvent"])
    await pipeline.push(plays.posted(plain.form, [plain.items[0].content]))
    return await _told(pipeline)


async def _number(setting: Setting) -> list[Envelope]:
    pipeline = setting.pipeline()
    for draft in setting.messages(lambda item: item.kind == "number"):
        await pipeline.push(plays.posted(draft.form, [draft.items[0].content]))
        await pipeline.waits(seconds=90)
    return await _told(pipeline)


async def _notified(setting: Setting) -> list[Envelope]:
    pipeline = setting.pipeline("aliyun_pnp")
    for push in setting.pushes("aliyun_pnp", fits=lambda item: item.kind == "notice"):
        await pipeline.push(push)
    return await _told(pipeline)


async def _repaired(setting: Setting) -> list[Envelope]:
    call = setting.call(lambda call: call.mode == "X" and call.ending.outcome == "answered")
    pipeline = setting.pipeline()
    for push in [*plays.events_of(call), plays.cdr_of(call)]:
        mangled = push.body.replace(b'"order', b'"\xb6\xa9\xb5\xa5')  # an order's name in GBK
        await pipeline.push(replace(push, body=mangled))
    return await _told(pipeline)


async def _crowded(setting: Setting) -> list[Envelope]:
    made = setting.call(lambda call: "collectInfo" in call.times and "answer" in call.times)
    keyed = [made.times["answer"] + timedelta(seconds=n) for n in range(1, CROWDED)]
    call = replace(made, times={**made.times, "disconnect": keyed[-1] + timedelta(seconds=1)})
    first = [step for step in call.times if step != "disconnect"]
    pipeline = setting.pipeline()
    for push in [
        *(plays.event_of(call, step) for step in first),
        *(
            plays.event_of(replace(call, times={**call.times, "collectInfo": moment}), "collectInfo")
            for moment in keyed
        ),
        plays.event_of(call, "disconnect"),
        plays.cdr_of(call),
    ]:
        await pipeline.push(push)
    return await _told(pipeline)


async def _unknown(setting: Setting) -> list[Envelope]:
    call, pipeline = setting.call(lambda call: call.ending.outcome == "answered"), setting.pipeline()
    await pipeline.push(plays.event_of(call, "disconnect"))
    await pipeline.waits(minutes=LONG_MINUTES)
    return await _told(pipeline)


async def _told_twice(setting: Setting) -> list[Envelope]:
    return [event for event in await _amended(setting) for _ in range(2)]


async def _out_of_order(setting: Setting) -> list[Envelope]:
    return (await _amended(setting))[::-1]


def _of(platform: str, fits: Callable[[Content], object]) -> Callable[[Setting], Awaitable[list[Envelope]]]:
    """The first call of another platform whose CDR fits."""

    async def play(setting: Setting) -> list[Envelope]:
        pipeline = setting.pipeline(platform)
        for push in setting.pushes(platform, fits=lambda item: item.kind == "cdr" and bool(fits(item.content))):
            await pipeline.push(push)
        await pipeline.waits(seconds=30)
        await pipeline.fetched()
        return await _told(pipeline)

    return play


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "answered": Scenario("an answered call and its recording", _answered),
    "outcomes": Scenario("a call of each outcome but failed and unknown", _outcomes),
    "failed": Scenario("a call that failed (Jiuyun)", _of("jiuyun_axb", lambda cdr: cdr.get("byeType") in ("6", "7"))),
    "unknown": Scenario("nobody tells how the call ended, or whether anybody talked", _unknown),
    "no_cdr": Scenario("the CDR never comes", _no_cdr),
    "late_cdr": Scenario("the CDR comes after call.incomplete", _late_cdr),
    "event_missing": Scenario("a completed call that is not complete", _event_missing),
    "late_event": Scenario("an event comes after call.completed", _late_event),
    "amended": Scenario("the CDR is corrected: same record_id, a minute more", _amended),
    "redialed": Scenario("a second CDR, without any time", _redialed),
    "recording_failed": Scenario("the recording never comes", _recording_failed),
    "decided": Scenario("the platform asked whom to connect", _decided),
    "sms": Scenario("an SMS that was asked about, and one that was not", _sms),
    "number": Scenario("a private number is suspended, and normal again", _number),
    "notified": Scenario("something else that a platform tells", _notified),
    "repaired": Scenario("pushes that are not UTF-8", _repaired),
    "crowded": Scenario("more events than a record holds: a large one, cut", _crowded),
    "told_twice": Scenario("`amended`, each event twice, as after a lost ack", _told_twice),
    "out_of_order": Scenario("`amended`, the highest revision first", _out_of_order),
    "voicecall": Scenario(
        "a callback of Huawei VoiceCall, with two legs", _of("huawei_voicecall", lambda cdr: cdr.get("fwdAnswerTime"))
    ),
    "aliyun": Scenario("a call of Aliyun's number privacy", _of("aliyun_pnp", lambda cdr: cdr.get("record_url"))),
    "jiuyun": Scenario("a call of Jiuyun's 云呼AXB", _of("jiuyun_axb", lambda cdr: cdr.get("recordUrl"))),
}


async def events_of(name: str, *, seed: int, source: str) -> list[Envelope]:
    """What a scenario publishes, in that order; the same for the same seed and source, to the byte."""
    place = [*SCENARIOS].index(name)
    start = START + timedelta(days=seed % DAYS, hours=place)
    own = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:4])
    return await SCENARIOS[name].play(Setting(source=source, seed=own, start=start))


async def example_of(short_type: str, *, source: str) -> JsonObject:
    """The first event of that type, as a whole."""
    for name in SCENARIOS:
        for event in await events_of(name, seed=1, source=source):
            if event.route.rpartition(".")[0] == short_type:
                assert isinstance(event.body, bytes)
                found: JsonObject = orjson.loads(event.body)
                return found
    raise KeyError(short_type)
