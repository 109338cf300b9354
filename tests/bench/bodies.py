"""The pushes of the benchmarks, made from the emulator's payloads: every post is a new session or a new step of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from console.emulator.huawei.privatenumber import payloads
from console.emulator.huawei.privatenumber.calls import Call, build_calls
from console.emulator.huawei.pushes import encode

CDR_POST_BYTES: Final = 1024
STEPS: Final = ("callin", "callout", "alerting", "answer", "disconnect", "fee")
EVENT_STEPS: Final = len(STEPS) - 1
APART: Final = 64  # calls begin between two steps of one, so that no two of them are under way at once
MERGED: Final = 50  # CDRs a post, as the platform does at most (docs/protocols/huawei-privatenumber.md section 3)
SESSION: Final = re.compile(rb"1200_([a-z0-9]+)x(\d+)_0_")
_DIGITS: Final = 8
_SESSION_MARK, _RECORD_MARK = b"@SESSION@", b"@RECORD@"
_HEAD, _TAIL = b'{"eventType":"fee","feeLst":[', b"]}"


@dataclass(frozen=True, kw_only=True)
class Post:
    """One HTTP request: the calls whose last step it is ends them."""

    path: str  # after the token
    body: bytes
    ends: range


def session_id(run: str, call: int) -> str:
    """In the platform's shape; `run` (lower case letters and digits) keeps runs apart."""
    return f"1200_{run}x{call:0{_DIGITS}d}_0_20261121070335@bench.example"


def call_of(body: bytes) -> tuple[str, int] | None:
    """Run and call number of the first session that these bytes name."""
    found = SESSION.search(body)
    return (found[1].decode(), int(found[2])) if found else None


class Posts:
    """The posts of one run by position."""

    def __init__(self, kind: str, *, run: str, calls: int) -> None:
        """`kind`: "steps" (five events and a CDR, posted alone), "cdrs" (a CDR alone) or "merged" (50 CDRs a post)."""
        self._run = run
        self._calls = calls
        self._order = steps_in_order(calls) if kind == "steps" else []
        self._make: Callable[[int], Post] = {"steps": self._step, "cdrs": self._cdr, "merged": self._merged}[kind]
        self.total = {"steps": calls * len(STEPS), "cdrs": calls, "merged": -(-calls // MERGED)}[kind]
        self.notifications = self.total if kind == "steps" else calls
        self._steps, self._record = _templates()

    def __getitem__(self, position: int) -> Post:
        return self._make(position)

    def _step(self, position: int) -> Post:
        call, step = self._order[position]
        if step < EVENT_STEPS:
            return Post(path="/status", body=self._filled(self._steps[step], call), ends=range(0))
        return self._cdr(call)

    def _cdr(self, call: int) -> Post:
        return Post(path="/fee", body=_HEAD + self._filled(self._record, call) + _TAIL, ends=range(call, call + 1))

    def _merged(self, position: int) -> Post:
        calls = range(position * MERGED, min(self._calls, (position + 1) * MERGED))
        records = b",".join([self._filled(self._record, call) for call in calls])
        return Post(path="/fee", body=_HEAD + records + _TAIL, ends=calls)

    def _filled(self, template: bytes, call: int) -> bytes:
        session = session_id(self._run, call).encode()
        record = f"CAE-{self._run}-{call:0{_DIGITS}d}".encode()
        return template.replace(_SESSION_MARK, session).replace(_RECORD_MARK, record)


def steps_in_order(calls: int) -> list[tuple[int, int]]:
    """Call and step of every post: each call begins a tick after the one before, and its steps are ticks apart."""
    apart = max(1, min(APART, calls // len(STEPS)))
    ticks = range(calls + apart * EVENT_STEPS)
    return [
        (tick - step * apart, step) for tick in ticks for step in range(len(STEPS)) if 0 <= tick - step * apart < calls
    ]


def cdr_template() -> bytes:
    """A post of one CDR, with @SESSION@ and @RECORD@ where those ids go (for the generator in Lua)."""
    return _HEAD + _templates()[1] + _TAIL


def _templates() -> tuple[Sequence[bytes], bytes]:
    """The events of a call in order, and its CDR, which makes a post of CDR_POST_BYTES; with marks for the ids."""
    call = _answered_call()
    events = [encode(payloads.event(call, step)) for step in STEPS[:EVENT_STEPS]]
    record = payloads.cdr(call) | {"appKey": "BENCH", "userData": ""}
    ids = len(session_id("r" * 8, 0)) + len("CAE-rrrrrrrr-00000000")
    marks = len(_SESSION_MARK) + len(_RECORD_MARK)
    size = len(_HEAD) + len(encode(record)) - marks + ids + len(_TAIL)
    return events, encode({**record, "userData": "u" * (CDR_POST_BYTES - size)})


def _answered_call() -> Call:
    """One answered AXB call without a recording, its ids replaced by marks."""
    calls = build_calls(seed=1, start=datetime.now(UTC), calls=200)
    call = next(c for c in calls if c.mode == "AXB" and c.ending.outcome == "answered" and not c.object_name)
    return replace(call, session_id=_SESSION_MARK.decode(), record_id=_RECORD_MARK.decode())
