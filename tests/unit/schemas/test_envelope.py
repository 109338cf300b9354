"""Envelopes, bundles and ids."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import (
    BUNDLE_BYTES,
    BUNDLE_ENVELOPES,
    NAMESPACE,
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


def test_a_forked_process_draws_ids_of_its_own() -> None:
    """The generator's state is copied by a fork: without a new seed both would draw the same tails."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, f"{new_id(NOW)} {new_trace()}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    drawn = os.read(reading, 200).decode().split()
    os.close(reading)
    os.close(writing)
    mine = [new_id(NOW), new_trace()]
    assert [len(one) for one in drawn] == [len(one) for one in mine] == [36, 55]
    assert drawn[0] != mine[0]
    assert drawn[1] != mine[1]


def test_a_trace_is_a_w3c_traceparent_and_new_each_time() -> None:
    traces = [new_trace() for _ in range(1000)]
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace) for trace in traces)
    assert len(set(traces)) == 1000


def test_a_derived_id_is_the_same_for_ever() -> None:
    assert derived_id("a", 1) == "26bc4c67-cd37-5e05-a915-2e877b3a4f48"
    assert derived_id("a", 1) != derived_id("a", 2)


@given(st.lists(st.text(st.characters(codec="utf-8")) | st.integers(), max_size=4))
def test_a_derived_id_is_the_uuid_of_version_5_that_everybody_would_derive(parts: list[str | int]) -> None:
    assert derived_id(*parts) == str(uuid5(NAMESPACE, "|".join(map(str, parts))))


@given(st.binary(max_size=200))
def test_the_exact_bytes_of_a_notification_can_be_rebuilt(body: bytes) -> None:
    notification = Notification(path="/x", remote="127.0.0.1", content_type="", headers={"date": "x"}, body=body)
    assert from_json(to_json(notification)) == notification
