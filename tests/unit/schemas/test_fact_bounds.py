"""A fact is bounded where it is made: its `raw` goes, then what its longest texts have too much; both are told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from schemas.dialect import items
from schemas.errors import Malformed
from schemas.fact_json import FIELDS_BYTES, RAW_BYTES, TOLD_BYTES, encode_fact
from schemas.facts import Announced, Code, Fact
from schemas.platforms import DIALECTS
from tests.building.facts import a_cdr, a_fact, an_event, an_sms
from tests.building.pushes import a_push, fact_of

KIB = 1024


def encoded(fact: Fact) -> Any:
    return json.loads(encode_fact(fact))


@pytest.mark.parametrize("size", [0, 100, RAW_BYTES - 2 * KIB, RAW_BYTES - 20])
def test_a_raw_within_its_bound_is_kept_whole(size: int) -> None:
    fact = a_cdr(raw={"pad": "p" * size})
    row = encoded(fact)
    assert row["body"]["raw"] == {"pad": "p" * size}
    assert "repaired" not in row
    assert row["fingerprint"] == fact.fingerprint


def test_a_longer_one_is_left_out_and_the_fields_of_the_cdr_stay() -> None:
    row, small = encoded(a_cdr(raw={"pad": "p" * RAW_BYTES}, user_data="u" * 300)), encoded(a_cdr(user_data="u" * 300))
    assert row["repaired"] == ["cut"]
    assert row["body"] == {**small["body"], "raw": {}}


def test_what_was_mended_before_stays_told() -> None:
    row = encoded(replace(a_cdr(raw={"pad": "p" * RAW_BYTES}), repaired=("entity",)))
    assert row["repaired"] == ["cut", "entity"]


def test_texts_that_no_platform_documents_are_shortened_wherever_they_stand() -> None:
    long = "t" * 40 * KIB
    facts = [
        a_cdr(user_data=long, codes=(Code(name="state_code", value=long, text=long),), binding_id=long),
        a_cdr(recordings=(Announced(name=long, url=long),), raw={}),
        an_event("incoming", user_data=long, caller=long),
        an_sms("notify", text=long, sender=long),
    ]
    for fact in facts:
        row = encoded(fact)
        del row["body"]["raw"]
        assert row["repaired"] == ["cut"]
        assert 500 < len(json.dumps(row["body"])) < FIELDS_BYTES


def test_what_is_told_alone_may_be_as_long_as_a_push() -> None:
    """A transcript of an hour is no session's: it goes out once, and there is nothing else of it."""
    transcript = items.other({"sentences": "s" * (TOLD_BYTES - KIB)}, session_id=None, named=True)
    fact = a_fact(transcript.kind, transcript.key, transcript.body, told=1, session="")
    assert len(encoded(fact)["body"]["raw"]["sentences"]) == TOLD_BYTES - KIB
    longer = items.other({"sentences": "s" * TOLD_BYTES}, session_id=None, named=True)
    row = encoded(a_fact(longer.kind, longer.key, longer.body, told=1, session=""))
    assert (row["body"]["raw"], row["repaired"]) == ({}, ["cut"])


def test_the_fingerprint_is_still_of_the_whole_item() -> None:
    dialect = DIALECTS["huawei_privatenumber"]
    source = dialect.settings.model_validate({"name": "s", "platform": dialect.name, "tokens": ["t"]})
    rows = []
    for pad in "ab":
        record = {"sessionId": "s1", "icid": "r1", "pad": pad + "p" * RAW_BYTES}
        (item,) = dialect.parse(a_push({"eventType": "fee", "feeLst": [record]}), source)
        assert not isinstance(item, Malformed)
        rows.append(encoded(fact_of(item, source, at=a_cdr().at)))
    assert [row["body"]["raw"] for row in rows] == [{}, {}]
    assert rows[0]["key"] == rows[1]["key"]
    assert rows[0]["fingerprint"] != rows[1]["fingerprint"]
