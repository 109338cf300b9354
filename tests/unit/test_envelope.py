"""Envelopes, bundles and ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import (
    BUNDLE_BYTES,
    BUNDLE_ENVELOPES,
    Envelope,
    Kind,
    decode_bundle,
    derived_id,
    encode_bundles,
    new_id,
    new_trace,
)
from schemas.errors import Malformed
from schemas.notification import Notification, from_json, to_json

NOW = datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC)


def an_envelope(n: int = 0, *, size: int = 0) -> Envelope:
    return Envelope(id=f"e{n}", kind=Kind.NOTIFICATION, source="s", at=NOW, body={"x": "y" * size}, trace=new_trace())


def test_what_went_into_a_bundle_comes_out() -> None:
    event = Envelope(
        id="v", kind=Kind.EVENT, source="s", at=NOW, body=b'{ "b" :1,"a":"\xc3\xa9"}', route="call.completed.s"
    )
    envelopes = [an_envelope(1), event, an_envelope(2).retried()]
    ((bundle, members),) = encode_bundles(envelopes)
    assert members == envelopes
    assert decode_bundle(bundle) == envelopes


def test_a_bundle_holds_at_most_128_envelopes() -> None:
    sizes = [len(members) for _, members in encode_bundles(an_envelope(n) for n in range(300))]
    assert sizes == [BUNDLE_ENVELOPES, BUNDLE_ENVELOPES, 300 - 2 * BUNDLE_ENVELOPES]


def test_a_bundle_holds_at_most_256_kibibytes_unless_one_envelope_is_larger() -> None:
    bundles = list(encode_bundles(an_envelope(n, size=size) for n, size in enumerate([100_000] * 4 + [900_000, 10])))
    assert [len(members) for _, members in bundles] == [2, 2, 1, 1]
    assert all(len(body) <= BUNDLE_BYTES for body, members in bundles if members[0].id != "e4")


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"[1]", b'[{"id":"x"}]', b"\xff", b'[{"id":1,"at":"now"}]']
)
def test_anything_else_is_not_a_bundle(body: bytes) -> None:
    with pytest.raises(Malformed, match="not_a_bundle"):
        decode_bundle(body)


def test_ids_are_uuids_of_version_7_and_rise_with_time() -> None:
    ids = [new_id(NOW + timedelta(milliseconds=n)) for n in range(50)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 50
    assert {one[14] for one in ids} == {"7"}
    assert {one[19] for one in ids} <= set("89ab")


def test_a_derived_id_is_the_same_for_ever() -> None:
    assert derived_id("a", 1) == "26bc4c67-cd37-5e05-a915-2e877b3a4f48"
    assert derived_id("a", 1) != derived_id("a", 2)


@given(st.binary(max_size=200))
def test_the_exact_bytes_of_a_notification_can_be_rebuilt(body: bytes) -> None:
    notification = Notification(path="/x", remote="127.0.0.1", content_type="", headers={"date": "x"}, body=body)
    assert from_json(to_json(notification)) == notification
