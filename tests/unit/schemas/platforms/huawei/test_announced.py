"""Recordings that a CDR announces, alike in both of Huawei's products.

Sections are those of docs/protocols/huawei-privatenumber.md; the page of VoiceCall says the same of them.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from schemas.dialect.dialect import AnyDialect
from schemas.facts import Announced, Cdr, Parsed
from schemas.platforms import DIALECTS
from tests.building.pushes import a_push

PRODUCTS: Final = ("huawei_privatenumber", "huawei_voicecall")
FILE: Final = {"recordObjectName": "x.wav", "recordDomain": "d"}


@pytest.fixture(params=PRODUCTS)
def dialect(request: pytest.FixtureRequest) -> AnyDialect:
    return DIALECTS[request.param]


def recordings(dialect: AnyDialect, **fields: Any) -> tuple[Announced, ...]:
    record = {"sessionId": "1200_1", "icid": "record-1", "serviceType": "002", **fields}
    platform = next(name for name, known in DIALECTS.items() if known is dialect)
    source = dialect.settings.model_validate({"name": "huawei", "platform": platform, "tokens": ["token"]})
    (parsed,) = dialect.parse(a_push({"eventType": "fee", "feeLst": [record]}), source)
    assert isinstance(parsed, Parsed)
    assert isinstance(parsed.body, Cdr)
    return parsed.body.recordings


@pytest.mark.parametrize("flag", [1, "1", "true", True])
def test_the_flag_is_written_anyhow_and_a_recording_may_come_as_a_link_alone(dialect: AnyDialect, flag: Any) -> None:
    """Section 7, last line; section 3: name and domain may be empty, then recordFileDownloadUrl counts."""
    link = {"recordObjectName": "", "recordDomain": "", "recordFileDownloadUrl": "https://a.example/x"}
    assert recordings(dialect, recordFlag=flag, **link) == (Announced(url="https://a.example/x"),)


def test_a_record_flag_without_a_file_is_announced_without_a_name(dialect: AnyDialect) -> None:
    """docs/contract.md section 1, recordings: failed, no_file_named."""
    assert recordings(dialect, recordFlag=1) == (Announced(),)


@pytest.mark.parametrize("flag", [0, "0", "false", False, 2, []])
def test_nothing_is_announced_against_the_flag(dialect: AnyDialect, flag: Any) -> None:
    assert recordings(dialect, recordFlag=flag, **FILE) == ()


@pytest.mark.parametrize("flag", [None, ""])
def test_a_file_that_is_named_with_its_host_is_worth_a_try_without_a_flag(dialect: AnyDialect, flag: Any) -> None:
    assert recordings(dialect, recordFlag=flag, **FILE) == (Announced(name="x.wav", domain="d"),)
    for name, half in FILE.items():
        assert recordings(dialect, recordFlag=flag, **{name: half}) == ()
