"""What every platform promises (schemas/dialect/dialect.py), over all that stand in `DIALECTS`: a new one is covered.

What a platform reads in its own pushes is for its own tests.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.dialect import items
from schemas.dialect.dialect import AnyDialect
from schemas.dialect.fields import MAX_ID
from schemas.errors import Permanent, Transient
from schemas.fact_json import encode_fact
from schemas.facts import FactKind, Parsed
from schemas.notification import Reply, from_json, to_json
from schemas.platforms import DIALECTS
from schemas.question import Decision
from schemas.record import SmsRecord
from schemas.recording import RecordingWanted
from schemas.settings import Host
from schemas.settings.source import Source
from tests.building.damage import SHORT_TEXTS
from tests.building.facts import kept
from tests.building.pushes import XML, a_push, fact_of, through_the_broker
from tests.building.records import record_of
from tests.contracts.platforms import (
    DECISIONS,
    SAMPLES,
    SECRET,
    any_item,
    any_item_of,
    batches,
    pushes,
    said,
    sources,
)
from workers.calls.sms import build_sms

NOW = datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)
SMS_RECORD = TypeAdapter(SmsRecord)
NUMBERS = dict.fromkeys((items.NUMBER_BY_CONTENT, items.NUMBER_BY_LATEST), FactKind.NUMBER_STATE)
KIND_OF = {**{word: kind for kind, word in items.WORDS.items()}, **NUMBERS}
OF_A_CALL = (FactKind.CALL_EVENT, FactKind.CDR, FactKind.ANNOUNCEMENT)


def every(*parts: str) -> pytest.MarkDecorator:
    """All platforms that have these optional parts."""
    having = {name: one for name, one in DIALECTS.items() if all(getattr(one, part) is not None for part in parts)}
    return pytest.mark.parametrize("dialect", having.values(), ids=having)


every_platform = every()
modest = settings(max_examples=60)


@every_platform
@modest
@given(data=st.data())
def test_any_push_becomes_facts_or_a_reason(dialect: AnyDialect, data: st.DataObject) -> None:
    push, source = data.draw(pushes(dialect)), data.draw(st.sampled_from(sources(dialect)))
    told = said(dialect, push, source)
    assert told, "nothing was told, and nothing refused"
    for item in [told] if isinstance(told, str) else told:
        if isinstance(item, str):
            assert re.fullmatch(r"[a-z0-9_]+(: .+)?", item)
            assert tells_no_number(item)
        else:
            is_a_sound_fact(item, source)


def tells_no_number(refusal: str) -> bool:
    """Counts and result codes are shorter."""
    return not re.search(r"\d{8}", refusal)


def is_a_sound_fact(item: Parsed, source: Source) -> None:
    """It has a key of its kind, reads the same behind the broker, and makes a record as published."""
    assert re.fullmatch("[0-9a-f]{64}", item.fingerprint)
    assert len(item.session_id) <= MAX_ID
    assert KIND_OF[item.key.partition("|")[0]] == item.kind
    assert items.folds(item.key) == (item.kind in (*OF_A_CALL, FactKind.SMS))
    fact = fact_of(item, source, at=NOW)
    assert through_the_broker(fact) == fact
    if item.kind in OF_A_CALL:
        assert record_of([fact])["session_id"] == item.session_id
    if item.kind == FactKind.SMS:
        SMS_RECORD.validate_python(build_sms([kept(fact)], revision=1), strict=True)


@every_platform
@modest
@given(data=st.data())
def test_any_push_is_verified_and_acknowledged(dialect: AnyDialect, data: st.DataObject) -> None:
    push, source = data.draw(pushes(dialect)), data.draw(st.sampled_from(sources(dialect)))
    reply = dialect.reply(push)
    assert isinstance(reply, Reply)
    assert reply.status // 100 == 2
    if dialect.verify is not None:
        assert dialect.verify(push, source, NOW) in (None, False, True)
    if dialect.once is not None:
        assert dialect.once.nonce(push) is None or dialect.once.nonce(push)
        assert dialect.once.keep(source) > timedelta(0)


@every("asks")
@modest
@given(data=st.data(), decision=DECISIONS)
def test_a_question_is_a_fact_of_its_push_and_any_answer_fits_any_push(
    dialect: AnyDialect, data: st.DataObject, decision: Decision
) -> None:
    assert dialect.asks is not None
    push, source = data.draw(pushes(dialect)), data.draw(st.sampled_from(sources(dialect)))
    asked = dialect.asks.question(push, source)
    if asked is not None:
        facts = [item for item in said(dialect, push, source) if isinstance(item, Parsed)]
        assert (asked.session_id, asked.key, asked.fingerprint) in [
            (fact.session_id, fact.key, fact.fingerprint) for fact in facts
        ]
    reply = dialect.asks.answer(push, decision, source)
    assert isinstance(reply, Reply)
    assert SECRET.encode() not in reply.body


@every_platform
@modest
@given(data=st.data())
def test_the_same_bytes_say_the_same_on_either_side_of_the_broker(dialect: AnyDialect, data: st.DataObject) -> None:
    push, source = data.draw(pushes(dialect)), data.draw(st.sampled_from(sources(dialect)))
    behind = from_json(orjson.loads(orjson.dumps(to_json(push))))
    assert said(dialect, behind, source) == said(dialect, push, source)
    assert dialect.reply(behind) == dialect.reply(push)


@pytest.mark.parametrize("dialect", [one for one in DIALECTS.values() if batches(one)], ids=lambda one: one.name)
@modest
@given(data=st.data())
def test_an_item_is_read_the_same_whatever_stands_beside_it(dialect: AnyDialect, data: st.DataObject) -> None:
    """A refused item leaves its neighbours as they are, and in any order each has the same key and fingerprint.

    NUL is dropped before anything is read, so all items of its push say `character` (docs/contract.md section 1).
    """
    batch = data.draw(st.sampled_from(batches(dialect)))
    source = data.draw(st.sampled_from(sources(dialect)))
    rows = data.draw(st.lists(any_item_of(batch), min_size=1, max_size=4))
    together = said(dialect, a_push(batch.of(rows)), source)
    alone = [said(dialect, a_push(batch.of([row])), source) for row in rows]
    expected = [result for results in alone for result in results]
    if "\\u0000" in json.dumps(rows):
        assert [but_for_character(one) for one in together] == [but_for_character(one) for one in expected]
    else:
        assert together == expected


def but_for_character(said: Parsed | str) -> Parsed | str:
    if isinstance(said, str):
        return said
    return replace(said, repaired=tuple([word for word in said.repaired if word != "character"]))


@every_platform
def test_no_platform_stumbles_over_the_pushes_of_another(dialect: AnyDialect) -> None:
    for body in SAMPLES.values():
        for source in sources(dialect):
            assert said(dialect, a_push(body), source)
            assert said(dialect, a_push(body, content_type=XML), source)


@pytest.mark.parametrize("name", SAMPLES)
def test_no_number_stands_in_a_key(name: str) -> None:
    """Keys reach logs."""
    dialect = DIALECTS[name.partition("/")[0]]
    for source in sources(dialect):
        for item in said(dialect, a_push(SAMPLES[name]), source):
            if isinstance(item, Parsed):
                assert [number for number in numbers_in(item.body) if number in item.key] == []


def numbers_in(body: Any) -> set[str]:
    """The national digits of everything E.164 in a fact's body."""
    return {found.removeprefix("+86") for found in re.findall(r"\+\d{8,15}", orjson.dumps(body).decode())}


