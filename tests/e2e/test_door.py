"""The door's documented answers (docs/contract.md section 3), and what becomes of unreadable input it accepted."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

import pytest

from console.demo.check import latest_records
from tests.e2e.programs import request
from tests.e2e.running import PATIENCE_SECONDS, Up, callstitch, running_up, sample

DEEP: Final = b"[" * 300 + b"]" * 300
ACCEPTED: Final = {
    "not JSON": (b"this is not JSON", {}, "not_json"),
    "not UTF-8": (b"\xff\xfe\x00binary", {}, "not_json"),
    "300 deep": (b'{"eventType":"fee","feeLst":' + DEEP + b"}", {}, "too_deep"),
    "empty": (b"", {}, "empty_body"),
    "not really gzip": (b"plain", {"Content-Encoding": "gzip"}, "not_gzip"),
    "numeric id": (b'{"eventType":"answer","statusInfo":{"sessionId":123456789012345678901}}', {}, "numeric_id"),
}  # fmt: skip


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("door"), progress=False) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def slow_request(up: Up) -> Iterator[socket.socket]:
    """A request whose body stops in the middle, sent before all tests of this module, for it takes ten seconds."""
    host, port = up.listen.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as raw:
        raw.sendall(f"POST {up.door_path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nonly".encode())
        yield raw


def quarantined(up: Up) -> list[dict[str, Any]]:
    """The quarantine as an operator's tool reads it, newest last."""
    with sqlite3.connect(f"file:{up.store}/park.db?mode=ro", uri=True) as db:
        return [json.loads(row[0])["body"] for row in db.execute("SELECT raw FROM parked WHERE box = 'quarantine'")]


def the_bytes(parked: dict[str, Any]) -> bytes:
    body = parked["envelope"]["body"]
    return body["text"].encode() if "text" in body else base64.b64decode(body["base64"])


@pytest.mark.parametrize("what", ACCEPTED)
def test_unreadable_input_is_accepted_and_quarantined_byte_for_byte(up: Up, what: str) -> None:
    body, headers, reason = ACCEPTED[what]
    answer = up.answer(body, "/fee/deeper?x=1&s=a/b%2Fc", headers)
    assert (answer.status, answer.body) == (200, b"")
    found = up.wait_for(lambda: [row for row in quarantined(up) if the_bytes(row) == body and row["reason"] == reason])
    assert found[0]["envelope"]["body"]["path"] == "/fee/deeper?x=1&s=a/b%2Fc"


def test_an_operator_lists_shows_and_releases_quarantined_input(up: Up) -> None:
    """What today's code still cannot read comes back to the same line, with one more attempt and its bytes."""
    assert up.post(b"release me") == 200
    parked_id = up.wait_for(lambda: _parked_id(up, b"release me"))
    assert parked_id is not None
    assert "1 message(s) would go back" in callstitch(up, "quarantine", "release", parked_id, "--dry-run")
    assert "1 message(s) go back" in callstitch(up, "quarantine", "release", parked_id)
    up.wait_for(lambda: _attempts(up, parked_id) == 2)
    assert "release me" in callstitch(up, "quarantine", "show", parked_id)
    assert "not_json" in callstitch(up, "quarantine", "list")


def _parked_id(up: Up, body: bytes) -> str | None:
    with sqlite3.connect(f"file:{up.store}/park.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT id, raw FROM parked").fetchall()
    return next((row[0] for row in rows if the_bytes(json.loads(row[1])["body"]) == body), None)


def _attempts(up: Up, parked_id: str) -> int:
    with sqlite3.connect(f"file:{up.store}/park.db?mode=ro", uri=True) as db:
        query = "SELECT attempts FROM parked WHERE id = ? AND state = 'parked'"
        row = db.execute(query, (parked_id,)).fetchone()
    return row[0] if row else 0


