"""Numbers as they are published, and when two of them are one."""

from __future__ import annotations

from itertools import product

import pytest

from schemas.numbers import e164, same_number


@pytest.mark.parametrize(
    ("sent", "published"),
    [
        ("13100000011", "+8613100000011"),
        ("075512345678", "+8675512345678"),
        ("01012345678", "+861012345678"),
        ("+8613100000011", "+8613100000011"),
        ("006591234567", "+6591234567"),
        ("008613100000011", "+8613100000011"),
        ("0085212345678", "+85212345678"),
        ("8613100000011", "8613100000011"),
        ("0755-12345678", "0755-12345678"),
        ("00000000000", "00000000000"),
        ("0000000000", "0000000000"),
        ("00", "00"),
        ("0012", "0012"),
        ("95588", "95588"),
        ("1008611", "1008611"),
        ("anonymous", "anonymous"),
        ("0anonymous", "0anonymous"),
        ("", ""),
    ],
)
def test_a_number_is_published_in_e164_where_it_is_one(sent: str, published: str) -> None:
    assert e164(sent) == published
    assert e164(published) == published


ONE_MOBILE = (
    "13100000011", "+8613100000011", "8613100000011", "008613100000011", "+86 131 0000 0011", "131-0000-0011",
    "0086 131 0000 0011",
)  # fmt: skip
ONE_LANDLINE = (
    "075512345678", "0755-12345678", "+8675512345678", "8675512345678", "(0755) 12345678", "+86 0755 12345678",
    "0086-755-12345678",
)  # fmt: skip


def test_one_number_is_itself_however_it_is_spelled() -> None:
    for spellings in (ONE_MOBILE, ONE_LANDLINE):
        assert all(same_number(one, other) for one, other in product(spellings, spellings))


def test_two_numbers_are_never_one() -> None:
    others = ("13100000012", "006591234567", "00000000000", "95588", "anonymous", "075512345679")
    assert not any(same_number(one, other) for one, other in product(others, (*ONE_MOBILE, *ONE_LANDLINE)))
    assert not any(same_number(one, other) for n, one in enumerate(others) for other in others[n + 1 :])
    assert same_number("006591234567", "+65 9123 4567")


def test_a_number_that_is_not_known_is_nobodys() -> None:
    assert not same_number(None, None)
    assert not same_number(None, "13100000011")


@pytest.mark.parametrize("nothing", ["", " ", "-", "()", " . "])
def test_what_holds_no_number_is_nobodys(nothing: str) -> None:
    assert not same_number(nothing, nothing)
    assert not same_number(nothing, "13100000011")
    assert not same_number(nothing, "")
