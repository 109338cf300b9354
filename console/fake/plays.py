"""The pushes of one made-up call, as its platform would push them; the emulator's builders make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from math import ceil
from typing import Final

from console.emulator.acts import APIS, build_act
from console.emulator.huawei.privatenumber import payloads
from console.emulator.huawei.privatenumber.calls import Call, build_calls
from console.emulator.huawei.privatenumber.messages import Messages
from console.emulator.huawei.privatenumber.plan import AMENDED_BY, CDR, EVENT
from console.emulator.moments import utc
from console.emulator.push import Content, Draft, Form, Item
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings
from console.fake.pipeline import Pipeline, notification
from schemas.notification import Notification

APP_KEY: Final = "FAKEKEY"
PLATFORM: Final = "huawei_privatenumber"
# A source is an account at one platform, so the others have names of their own.
SUFFIXES: Final = {PLATFORM: "", "huawei_voicecall": "-voicecall", "aliyun_pnp": "-aliyun", "jiuyun_axb": "-jiuyun"}
CALLS: Final = 400  # of which one is chosen
MESSAGES: Final = 200


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a scenario plays: one source, from that moment on."""

    source: str
    seed: int
    start: datetime

    def pipeline(self, platform: str = PLATFORM) -> Pipeline:
        """Our stages, for it alone."""
        return Pipeline(self.source + SUFFIXES[platform], platform, seed=self.seed, start=self.start)

    def call(self, fits: Callable[[Call], bool], *, ask: bool = False) -> Call:
        """The first of many made-up calls that fits."""
        made = (build_calls(seed=seed, start=self.start, calls=CALLS, ask=ask) for seed in count(self.seed))
        found = next(call for calls in made for call in calls if fits(call))
        return replace(found, asks=False) if not ask else found

    def messages(self, fits: Callable[[Item], bool]) -> list[Draft]:
        """The pushes of the first made-up message of which one fits."""
        settings = self._settings(PLATFORM, messages=MESSAGES)
        drafts = Messages(settings).drafts()
        number = next(draft.items[0].call for draft in drafts if fits(draft.items[0]))
        return [draft for draft in drafts if draft.items[0].call == number]

    def pushes(self, platform: str, *, fits: Callable[[Item], bool]) -> Iterator[Notification]:
        """Those of the first made-up call (or message) of any platform of which one fits, in their order."""
        settings = self._settings(platform, messages=MESSAGES, calls=CALLS)
        recordings = Recordings(
            seed=self.seed,
            app_key=APP_KEY,
            app_secret="",
            apis=APIS,
            host="audio.example",
            audio_port=80,
        )
        act = build_act(settings, recordings)
        number = next(item.call for push in act.pushes for item in push.items if fits(item))
        for push in act.pushes:
            if items := [item for item in push.items if item.call == number and not push.again]:
                yield posted(push.form, [item.content for item in items])

    def _settings(self, platform: str, *, messages: int = 0, calls: int = 1) -> EmulatorSettings:
        return EmulatorSettings(
            to=f"http://fake/v1/{self.source}/t",
            platform=platform,
            app_key=APP_KEY,
            app_secret="",
            start=self.start,
            seed=self.seed,
            calls=calls,
            messages=messages,
            ask=platform == PLATFORM,
            duplicate_share=0,
            remerge_share=0,
            amended_share=0,
            redial_share=0,
            lost_alerting_share=0,
            shuffle_share=0,
        )


def posted(form: Form, contents: Sequence[Content]) -> Notification:
    """A post of these."""
    return notification(form.path, form.content_type, form.write(contents, APP_KEY))


def events_of(call: Call, *, but: str = "") -> list[Notification]:
    """The live events of a PrivateNumber call, in their order."""
    return [event_of(call, step) for step in call.times if step != but]


def event_of(call: Call, step: str) -> Notification:
    """One of them."""
    return posted(EVENT, [payloads.event(call, step)])


def cdr_of(call: Call, *, later: timedelta = timedelta(0)) -> Notification:
    """Its CDR; corrected, by which it ended so much later."""
    content = payloads.cdr(call)
    return posted(CDR, [content | {"callEndTime": utc(call.times["disconnect"] + later)} if later else content])


def corrected_cdr_of(call: Call) -> Notification:
    """Its CDR, as the platform puts it right."""
    return cdr_of(call, later=AMENDED_BY)


def redial_of(call: Call) -> Notification:
    """The second CDR of a handset's own redial, which has no times."""
    return posted(CDR, [payloads.redial_cdr(call)])


def costs_more_once_corrected(call: Call) -> bool:
    """Whether it is recorded, and its correction begins another minute."""
    corrected = call.talk_seconds + AMENDED_BY // timedelta(seconds=1)
    return is_recorded(call) and ceil(call.talk_seconds / 60) < ceil(corrected / 60)


def is_recorded(call: Call) -> bool:
    """Whether it was answered, and its audio announced."""
    return call.object_name is not None and call.ending.outcome == "answered"
