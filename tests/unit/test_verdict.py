"""The retry policy as a table."""

from __future__ import annotations

import pytest

from runtime.verdict import POLICIES, DeadLetter, Policy, Quarantine, Retry, Verdict, reason_of, verdict
from schemas.errors import Malformed, Permanent, Transient
from schemas.topology import RETRY_DELAYS

POLICY = Policy(("1s", "30s", "10m"))


@pytest.mark.parametrize(
    ("error", "attempt", "expected"),
    [
        (Transient("x"), 1, Retry("1s")),
        (Transient("x"), 2, Retry("30s")),
        (Transient("x"), 3, Retry("10m")),
        (Transient("x"), 4, DeadLetter("Transient: x")),
        (Transient("x", retry_after=3), 1, Retry("5s")),
        (Transient("x", retry_after=0), 2, Retry("30s")),
        (Transient("x", retry_after=99999), 1, Retry("6h")),
        (Transient("x", retry_after=3), 4, DeadLetter("Transient: x")),
        (Permanent("x"), 1, DeadLetter("Permanent: x")),
        (Malformed("odd"), 1, Quarantine("odd")),
        (Malformed("odd"), 4, Quarantine("odd")),
        (KeyError("+8613800000021"), 1, Retry("1s")),
        (KeyError("+8613800000021"), 4, DeadLetter("KeyError")),
    ],
)
def test_an_error_and_an_attempt_make_a_verdict(error: Exception, attempt: int, expected: Verdict) -> None:
    assert verdict(error, attempt, POLICY) == expected


def test_every_stage_retries_in_tiers_that_exist() -> None:
    assert {delay for policy in POLICIES.values() for delay in policy.delays} <= RETRY_DELAYS.keys()
    assert POLICY.last_attempt == 4


def test_a_foreign_exception_is_told_by_type_and_place_never_by_text() -> None:
    try:
        int("+8613800000021x")
    except ValueError as error:
        told = reason_of(error)
    assert told.startswith("ValueError at test_verdict.py:")
    assert "138" not in told