def test_everything_around_unreadable_input_flows_on(up: Up) -> None:
    fee = json.loads(sample("axb-fee.json"))
    (good,) = fee["feeLst"]
    good["sessionId"] = "flows@example"
    fee["feeLst"] = [{"no": "session"}, good, "not even a record"]
    assert up.post(b"}{") == 200
    assert up.post(json.dumps(fee).encode()) == 200
    up.wait_for(lambda: "flows@example" in latest_records(up.events()))
    (bad,) = up.wait_for(lambda: [row for row in quarantined(up) if row.get("items") == 3])
    assert bad["first"] == [{"item": 0, "reason": "no_session_id"}, {"item": 2, "reason": "not_an_object"}]


def test_a_gzip_body_is_inflated_behind_the_door(up: Up) -> None:
    body = sample("axb-fee.json").replace(b"1200_1827", b"gzip_1827")
    assert up.answer(gzip.compress(body), "/fee", {"Content-Encoding": "gzip"}).status == 200
    up.wait_for(lambda: any(session.startswith("gzip_1827") for session in latest_records(up.events())))


def test_a_header_that_is_no_utf8_is_no_reason_to_fail(up: Up) -> None:
    head = f"POST {up.door_path}/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nContent-Type: \r\nDate: ".encode()
    with socket.create_connection(tuple(up.listen.split(":")), timeout=PATIENCE_SECONDS) as raw:  # type: ignore[arg-type]
        raw.sendall(head + b"\xff\xfe\r\nConnection: close\r\n\r\nbad-bytes")
        answer = raw.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200")
    up.wait_for(lambda: [row for row in quarantined(up) if the_bytes(row) == b"bad-bytes"])


def test_a_wrong_token_an_unknown_source_and_a_bare_path_are_404(up: Up) -> None:
    wrong = up.token[:-1] + ("a" if up.token[-1] != "a" else "b")
    for path in (f"/v1/huawei/{wrong}/x", f"/v1/nobody/{up.token}", "/", "/v1", "/v1/huawei", f"/v2/huawei/{up.token}"):
        assert request(up.listen, "POST", path, b"{}").status == 404, path
        assert request(up.listen, "GET", path).status == 404, path


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_anything_but_post_is_405(up: Up, method: str) -> None:
    answer = request(up.listen, method, up.door_path)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_a_body_over_one_mebibyte_is_413_and_one_of_exactly_that_is_taken(up: Up) -> None:
    assert up.post(b"x" * (1024 * 1024)) == 200
    assert up.post(b"x" * (1024 * 1024 + 1)) == 413
    assert up.post(b"x" * (2 * 1024 * 1024)) == 413


def test_a_chunked_body_over_one_mebibyte_is_413(up: Up) -> None:
    host, port = up.listen.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as raw:
        raw.sendall(f"POST {up.door_path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(17):
            raw.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        assert raw.recv(12) == b"HTTP/1.1 413"


def test_a_wrong_signature_is_401_and_a_missing_one_passes_when_it_is_optional(up: Up) -> None:
    forged = 'UsernameToken Username="EMULATORKEY",PasswordDigest="AAAA",Nonce="n",Created="2026-11-21T00:00:00Z"'
    assert up.answer(b"{}", headers={"X-AKSK": forged}).status == 401
    assert up.answer(b"{}").status == 200


def test_a_body_that_comes_too_slowly_is_408(slow_request: socket.socket) -> None:
    assert slow_request.recv(12) == b"HTTP/1.1 408"


def test_the_token_and_the_numbers_stand_in_no_log(up: Up) -> None:
    up.post(sample("axb-event-callin.json"))
    up.post(b'{"broken": "+8613800000021"')
    up.wait_for(lambda: any("broken" in the_bytes(row).decode(errors="replace") for row in quarantined(up)))
    log = up.log_file.read_text()
    assert up.token not in log
    assert "13800000021" not in log


@pytest.mark.parametrize("slashes", ["//", "///"])
def test_any_number_of_slashes_at_the_beginning_is_one(up: Up, slashes: str) -> None:
    path = slashes + up.door_path.lstrip("/")
    assert request(up.listen, "POST", path, sample("axb-fee.json"), {"Content-Type": "application/json"}).status == 200
    assert request(up.listen, "POST", f"{slashes}v1/nobody/token", b"{}", {}).status == 404
