"""What a platform pushes around a crash: rounds of three calls, and what must have become of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPException
from itertools import islice
from typing import Any, Final

from console.emulator.huawei.privatenumber import payloads
from console.emulator.huawei.privatenumber.calls import Call, build_calls
from console.emulator.huawei.privatenumber.expect import expect
from console.emulator.huawei.pushes import encode
from console.emulator.moments import utc
from console.emulator.push import Content
from console.emulator.recordings import Recordings
from tests.e2e.running import APP_KEY, Up

SEED: Final = 1
START: Final = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)
AT_ONCE: Final = 8  # posts under way together, so that the door gathers them in bundles
CORRECTED_BY: Final = timedelta(seconds=3)
_DRAWN: Final = 120  # calls to choose from

Post = tuple[str, bytes]  # the path at the door, and the body


@dataclass(frozen=True, kw_only=True)
class Round:
    """Three calls: one plain, one whose CDR is corrected later, one with a recording, whose file's name marks it.

    The name is in the CDR's notification and fact, in the work order, and in each event about that call.
    """

    plain: Call
    corrected: Call
    recorded: Call

    @property
    def marker(self) -> str:
        """A text that stands in what `second` brings and in what follows from it, and in nothing of `first`."""
        assert self.recorded.object_name is not None
        return self.recorded.object_name

    @property
    def calls(self) -> tuple[Call, ...]:
        """All three."""
        return (self.plain, self.corrected, self.recorded)

    def first(self) -> list[Post]:
        """Every event, and the CDR that is corrected later."""
        events = [_event(call, step) for call in self.calls for step in call.times]
        return [*events, _cdr(payloads.cdr(self.corrected))]

    def is_first_told(self, up: Up) -> bool:
        """Whether the sink has the record that the correction will change."""
        call = f"huawei:{self.corrected.session_id}"
        return any(event["subject"] == call and "call.completed" in event["type"] for event in up.events())

    def second(self) -> list[Post]:
        """The CDRs of the other two, the correction, and two things once more that were told before."""
        return [
            _cdr(payloads.cdr(self.plain)),
            _event(self.plain, "callin"),
            _cdr(payloads.cdr(self.recorded)),
            _cdr(payloads.cdr(self.corrected)),
            _cdr(self._correction()),
        ]

    def truth(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """By session, what its record must say: the emulator's word, which knows nothing of our code."""
        for call in self.calls:
            cdr = self._correction() if call is self.corrected else payloads.cdr(call)
            events = {step: payloads.event(call, step) for step in call.times}
            yield (
                call.session_id,
                {
                    "session_id": call.session_id,
                    "given_up": [],
                    "expect": expect(call, seed=SEED, events=events, cdrs={call.record_id: cdr}),
                },
            )

    def _correction(self) -> Content:
        later = self.corrected.times["disconnect"] + CORRECTED_BY
        return payloads.cdr(self.corrected) | {"callEndTime": utc(later)}


def rounds(count: int) -> list[Round]:
    """So many rounds of fresh calls; the platform serves their recordings at the first request."""
    prompt = partial(_is_prompt, Recordings(seed=SEED, app_key="", app_secret=""))
    calls = build_calls(seed=SEED, start=START, calls=_DRAWN)
    silent = (call for call in calls if call.object_name is None)
    recorded = (call for call in calls if prompt(call))
    return [
        Round(plain=plain, corrected=corrected, recorded=third)
        for plain, corrected, third in islice(zip(silent, silent, recorded, strict=False), count)
    ]


class Platform:
    """Pushes at once, and again what was not answered 200, as the platforms do; keeps count."""

    def __init__(self, up: Up) -> None:
        self._up = up
        self.tried = 0
        self.answered = 0

    def push(self, posts: Sequence[Post]) -> list[Post]:
        """Post them all once; returns those that were not answered 200."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            taken = list(pool.map(self._is_taken, posts))
        self.tried += len(posts)
        self.answered += sum(taken)
        return [post for post, done in zip(posts, taken, strict=True) if not done]

    def _is_taken(self, post: Post) -> bool:
        path, body = post
        try:
            return self._up.post(body, path) == 200
        except (OSError, HTTPException):  # the process died: it may have stored the push all the same
            return False


def _event(call: Call, step: str) -> Post:
    return "/status", encode(payloads.event(call, step))


def _cdr(record: Content) -> Post:
    return "/fee", encode(payloads.fee([record], app_key=APP_KEY))


def _is_prompt(platform: Recordings, call: Call) -> bool:
    return call.object_name is not None and platform.mood(call.object_name) == "prompt"
