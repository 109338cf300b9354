"""How fast a sink that rested may go."""

from __future__ import annotations

from runtime.consume.ramp import Ramp


def taken(ramp: Ramp, clock: list[float], until: float) -> int:
    """How many messages go until then, in batches of 128 at most that take no time themselves."""
    count = 0
    while clock[0] < until:
        most = ramp.most(128)
        count += most
        clock[0] += max(ramp.pause(most), 0.001)
    return count


def test_it_begins_slowly_and_doubles_until_there_is_no_limit() -> None:
    clock = [0.0]
    ramp = Ramp(lambda: clock[0])
    assert (ramp.most(128), ramp.pause(128), ramp.limits) == (128, 0.0, False), "nothing rested yet"
    ramp.begin()
    assert ramp.limits
    assert 30 <= taken(ramp, clock, 5) <= 45, "5 to 10 a second"
    assert 60 <= taken(ramp, clock, 10) <= 90
    assert 120 <= taken(ramp, clock, 15) <= 180
    clock[0] = 61.0
    assert (ramp.most(128), ramp.pause(128), ramp.limits) == (128, 0.0, False)
    ramp.begin()
    assert ramp.most(128) == 5


def test_one_that_began_a_while_ago_is_as_far_as_it_would_be_by_now() -> None:
    ramp = Ramp(lambda: 1000.0)
    ramp.begin(ago=20)
    assert (ramp.most(128), ramp.limits) == (80, True)
    ramp.begin(ago=86_400)
    assert (ramp.most(128), ramp.limits) == (128, False)
