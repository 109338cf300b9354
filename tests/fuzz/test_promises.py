"""The fuzzer's own check can fail: each promise, broken on purpose by a dialect that is otherwise right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from schemas.errors import Malformed
from schemas.facts import Cdr, Parsed
from schemas.notification import Notification, Reply
from schemas.platforms.huawei.privatenumber import DIALECT
from tests.building.pushes import a_push
from tests.contracts.platforms import SAMPLES, sources
from tests.fuzz import promises
from tests.fuzz.promises import keeps_all_promises
from tests.fuzz.steps import counted

CDR = a_push(SAMPLES["huawei_privatenumber/axb-fee.json"])
SOURCE = sources(DIALECT)[1]
Read = Callable[[Notification, Any], Sequence[Parsed | Malformed]]


def with_raw(**raw: Any) -> Read:
    """A reader that puts something into what it kept."""

    def read(push: Notification, source: Any) -> Sequence[Parsed | Malformed]:
        (cdr,) = DIALECT.parse(push, source)
        assert isinstance(cdr, Parsed)
        assert isinstance(cdr.body, Cdr)
        return [replace(cdr, body=replace(cdr.body, raw={**cdr.body.raw, **raw}))]

    return read


def raises(_: Notification, __: Any) -> Sequence[Parsed | Malformed]:
    raise KeyError("feeLst")


def tells_a_number(_: Notification, __: Any) -> Sequence[Parsed | Malformed]:
    raise Malformed("no_such_event: 13866887021")


def says_nothing(_: Notification, __: Any) -> Sequence[Parsed | Malformed]:
    return []


def compares_all_with_all(push: Notification, source: Any) -> Sequence[Parsed | Malformed]:
    assert not [1 for a in push.body for b in push.body if a < b < a]
    return DIALECT.parse(push, source)


@pytest.mark.parametrize(
    ("read", "breach"),
    [
        (raises, KeyError),
        (tells_a_number, AssertionError),
        (says_nothing, AssertionError),
        (compares_all_with_all, AssertionError),
        (with_raw(pad="a\0b"), AssertionError),
        (with_raw(pad="x" * 60_000), AssertionError),
    ],
)
def test_a_broken_promise_is_told(read: Read, breach: type[Exception]) -> None:
    with pytest.raises(breach):
        keeps_all_promises(replace(DIALECT, parse=read), CDR, SOURCE)


def test_a_reply_that_fails_is_told() -> None:
    with pytest.raises(AssertionError):
        keeps_all_promises(replace(DIALECT, reply=lambda _: Reply(status=500)), CDR, SOURCE)


def test_a_mask_that_hides_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "masked_json", lambda row: row)
    with pytest.raises(AssertionError, match="shows a number"):
        keeps_all_promises(DIALECT, CDR, SOURCE)


def test_the_dialect_as_it_is_keeps_them() -> None:
    keeps_all_promises(DIALECT, CDR, SOURCE)


def test_work_that_grows_faster_than_its_input_is_counted() -> None:
    def pairs(n: int) -> int:
        return sum(1 for a in range(n) for b in range(n) if a < b)

    assert counted(lambda: pairs(200))[1] > 3.5 * counted(lambda: pairs(100))[1]
