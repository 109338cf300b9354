"""Outcomes as they are listed, and a text for every code of the tables.

Source: docs/contract.md section 1; docs/protocols/huawei-reason-codes.md tables A, B and E.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from schemas.dialect.q850 import Q850_TEXTS, q850_code, q850_outcome, sip_code, sip_outcome
from schemas.facts import Code
from schemas.numbers import e164
from schemas.platforms.huawei.privatenumber.codes import FAIL_TEXTS, STATE_TEXTS, fail_code, outcome

# docs/contract.md section 1, "PrivateNumber codes", copied by hand; "a-b" is a range with both ends.
PRIVATE_NUMBER = {
    "busy": "8102",
    "no_answer": "8101 8003 8035",
    "rejected": "7503 7504",
    "unreachable": "8100 8103-8105",
    "cancelled": "7501 7502 7516 8004 8009",
    "blocked": "7001-7005 7108 7500 8013 8014 8016 8018 8019 8022-8025 8030 8032 8033 8042-8051 8055-8059",
}
Q850 = {
    "busy": "17",
    "no_answer": "18 19",
    "rejected": "21",
    "unreachable": "1 20 22 27",
    "cancelled": "16",
}
SIP = {
    "busy": "486 600",
    "no_answer": "408 480",
    "cancelled": "487",
    "rejected": "603",
    "unreachable": "404 410",
    "blocked": "403",
    "failed": "500-599",
}

# Every number that stands in table A, and in table B, row by row.
TABLE_A = (
    "0 8013 8014 8016 8019 8022 8030 8031 7501 7502 7516 8032 8033 8025 7503 7504 8035 8100-8105 7100 7101 7105 7106"
    " 7108 7507 8006 8010 7001-7005 7107 7109 7500 8018 8023 8024 8042-8044 8046-8051 8055-8057 522 8007 8008 8015 8041"
    " 7102 8011 8020"
)
TABLE_B = (
    "0 522 7001-7005 7100-7109 7500-7508 7516 8002-8016 8018-8020 8022-8025 8033 8035 8040 8041 8042-8044 8046-8051"
    " 8055-8059 8100-8105"
)
TABLE_E = "0-9 16-23 25-31 34 38-44 46 47 49 50 53 55 57 58 62 63 65 66 69 70 79 81-88 90 91 95-103 110 111 127"


def numbers(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def by_number(table: dict[str, str]) -> dict[int, str]:
    return {number: name for name, text in table.items() for number in numbers(text)}


def test_a_private_number_code_means_what_the_contract_says() -> None:
    listed = numbers(TABLE_A) | numbers(TABLE_B)
    expected = dict.fromkeys(listed - {0}, "failed") | by_number(PRIVATE_NUMBER)
    assert {number: meaning for number in range(10_000) if (meaning := outcome(number))} == expected


@pytest.mark.parametrize("number", [0, 518, 8106, 9999, -1])
def test_no_failure_and_the_unlisted_decide_nothing(number: int) -> None:
    assert outcome(number) is None


def test_q850_means_what_the_contract_says() -> None:
    assert {number: meaning for number in range(200) if (meaning := q850_outcome(number))} == by_number(Q850)


def test_sip_means_what_the_contract_says() -> None:
    assert {number: meaning for number in range(800) if (meaning := sip_outcome(number))} == by_number(SIP)


def test_every_listed_code_has_its_text() -> None:
    assert set(STATE_TEXTS) >= numbers(TABLE_A)
    assert set(FAIL_TEXTS) >= numbers(TABLE_B)
    assert set(Q850_TEXTS) >= numbers(TABLE_E)


def test_two_codes_read_differently_in_tables_a_and_b() -> None:
    assert (STATE_TEXTS[7503], FAIL_TEXTS[7503]) == ("callee rejected", "callee hung up")
    assert (STATE_TEXTS[8035], FAIL_TEXTS[8035]) == ("platform connect timeout", "no answer, ring timeout")


@pytest.mark.parametrize(
    ("sent", "published"),
    [
        ("13800000021", "+8613800000021"),
        ("+8613800000021", "+8613800000021"),
        ("01085550000", "+861085550000"),
        ("075528780808", "+8675528780808"),
        ("0108555000", "+86108555000"),
        ("010855500", "010855500"),
        ("0755287808080", "0755287808080"),
        ("138000000211", "138000000211"),
        ("13800000021\n", "13800000021\n"),
        ("1380000002\u0661", "1380000002\u0661"),
        ("95105670", "95105670"),
        ("anonymous", "anonymous"),
    ],
)
def test_a_number_is_published_in_e164(sent: str, published: str) -> None:
    """docs/contract.md section 1, Numbers."""
    assert e164(sent) == published


@pytest.mark.parametrize("read", [fail_code, q850_code, sip_code])
def test_a_code_that_was_read_before_is_not_taken_for_one_that_equals_it(read: Callable[[object], Code | None]) -> None:
    codes = [read(sent) for sent in (1, True, "1", 1.0, 1, [1])]
    assert [code and (code.value, type(code.value)) for code in codes] == [
        (1, int),
        None,
        ("1", str),
        None,
        (1, int),
        None,
    ]


@pytest.mark.parametrize(
    ("causes", "told"),
    [
        ((0, 17), 17),
        ((17, 18), 17),
        ((0, "0"), 0),
        ((None, "0", 0), "0"),
        (("", "17"), "17"),
        ((None, ""), None),
        ((), None),
    ],
)
def test_the_first_cause_that_applies_is_told(causes: Sequence[object], told: object) -> None:
    code = q850_code(*causes)
    assert (code and code.value) == told
