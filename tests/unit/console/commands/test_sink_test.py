"""`callstitch sink test`: one marked event by the sink's own code, and what came of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import orjson
import pytest
from typer.testing import CliRunner, Result

from console.main import app
from schemas.topology import EVENT_TYPES
from tests.building.schemas import problems
from tests.services.endpoint import Endpoint, an_endpoint

SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRlc3Rz"


def tried(tmp_path: Path, name: str, endpoint: Endpoint, *more: str, private: str = "") -> Result:
    config = tmp_path / "callstitch.toml"
    config.write_text(f"""
[[sink]]
name = "crm"
kind = "webhook"
url = "{endpoint.url}?key=hidden"
secret = "{SECRET}"
allow_private = true
{private}

[[sink]]
name = "file"
kind = "jsonl"
path = "{tmp_path / "calls.jsonl"}"
""")
    return CliRunner().invoke(app, ["sink", "test", name, "--config", str(config), *more])


def test_a_webhook_gets_one_signed_event_that_says_what_it_is(tmp_path: Path) -> None:
    with an_endpoint() as endpoint:
        result = tried(tmp_path, "crm", endpoint)
    assert (result.exit_code, "taken, after" in result.output) == (0, True), result.output
    (post,) = endpoint.posts
    event = orjson.loads(post.body)
    assert (event["type"], event["data"]["test"], event["data"]["sink"]) == ("callstitch.sink.test.v1", True, "crm")
    example = event["data"]["example"]
    assert (example["type"], example["data"]["call"]["outcome"]) == ("callstitch.call.completed.v1", "answered")
    assert "call" not in event["data"], "no consumer takes it for a call"
    assert event["id"] == post.id
    assert post.is_signed_with(SECRET)
    assert "signed by 1 secret(s)" in result.output
    assert "hidden" not in result.output
    assert SECRET not in result.output


@pytest.mark.parametrize("short_type", EVENT_TYPES)
def test_as_an_event_of_any_type_it_is_a_whole_one_and_says_that_it_is_a_test(tmp_path: Path, short_type: str) -> None:
    with an_endpoint() as endpoint:
        results = [tried(tmp_path, "crm", endpoint, "--as", short_type) for _ in range(2)]
        assert [result.exit_code for result in results] == [0, 0], results[0].output
    first, second = (orjson.loads(post.body) for post in endpoint.posts)
    assert (first["type"], first["test"]) == (f"callstitch.{short_type}.v1", True)
    assert first["source"] == "/callstitch/test"
    assert first["callid"].startswith("test")
    assert first["id"] != second["id"], "each is one of its own"
    assert first["data"] == second["data"]
    assert list(problems(first)) == []


@pytest.mark.parametrize("more", [(), ("--as", "call.completed")])
def test_a_sink_that_sees_no_numbers_is_shown_none(tmp_path: Path, more: tuple[str, ...]) -> None:
    private = 'fields = {numbers = "mask"}\ntoken_key = "0123456789abcdef"\ndrop = ["raw"]\n'
    with an_endpoint() as endpoint:
        assert tried(tmp_path, "crm", endpoint, *more, private=private).exit_code == 0
        assert tried(tmp_path, "crm", endpoint, *more).exit_code == 0
    hidden, clear = (post.body for post in endpoint.posts)
    numbers = set(re.findall(rb"\+?8613\d{9}", clear))
    assert numbers
    assert [number for number in numbers if number.removeprefix(b"+86") in hidden] == []
    assert b"****" in hidden
    assert (b"icid" in clear, b"icid" in hidden) == (True, False), "a raw is empty there"


@pytest.mark.parametrize(("status", "why"), [(401, "http_401"), (422, "http_422"), (410, "410")])
def test_an_endpoint_that_does_not_take_it_is_told_with_its_status(tmp_path: Path, status: int, why: str) -> None:
    with an_endpoint() as endpoint:
        endpoint.status = status
        result = tried(tmp_path, "crm", endpoint)
    assert result.exit_code == 1
    assert "not taken" in result.output
    assert why in result.output


def test_a_file_is_looked_at_and_not_written_and_an_unknown_name_is_usage(tmp_path: Path) -> None:
    with an_endpoint() as endpoint:
        result = tried(tmp_path, "file", endpoint)
        assert (result.exit_code, result.output) == (0, "file could be written; nothing was written\n")
        assert not (tmp_path / "calls.jsonl").exists()
        assert tried(tmp_path, "nobody", endpoint).exit_code == 2
        unknown = tried(tmp_path, "crm", endpoint, "--as", "call.lost")
        assert (unknown.exit_code, "call.decided" in unknown.output) == (2, True)
