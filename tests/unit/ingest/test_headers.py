"""Which headers the door reads, and what it makes of one that was sent twice."""

from __future__ import annotations

from ingest.headers import read_headers


def test_what_a_push_is_kept_or_judged_by_is_read_by_its_name_in_any_spelling() -> None:
    sent = [("X-Aksk", "a"), ("Date", "b"), ("User-Agent", "c"), ("CONTENT-ENCODING", "gzip")]
    assert read_headers(sent) == {"x-aksk": "a", "date": "b", "content-encoding": "gzip"}


def test_a_header_that_was_sent_twice_is_not_whichever_came_last() -> None:
    assert read_headers([("X-AKSK", "wrong"), ("x-aksk", "right")]) == {"x-aksk": "wrong, right"}


def test_bytes_that_are_no_utf8_become_text_that_json_has() -> None:
    assert read_headers([("Date", b"\xff".decode(errors="surrogateescape"))]) == {"date": "\ufffd"}
