from __future__ import annotations

from runtime import drain


def test_what_follows_each_other_in_a_drain_fits_into_the_twenty_seconds_that_are_documented() -> None:
    assert drain.DOOR + drain.AFTER_ANSWERS + drain.TALLY + drain.STAGES <= drain.PROCESS
    assert drain.PROCESS + drain.CUT_OFF == drain.MEMBER == 20
