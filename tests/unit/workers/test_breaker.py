from __future__ import annotations

import pytest

from workers.sinks.breaker import Breaker


def a_breaker(in_a_row: int = 3) -> Breaker:
    return Breaker(in_a_row=in_a_row, first=1, longest=4)


def failed(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    breaker = a_breaker()
    failed(breaker, 2)
    breaker.worked()
    failed(breaker, 2)
    assert not breaker.open
    breaker.failed()
    assert breaker.open


def test_what_was_under_way_while_it_opened_does_not_close_it_and_a_probe_does() -> None:
    breaker = a_breaker()
    failed(breaker, 3)
    breaker.worked()
    assert breaker.open
    breaker.begin()
    assert not breaker.open
    breaker.worked()
    failed(breaker, 2)
    assert not breaker.open


def test_one_probe_that_fails_opens_it_again() -> None:
    breaker = a_breaker()
    failed(breaker, 3)
    breaker.begin()
    breaker.failed()
    assert breaker.open


def test_the_pauses_grow_to_the_longest_and_begin_anew_once_it_worked() -> None:
    breaker = a_breaker()
    for ceiling in (1, 2, 4, 4, 4):
        assert ceiling / 2 <= breaker.pause() <= ceiling
    breaker.worked()
    assert breaker.pause() <= 1


@pytest.mark.parametrize("failures", [1, 1000])
def test_of_nought_it_never_opens(failures: int) -> None:
    breaker = a_breaker(0)
    failed(breaker, failures)
    assert not breaker.open