ANSWERS = [name for name in SAMPLES if "response" in name or "/ack." in name]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_was_pushed_says_neither_what_it_is_nor_of_which_call(name: str) -> None:
    dialect = DIALECTS[name.partition("/")[0]]
    assert said(dialect, a_push(SAMPLES[name]), sources(dialect)[0]) == ["unknown_push"]


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ANSWERS])
def test_a_field_that_nobody_has_seen_is_kept(name: str) -> None:
    dialect, body = DIALECTS[name.partition("/")[0]], SAMPLES[name]
    for item in said(dialect, a_push(with_a_new_field(name, body)), sources(dialect)[0]):
        assert isinstance(item, Parsed)
        raw = json.loads(encode_fact(fact_of(item, sources(dialect)[0], at=NOW)))["body"]["raw"]
        assert '"brandNew": "kept"' in json.dumps(raw)


def with_a_new_field(name: str, body: bytes) -> bytes:
    """The sample with another field in each of its objects, or at the end of its document or form."""
    if name.endswith(".form"):
        return body.rstrip() + b"&brandNew=kept"
    if name.endswith(".xml"):
        head, end, tail = body.rpartition(b"</")
        return head + b"<brandNew>kept</brandNew>" + end + tail
    return json.dumps(_with_new_fields(json.loads(body))).encode()


def _with_new_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {"brandNew": "kept", **{name: _with_new_fields(inner) for name, inner in value.items()}}
    return [_with_new_fields(inner) for inner in value] if isinstance(value, list) else value


WANTED = st.builds(
    RecordingWanted,
    call_id=st.just("a-source:1"),
    session_id=st.just("1"),
    key=st.just("k"),
    name=st.none() | SHORT_TEXTS,
    domain=st.none() | SHORT_TEXTS,
    url=st.none() | SHORT_TEXTS,
    called_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)


@every("recordings")
@modest
@given(data=st.data(), wanted=WANTED)
def test_a_recording_is_asked_for_or_the_reason_told(
    dialect: AnyDialect, data: st.DataObject, wanted: RecordingWanted
) -> None:
    assert dialect.recordings is not None
    source = data.draw(st.sampled_from(sources(dialect)))
    asked: object
    try:
        asked = dialect.recordings.request(wanted, source, nonce="1", created=NOW)
    except (Transient, Permanent) as refused:
        asked = refused
    assert SECRET not in str(asked)


@every("recordings")
@modest
@given(data=st.data(), status=st.integers(100, 599))
def test_any_answer_tells_where_a_recording_is_or_why_not(
    dialect: AnyDialect, data: st.DataObject, status: int
) -> None:
    assert dialect.recordings is not None
    body = data.draw(st.binary(max_size=64) | any_item(dialect).map(lambda row: json.dumps(row).encode()))
    try:
        told = dialect.recordings.location(status, {}, body)
    except (Transient, Permanent) as refused:
        assert tells_no_number(str(refused))  # noqa: PT017
        return
    assert told


@every_platform
def test_its_settings_are_a_source_whose_faults_repeat_no_value(dialect: AnyDialect) -> None:
    least = sources(dialect)[0]
    assert isinstance(least, Source)
    for key in ("no_such_key", "appsecret"):
        with pytest.raises(ValidationError, match="forbid") as refused:
            dialect.settings.model_validate({**least.model_dump(), key: SECRET})
        assert SECRET not in str(refused.value)


@every_platform
def test_its_patience_and_its_hosts_can_be_used(dialect: AnyDialect) -> None:
    assert 0 < dialect.confirm_seconds <= 3
    TypeAdapter(tuple[Host, ...]).validate_python(dialect.audio_hosts)
