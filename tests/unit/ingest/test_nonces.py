"""A nonce serves once, for as long as its timestamp would be believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ingest.nonces import Nonces

T0 = datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)
KEEP = timedelta(minutes=30)


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def test_a_nonce_serves_once() -> None:
    nonces = Nonces(keep=KEEP)
    assert nonces.is_new("n1", T0)
    assert nonces.is_new("n2", T0)
    assert not nonces.is_new("n1", T0)
    assert not nonces.is_new("n1", after(30))


def test_a_replay_does_not_renew_the_memory() -> None:
    nonces = Nonces(keep=KEEP)
    nonces.is_new("n1", T0)
    nonces.is_new("n1", after(29))
    assert nonces.is_new("n1", after(31))


def test_what_is_too_old_is_forgotten() -> None:
    nonces = Nonces(keep=KEEP)
    for n in range(10):
        nonces.is_new(str(n), after(n))
    nonces.is_new("last", after(35))
    assert len(nonces) == 6
    assert nonces.is_new("4", after(35))
    assert not nonces.is_new("5", after(35))


def test_there_are_never_more_than_allowed_and_the_oldest_go() -> None:
    nonces = Nonces(keep=KEEP, most=3)
    for n in range(5):
        assert nonces.is_new(str(n), T0)
    assert len(nonces) == 3
    assert [nonces.is_new(n, T0) for n in ("2", "3", "4", "1")] == [False, False, False, True]


def test_two_sources_have_two_memories() -> None:
    one, other = Nonces(keep=KEEP), Nonces(keep=KEEP)
    assert one.is_new("n", T0)
    assert other.is_new("n", T0)


def test_a_nonce_may_be_of_any_length_and_any_text() -> None:
    nonces = Nonces(keep=KEEP)
    for nonce in ("", "\0", "号" * 100_000, "\udcff"):
        assert nonces.is_new(nonce, T0)
        assert not nonces.is_new(nonce, T0)
