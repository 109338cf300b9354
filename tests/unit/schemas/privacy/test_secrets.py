"""Platform keys and signed links: left out of every fact at whatever depth, and of what was stored before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import orjson
import pytest

from console.stories import STORIES, Push
from schemas.envelope import Envelope, JsonObject, Kind
from schemas.errors import Malformed
from schemas.fact_json import encode_fact, identified
from schemas.facts import Announced, Fact, Sms
from schemas.notification import Notification
from schemas.platforms import DIALECTS
from schemas.privacy.secrets import without_secrets
from tests.building.facts import a_cdr, all_events, an_event, an_sms
from tests.building.story import Story
from tests.unit.workers.calls.test_sms import Story as SmsStory

AT: Final = datetime(2026, 11, 21, 8, tzinfo=UTC)
SIGNED: Final = "https://rec.oss-cn-shanghai.aliyuncs.com/a.mp3?Expires=17&OSSAccessKeyId=LTAI&Signature=a%2Bb%3D"
LET_OUT: Final = (b"appKey", b"pool_key", b"partner_key", b"recordUrl", b"record_url", b"DownloadUrl", b"Signature=")
OLD: Final[JsonObject] = {"icid": "r1", "appKey": "K", "recordUrl": SIGNED, "pool_key": "P", "note": {"token": "T"}}


@pytest.mark.parametrize(
    "push", sorted({push for story in STORIES.values() for push in story.pushes}, key=str), ids=lambda push: push.file
)
def test_no_sample_of_a_platform_leaves_them_in_a_fact(push: Push) -> None:
    for fact in facts_of(push):
        raw = orjson.dumps(orjson.loads(encode_fact(fact))["body"].get("raw"))
        assert not [word for word in LET_OUT if word in raw]


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ({"appKey": "K", "app_key": "K", "AccessKeyId": "A", "icid": "1"}, {"icid": "1"}),
        ({"a": {"b": [{"App-Key": "K", "c": 1}]}}, {"a": {"b": [{"c": 1}]}}),
        ({"someNewFileUrl": SIGNED, "ring_record_url": "", "statusUrl": "http://a/v1/x/token"}, {}),
        ({"note": f"listen: {SIGNED} now"}, {"note": "listen: *** now"}),
        ({"note": "?Expires=1&Signature%3Dabc"}, {"note": "***"}),
        ({"note": "https://a.example/x?id=1&token=abc", "sum": "1+1=2"}, {"note": "***", "sum": "1+1=2"}),
    ],
)
def test_they_are_known_by_name_and_by_what_a_link_holds(sent: JsonObject, left: JsonObject) -> None:
    assert without_secrets(sent) == left


def test_what_only_looks_like_one_stays_as_it_is() -> None:
    sent = {
        "secret_no": "+8617010000001", "secretNo": "1", "sms_sign": "Callstitch", "key": "v", "bizKey": "v",
        "sms_content": "see https://shop.example/x?id=7 (code=5)", "design": "d", "releaseCause": 16,
    }  # fmt: skip
    assert without_secrets(sent) == sent


def test_a_text_of_many_words_takes_no_longer_than_it_is_long() -> None:
    assert without_secrets({"note": "=" + "a" * 60_000}) == {"note": "=" + "a" * 60_000}


def test_a_recording_is_fetched_by_its_link_all_the_same() -> None:
    story = Story().told([cdr(OLD, Announced(url=SIGNED))], at=70).waits(until=80)
    assert [order.body["url"] for order in story.ordered if isinstance(order.body, dict)] == [SIGNED]
    assert not any(word in orjson.dumps(story.said) for word in (*LET_OUT, b"AccessKeyId", b"token"))


def test_what_an_older_version_stored_is_told_without_them_and_is_no_amendment() -> None:
    """A fact of its session, and the record that it published, hold them still."""
    story = Story().told([*all_events(), cdr(OLD)], at=70)
    as_of_before(story)
    assert story.told([cdr({"icid": "r1", "note": {}}, told=69)], at=80).waits(until=200).types == ["call.completed"]
    as_of_before(story)
    story.told([an_event("digits", n=1, told=90)], at=90).waits(until=200)
    assert story.types == ["call.completed", "call.amended"]
    assert {pointer.split("/")[1] for pointer in story.said[-1]["data"]["changed"]} == {"timeline"}
    assert not any(word in orjson.dumps(story.said) for word in LET_OUT)


def test_so_is_an_sms() -> None:
    fact = an_sms("notify")
    assert isinstance(fact.body, Sms)
    sms = replace(fact, body=replace(fact.body, raw={"appKey": "K", "smsEvent": {}}))
    story = SmsStory().told([sms], at=2).waits(until=10)
    assert story.said[-1]["data"]["sms"]["raw"] == {"notify": {"smsEvent": {}}}
    assert story.session is not None
    assert story.session.published is not None
    before = orjson.loads(story.session.published)
    before["raw"]["notify"]["appKey"] = "K"
    story.session = story.session.having(published=orjson.dumps(before))
    assert len(story.told([sms], at=90).waits(until=500).said) == 1


def as_of_before(story: Story) -> None:
    """The published record as an older version wrote it."""
    assert story.session is not None
    assert story.session.published is not None
    record = orjson.loads(story.session.published)
    record["cdrs"][0]["raw"] = OLD
    story.session = story.session.having(published=orjson.dumps(record))


def cdr(raw: JsonObject, *recordings: Announced, told: float = 70) -> Fact:
    """One told anew is the same version, whatever of it was kept."""
    return replace(a_cdr(raw=raw, recordings=recordings, told=told), fingerprint="f")


def facts_of(push: Push) -> list[Fact]:
    """What dedupe makes of it."""
    dialect = DIALECTS[push.platform]
    source = dialect.settings.model_validate({"name": "s", "platform": push.platform, "tokens": ["t"]})
    sent = Notification(path=push.path, remote="", content_type=push.content_type, body=push.body)
    envelope = Envelope(id="e", kind=Kind.NOTIFICATION, source="s", at=AT, body={}, trace="t")
    items = [item for item in dialect.parse(sent, source) if not isinstance(item, Malformed)]
    assert items
    return [identified(item, envelope, fact_id="f", platform=push.platform) for item in items]
