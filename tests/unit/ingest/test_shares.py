"""However much one source or one address has under way, there is as much left for everybody else."""

from __future__ import annotations

import pytest

from ingest.shares import BYTES, REQUESTS, Held, Shares, Stay
from schemas.errors import Rejected

MEBIBYTE = 1024 * 1024


def filled(shares: Shares, source: Held, address: str) -> list[Stay]:
    """As many requests as get in."""
    stays: list[Stay] = []
    while (stay := entered(shares, source, address)) is not None:
        stays.append(stay)
    return stays


def entered(shares: Shares, source: Held, address: str) -> Stay | None:
    try:
        return shares.enter(source, address)
    except Rejected:
        return None


def taken(stays: list[Stay]) -> int:
    """The bytes that get in, in bodies of a mebibyte."""
    size = 0
    for stay in stays:
        try:
            stay.take(MEBIBYTE)
        except Rejected:
            break
        size += MEBIBYTE
    return size


def test_a_source_alone_has_half_of_the_requests_and_the_next_one_half_of_the_rest() -> None:
    shares = Shares()
    many = filled(shares, Held(), "a")
    assert (len(many), len(filled(shares, Held(), "b"))) == (REQUESTS // 2, REQUESTS // 4)


def test_where_connections_are_few_a_source_keeps_half_of_them_busy_at_most() -> None:
    shares = Shares(connections=700)
    assert (len(filled(shares, Held(), "a")), len(filled(shares, Held(), "b"))) == (350, 175)


def test_one_address_with_the_urls_of_many_sources_has_no_more_than_one() -> None:
    shares = Shares()
    assert len(filled(shares, Held(), "a")) == REQUESTS // 2
    with pytest.raises(Rejected):
        shares.enter(Held(), "a")
    shares.enter(Held(), "b")


def test_behind_a_proxy_one_leaked_url_takes_nothing_from_the_sources_at_the_same_address() -> None:
    shares = Shares(by_address=False)
    assert len(filled(shares, Held(), "proxy")) == REQUESTS // 2
    assert len(filled(shares, Held(), "proxy")) == REQUESTS // 4
    assert len(shares) == 0


def test_half_bodies_are_bounded_whoever_sends_them() -> None:
    shares = Shares()
    many, more = [[shares.enter(source, name) for _ in range(600)] for source, name in ((Held(), "a"), (Held(), "b"))]
    assert (taken(many), taken(more)) == (BYTES // 2, BYTES // 4)
    shares.enter(Held(), "c").take(MEBIBYTE)


def test_what_was_answered_makes_room_and_nothing_is_remembered_of_its_address() -> None:
    shares, source = Shares(), Held()
    stays = filled(shares, source, "a")
    taken(stays)
    for stay in stays:
        stay.leave()
    assert (source.requests, source.size, shares.all.requests, shares.all.size, len(shares)) == (0, 0, 0, 0, 0)


def test_what_was_refused_counts_for_nobody() -> None:
    shares, source = Shares(), Held()
    stays = filled(shares, source, "a")
    taken(stays)
    before = source.size
    with pytest.raises(Rejected, match="too many bytes at once") as too_large:
        stays[0].take(BYTES)
    with pytest.raises(Rejected, match="too many requests at once") as too_many:
        shares.enter(source, "a")
    assert (too_large.value.status, too_many.value.status) == (503, 503)
    assert (source.size, source.requests, shares.all.requests) == (before, len(stays), len(stays))
