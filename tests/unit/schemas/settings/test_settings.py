"""The words of the settings: what each takes, and what it says of what it does not take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from schemas.settings import Address, Duration, EventTypes, Host, Name, Outlet, Secret, Tier, Token, Url

TAKEN = [
    (Duration, "500ms", timedelta(milliseconds=500)),
    (Duration, " 1.5m ", timedelta(seconds=90)),
    (Duration, "7d", timedelta(days=7)),
    (Tier, "60m", "1h"),
    (Tier, "0.5m", "30s"),
    (Address, "[::1]:0", "[::1]:0"),
    (Url, "http://127.0.0.1:9000/", "http://127.0.0.1:9000/"),
    (Host, "*.example.com:8443", "*.example.com:8443"),
    (Name, "huawei-bj-2", "huawei-bj-2"),
    (EventTypes, ["call.completed"], ("call.completed",)),
]
REFUSED = [
    (Duration, "0s", "a duration must be longer than 0s"),
    (Duration, "2 weeks", "a duration looks like 500ms, 2s, 15m, 24h or 7d"),
    (Tier, "32m", "one of the delay queues: 1s, 5s, 30s, 2m, 10m, 1h, 6h"),
    (Address, "127.0.0.1", "an address is host:port"),
    (Address, "127.0.0.1:65536", "an address is host:port"),
    (Url, "https://", "a URL starts with https://"),
    (Url, "https://u:p@host:port/", "a URL starts with https://"),
    (Host, "https://audio.example.com", "a host has no scheme and no path"),
    (Name, "Huawei", "should match pattern"),
    (Token, "a/b", "a token may contain only letters, digits and - . _ ~"),
    (Secret, "", "at least 1"),
    (EventTypes, ["call.finished"], "unknown event type; known ones: call.completed,"),
    (EventTypes, [], "at least 1"),
]


@pytest.mark.parametrize(("word", "given", "read"), TAKEN)
def test_what_a_word_takes(word: Any, given: Any, read: Any) -> None:
    assert TypeAdapter(word).validate_python(given) == read


@pytest.mark.parametrize(("word", "given", "said"), REFUSED)
def test_what_a_word_refuses_and_says(word: Any, given: Any, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(word).validate_python(given)
    assert said in refused.value.errors()[0]["msg"]


def test_an_outlet_wants_everything_but_progress_of_every_source_unless_told() -> None:
    outlet = Outlet.model_validate({"name": "crm"})
    assert (outlet.sources, "call.progress" in outlet.events, "call.completed" in outlet.events) == ((), False, True)
