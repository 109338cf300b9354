"""What was mended while a push was read is told with it, and changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import orjson
import pytest

from schemas.envelope import JsonObject
from schemas.fact_json import encode_fact
from schemas.facts import Announced, Fact
from tests.building.facts import a_cdr, a_decision, all_events, an_event, an_sms, kept
from tests.building.story import Story
from tests.unit.workers.calls.test_sms import Story as SmsStory
from workers.calls.events import event_at_once
from workers.calls.session import Session

MENDED_EVENT = replace(an_event("digits"), repaired=("entity", "character"))
MENDED_CDR = replace(a_cdr(), repaired=("encoding", "character"))


def test_a_record_tells_whatever_was_mended_in_any_of_its_pushes() -> None:
    for order in permutations([MENDED_EVENT, MENDED_CDR]):
        story = Story().told([*order, *all_events()], at=70)
        assert story.record["repaired"] == ["character", "encoding", "entity"]
        assert story.record["complete"]


def test_a_record_of_which_nothing_was_mended_says_so() -> None:
    assert Story().told([*all_events(), a_cdr()], at=70).record["repaired"] == []


def test_a_fact_of_which_nothing_was_mended_is_stored_as_it_always_was() -> None:
    assert "repaired" not in orjson.loads(encode_fact(a_cdr()))
    assert orjson.loads(encode_fact(MENDED_CDR))["repaired"] == ["encoding", "character"]


def test_a_record_that_was_published_without_the_field_is_not_amended_for_it() -> None:
    story = Story().told([*all_events(), a_cdr()], at=70)
    story.session = of_before(story.session)
    assert story.told([replace(a_cdr(told=69), repaired=("character",))], at=80).waits(until=200).types == [
        "call.completed"
    ]
    story.told([an_event("digits", n=1, told=90)], at=90).waits(until=200)
    assert story.types == ["call.completed", "call.amended"]
    assert "/repaired/0" in story.said[-1]["data"]["changed"]


def test_an_old_record_that_is_amended_does_not_name_the_field_as_changed() -> None:
    story = Story().told([*all_events(), a_cdr(recordings=(Announced(name="n.wav", domain="d"),))], at=70)
    story.session = of_before(story.session)
    story.told([an_event("digits", n=1, told=90)], at=90).waits(until=200)
    assert {pointer.split("/")[1] for pointer in story.said[-1]["data"]["changed"]} == {"timeline"}


def test_an_sms_tells_it_too_and_is_not_told_again_for_it() -> None:
    told = [an_sms("block", told=1), a_decision("sms", session="sms1", told=1, action="discard"), an_sms("notify")]
    story = SmsStory().told([*told[:2], replace(told[2], repaired=("character",))], at=2)
    assert story.said[-1]["data"]["sms"]["repaired"] == ["character"]
    old = SmsStory().told(told, at=2)
    assert old.said[-1]["data"]["sms"]["repaired"] == []
    old.session = of_before(old.session)
    assert len(old.told(told, at=90).waits(until=500).said) == 1


def of_before(session: Session | None) -> Session:
    """As a version wrote it that had no such field, nor those of 1.1."""
    assert session is not None
    assert session.published is not None
    record: JsonObject = orjson.loads(session.published)
    for name in ("repaired", "at", "received_at"):
        record.pop(name, None)
    for row in (*record.get("cdrs", ()), *record.get("recordings", ())):
        for name in ("billed_minutes", "name", "media_type"):
            row.pop(name, None)
    return session.having(published=orjson.dumps(record))


@pytest.mark.parametrize("fact", [MENDED_EVENT])
def test_an_event_that_leaves_at_once_tells_it_only_where_something_was(fact: Fact) -> None:
    assert data_of(fact)["repaired"] == ["entity", "character"]
    assert "repaired" not in data_of(replace(fact, repaired=()))


def data_of(fact: Fact) -> JsonObject:
    body = event_at_once(kept(fact), trace="t").body
    assert isinstance(body, bytes)
    data: JsonObject = orjson.loads(body)["data"]
    return data
