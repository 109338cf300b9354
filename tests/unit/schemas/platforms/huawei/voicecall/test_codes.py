"""VoiceCall's codes: a text for every number of the tables, and outcomes by hand.

Source: docs/protocols/huawei-reason-codes.md tables C and D.
"""

from __future__ import annotations

import pytest

from schemas.platforms.huawei.voicecall.codes import FAIL_TEXTS, STATE_TEXTS, fail_code, outcome

# Every number of table C, its older list included, and of table D; "a-b" is a range with both ends.
TABLE_C = (
    "0 7001-7004 7108 7109 8000-8010 8012 8015 8017 8018 8020 8100-8105"
    " 8013 8014 8016 8019 8022 8106-8111"
)  # fmt: skip
TABLE_D = (
    "0 100 501-510 512-522 524 526-530 539-542 550-553 1001-1004 2801-2871 2901-2914 7001-7005 7100 7105-7109 8000 8001"
)

# No row of the contract: PrivateNumber's row where the meaning is the same, else the words of the tables.
OUTCOMES = {
    "busy": "8102 8108",
    "no_answer": "513 514 8003 8101 8107",
    "unreachable": "8100 8103-8106 8109-8111",
    "cancelled": "515 516 530 539 540 552 553 1001-1003 8004 8009 8017",
    "blocked": "528 7001-7005 7108 8013 8014 8016 8018 8019 8022",
}
# docs/contract.md section 1 skips 0 and 518; the others say only that some leg failed.
UNDECIDED = "0 518-521 550 551 8001"


def numbers(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_every_listed_code_has_its_text() -> None:
    assert set(STATE_TEXTS) == numbers(TABLE_C)
    assert set(FAIL_TEXTS) == numbers(TABLE_C) | numbers(TABLE_D)


def test_every_code_means_what_its_table_says() -> None:
    listed = (numbers(TABLE_C) | numbers(TABLE_D)) - numbers(UNDECIDED)
    expected = dict.fromkeys(listed, "failed") | {n: name for name, row in OUTCOMES.items() for n in numbers(row)}
    assert {number: meaning for number in range(10_000) if (meaning := outcome(number))} == expected


@pytest.mark.parametrize("number", [7500, 7501, 7516, 8030, 8035, 8112, 9999, -1])
def test_a_code_of_private_number_alone_decides_nothing_here(number: int) -> None:
    assert outcome(number) is None


@pytest.mark.parametrize(
    ("number", "meaning", "text"),
    [
        # table D: "400-699 also = raw SIP status when no Q.850 came"
        (480, "no_answer", "Temporarily Unavailable"),
        (486, "busy", "Busy Here"),
        (500, "failed", "Server Internal Error"),
        (603, "rejected", "Decline"),
        (488, None, "Not Acceptable Here"),
        (699, None, None),
        # "overlaps 501-553: ambiguous": read as D's own
        (513, "no_answer", "call timeout"),
        (503, "failed", "recording set-up: caller did not join"),
    ],
)
def test_a_fail_code_may_be_a_raw_sip_status(number: int, meaning: str | None, text: str | None) -> None:
    code = fail_code(number)
    assert code is not None
    assert (code.value, code.outcome, code.text) == (number, meaning, text)
