"""Builds VoiceCall's calls: callback, notify and verify, with one leg or two (docs/protocols/huawei-voicecall.md)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, Literal

from console.emulator.huawei.pushes import HOSTS, RECORDED_FROM_SECONDS, Ending
from console.emulator.moments import beijing_digits

Product = Literal["callback", "notify", "verify"]
PRODUCTS: Final[tuple[Product, ...]] = ("callback", "callback", "callback", "notify", "notify", "verify")
END_GAP: Final = timedelta(seconds=20)
ENDING_TOGETHER: Final = (1, 1, 2, 3, 5, 13)  # calls of one second, whose CDRs are merged
SPEAKS_OLD_DATES: Final = 0.2  # of calls: two spaces between date and time, as in old demo data
A_STEPS: Final = ("start_a", "ring_a", "answer_a")
B_STEPS: Final = ("start_b", "ring_b", "answer_b")


# Of the first two, the CDR is that of the real record in section 2: 518, SIP status, and Q.850 0 on both legs.
CALLBACK_ENDINGS: Final = (
    Ending(outcome="answered", weight=60, last_step="answer_b", state_code=0,
           state_desc="The user releases the call."),
    Ending(outcome="no_answer", weight=10, last_step="ring_b", state_code=8101,
           state_desc="The called user does not answer.", fail_reason=518, sip=480),
    Ending(outcome="busy", weight=8, last_step="start_b", state_code=8102,
           state_desc="The called user is busy.", fail_reason=518, sip=486),
    Ending(outcome="unreachable", weight=6, last_step="start_b", state_code=8104,
           state_desc="The called user's phone is powered off.", fail_reason=518, q850=20, sip=480),
    Ending(outcome="no_answer", weight=10, last_step="ring_a", state_code=8101,
           state_desc="The called user does not answer.", fail_reason=518, q850=19, sip=480),
    Ending(outcome="unreachable", weight=6, last_step="start_a", state_code=8103,
           state_desc="The called user cannot be reached.", fail_reason=518, q850=20, sip=480),
)  # fmt: skip
ONE_LEG_ENDINGS: Final = (
    Ending(outcome="answered", weight=66, last_step="answer_a", state_code=0,
           state_desc="The user releases the call."),
    Ending(outcome="no_answer", weight=16, last_step="ring_a", state_code=8101,
           state_desc="The called user does not answer.", fail_reason=518, sip=480),
    Ending(outcome="busy", weight=10, last_step="start_a", state_code=8102,
           state_desc="The called user is busy.", fail_reason=518, q850=17, sip=486),
    Ending(outcome="unreachable", weight=8, last_step="start_a", state_code=8104,
           state_desc="The called user's phone is powered off.", fail_reason=518, q850=20, sip=480),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VoiceCall:
    """One call; `user_a` is who is called first (or alone), `user_b` only in callback. Times are UTC, by step."""

    number: int
    product: Product
    ending: Ending
    session_id: str
    record_id: str
    host: str
    user_a: str
    user_b: str | None
    display: str
    bind_number: str
    user_data: str
    digits: str | None
    times: dict[str, datetime]
    old_dates: bool
    object_name: str | None

    @property
    def reached_b(self) -> bool:
        """Whether B was called at all."""
        return "start_b" in self.times


def build_voice_calls(*, seed: int, start: datetime, calls: int) -> list[VoiceCall]:
    """The same seed and start give the same calls; they end in small groups of one second and product."""
    rng = Random(f"{seed}:voicecall")
    ends = start.astimezone(UTC).replace(microsecond=0) + timedelta(minutes=5)
    built: list[VoiceCall] = []
    while len(built) < calls:
        product = rng.choice(PRODUCTS)
        for _ in range(min(rng.choice(ENDING_TOGETHER), calls - len(built))):
            number = len(built)
            built.append(_build(Random(f"{seed}:voicecall:{number}"), number, product, ends))
        ends += END_GAP
    return built


def _build(rng: Random, number: int, product: Product, ends: datetime) -> VoiceCall:
    endings = CALLBACK_ENDINGS if product == "callback" else ONE_LEG_ENDINGS
    ending = rng.choices(endings, [ending.weight for ending in endings])[0]
    times = _times(rng, ending, product, ends)
    host, started = rng.choice(HOSTS), times["start_a"]
    answered = times.get("answer_b")
    talked = int((ends - answered).total_seconds()) if answered else 0
    recorded = talked >= RECORDED_FROM_SECONDS and bool(rng.getrandbits(1))
    asks_digits = product == "notify" and "answer_a" in times and bool(rng.getrandbits(1))
    return VoiceCall(
        number=number,
        product=product,
        ending=ending,
        session_id=f"1201_{10_000 + number}_4294967295_{started:%Y%m%d%H%M%S}@{host}",
        record_id=f"CAE-{beijing_digits(started)}-{rng.randrange(10**7):07d}{number}",
        host=host,
        user_a=f"+861381{2 * number:07d}",
        user_b=f"+861381{2 * number + 1:07d}" if "start_b" in times else None,
        display=f"+8675528{rng.randrange(10):06d}",
        bind_number="+8675528000099",
        user_data=f"customer{number}",
        digits=f"{rng.randrange(10)}" if asks_digits else None,
        times=times,
        old_dates=rng.random() < SPEAKS_OLD_DATES,
        object_name=f"{answered:%y%m%d%H%M%S}{5_000_000 + number:07d}{talked:04d}.wav" if recorded else None,
    )


def _times(rng: Random, ending: Ending, product: Product, ends: datetime) -> dict[str, datetime]:
    """The moments in order, counted back from the end, which the calls of one batch share."""
    steps = [*A_STEPS, *B_STEPS] if product == "callback" else list(A_STEPS)
    reached = steps[: steps.index(ending.last_step) + 1]
    longest = rng.choice((6, 30, 90, 240))
    moment = ends - timedelta(seconds=rng.randint(5, longest))
    times = {"end": ends}
    for step in reversed(reached):
        times[step] = moment
        moment -= timedelta(seconds=rng.randint(1, 12))
    return {step: times[step] for step in (*reached, "end")}
