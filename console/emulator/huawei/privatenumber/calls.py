"""Builds calls: who rang whom in which mode, when, and how it ended; no payloads yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from console.emulator.huawei.privatenumber.endings import ENDINGS, STEPS, in_mode, reaches
from console.emulator.huawei.pushes import HOSTS, RECORDED_FROM_SECONDS, Ending
from console.emulator.moments import beijing_digits

MODES = ("AX", "AXB", "AXE", "AXYB", "X")
CALL_GAP = timedelta(seconds=1)
TALK_SECONDS = (10, 30, 60, 120, 240)  # upper bounds, one of them for a call; a sixth lasts 1 or 2 seconds
EXTENSION_SHARE = 0.8  # of AXE calls; in the others A calls back, without collectInfo
UNBOUND_DIRECTION = 2  # "abnormal (no binding etc.)"; docs/protocols/huawei-privatenumber.md section 3


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call as the platform knows it; a step that was not reached has no time."""

    number: int
    mode: str
    ending: Ending
    direction: int
    session_id: str
    record_id: str
    redial_id: str
    binding_id: str
    host: str
    caller: str
    callee: str | None
    private_number: str
    extension: str | None
    user_data: str | None
    times: dict[str, datetime]  # of callin, collectInfo, callout, alerting, answer, disconnect
    object_name: str | None
    asks: bool = False  # its callin waits for a decision: X mode

    @property
    def talk_seconds(self) -> int:
        """Seconds from answer to end."""
        return _talk_seconds(self.times)


def build_calls(*, seed: int, start: datetime, calls: int, ask: bool = False) -> list[Call]:
    """The same seed and start give the same calls; each has a generator of its own. `ask`: calls in X mode wait."""
    first = start.astimezone(UTC).replace(microsecond=0)
    offset = Random(f"{seed}:numbers").randrange(10_000)
    return [
        _build_call(Random(f"{seed}:call:{number}"), number, first + number * CALL_GAP, offset, ask)
        for number in range(calls)
    ]


def _build_call(rng: Random, number: int, called_in: datetime, offset: int, ask: bool) -> Call:
    mode = rng.choice(MODES)
    ending = in_mode(rng.choices(ENDINGS, [ending.weight for ending in ENDINGS])[0], mode)
    asks = ask and mode == "X"
    if asks and ending.outcome == "blocked":  # whether there is a binding is then the customer's word
        ending = ENDINGS[0]
    extension = f"{rng.randint(1, 9999):04d}" if mode == "AXE" and rng.random() < EXTENSION_SHARE else None
    times = _times(rng, ending, called_in, extension)
    host = rng.choice(HOSTS)
    return Call(
        number=number,
        mode=mode,
        ending=ending,
        direction=_direction(rng, mode, ending, extension),
        session_id=_session_id(rng, number, mode, called_in, host),
        record_id=_record_id(rng, number, called_in),
        redial_id=_record_id(rng, number, called_in),
        binding_id=str(UUID(int=rng.getrandbits(128), version=4)),
        host=host,
        caller=_real_number(offset + 2 * number),
        callee=_real_number(offset + 2 * number + 1) if reaches(ending, "callout") else None,
        private_number=f"+8617010000{rng.randrange(20):03d}",
        extension=extension,
        user_data=f"order{number}" if mode == "X" else None,
        times=times,
        object_name=_object_name(rng, number, times),
        asks=asks,
    )


def closed(call: Call) -> Call:
    """The call as it went when the customer did not want it connected.

    No code was found for that: it is told as one without a binding [inferred], docs/protocols/huawei-privatenumber.md
    section 2.
    """
    called_in = call.times["callin"]
    times = {"callin": called_in, "disconnect": called_in + timedelta(seconds=1)}
    unbound = next(ending for ending in ENDINGS if ending.outcome == "blocked")
    return replace(call, ending=unbound, direction=UNBOUND_DIRECTION, callee=None, times=times, object_name=None)


def _times(rng: Random, ending: Ending, called_in: datetime, extension: str | None) -> dict[str, datetime]:
    """The moments of a call in order; an extension is keyed between callin and callout."""
    waits = {
        "callin": 0,
        "collectInfo": rng.randint(2, 9),
        "callout": rng.randint(0, 1),
        "alerting": rng.randint(1, 4),
        "answer": rng.randint(2, 20),
        "disconnect": rng.choice((rng.randint(1, 2), *(rng.randint(3, longest) for longest in TALK_SECONDS))),
    }
    left = {step for step in STEPS if not reaches(ending, step)} | ({"collectInfo"} if not extension else set())
    times: dict[str, datetime] = {}
    now = called_in
    for step, seconds in waits.items():
        if step not in left:
            now += timedelta(seconds=seconds)
            times[step] = now
    return times


def _talk_seconds(times: dict[str, datetime]) -> int:
    if "answer" not in times:
        return 0
    return int((times["disconnect"] - times["answer"]).total_seconds())


def _direction(rng: Random, mode: str, ending: Ending, extension: str | None) -> int:
    """0 to A, 1 from A, 2 without a binding; X as in its sample, AXE from A when A calls back [inferred]."""
    if ending.outcome == "blocked":
        return UNBOUND_DIRECTION
    if mode == "X":
        return 1
    if mode == "AXE":
        return 0 if extension else 1
    return rng.randint(0, 1)


def _session_id(rng: Random, number: int, mode: str, called_in: datetime, host: str) -> str:
    """`<n>_<n>_<4294967295|0>_<yyyyMMddHHmmss>@<host>`, the second number counting calls."""
    node = "1202" if mode == "AXE" else "1200"
    return f"{node}_{1000 + number}_{rng.choice(('4294967295', '0'))}_{called_in:%Y%m%d%H%M%S}@{host}"


def _record_id(rng: Random, number: int, called_in: datetime) -> str:
    """Both shapes of `icid` that were seen; the second holds Beijing time."""
    tail = rng.randrange(10**8)
    if rng.getrandbits(1):
        return f"{rng.getrandbits(128):032x}.{3757285803 + number}.{tail}.5"
    return f"CAE-{beijing_digits(called_in)}-{tail:08d}{number}"


def _real_number(position: int) -> str:
    """A made-up mobile number; the first hundred thousand are +86138000xxxxx."""
    return f"+861380{position:07d}"


def _object_name(rng: Random, number: int, times: dict[str, datetime]) -> str | None:
    """Half of the answered calls that are long enough; the name ends with call number and talk seconds."""
    seconds = _talk_seconds(times)
    if seconds < RECORDED_FROM_SECONDS or rng.getrandbits(1):
        return None
    return f"{times['answer']:%y%m%d%H%M%S}{number:07d}{seconds:04d}.wav"
