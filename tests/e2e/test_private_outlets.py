"""Outlets that may not see everything, over the traffic of all four platforms: bytes, ids, properties and headers."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import orjson
import pika
import pytest

from console.demo.config import SOURCES, Places, config_text
from schemas.envelope import JsonObject
from schemas.numbers import canonical
from tests.building.leaks import known_numbers, leaks, texts
from tests.e2e.balance import parked
from tests.e2e.programs import end
from tests.e2e.running import Emulator, Up, callstitch, prepared_up
from tests.services.endpoint import Endpoint, an_endpoint

CALLS: Final = 24
MESSAGES: Final = 4
ALL: Final = json.dumps([
    "call.completed", "call.incomplete", "call.amended", "recording.stored", "recording.failed", "call.progress",
    "call.decided", "sms.notified", "number.changed", "platform.notified",
])  # fmt: skip
OUTLETS: Final = """
[[sink]]
name = "all"
kind = "jsonl"
path = "all.jsonl"
events = {all}

[[queue]]
name = "masked"
events = {all}
content = "binary"
fields = {{numbers = "mask", text = "drop", user_data = "mask"}}
token_key = "env:E2E_TOKEN_KEY"

[[queue]]
name = "tokens"
events = {all}
fields = {{numbers = "token", text = "token", user_data = "token"}}
token_key = "env:E2E_TOKEN_KEY"

[[queue]]
name = "none"
events = {all}
batch = true
fields = {{numbers = "drop", text = "drop", user_data = "drop"}}
drop = ["raw", "timeline"]
token_key = "env:E2E_TOKEN_KEY"

[[sink]]
name = "crm"
kind = "webhook"
url = "{url}"
secret = "whsec_Y2hhbmdlIG1lOiAzMiByYW5kb20gYnl0ZXM="
allow_private = true
events = {all}
fields = {{numbers = "token", text = "token", user_data = "token"}}
token_key = "env:E2E_TOKEN_KEY"
break_after = 0
"""
SCHEDULE: Final = '[retry.fan_out]\nschedule = ["1s", "1s", "1s", "1s", "5s", "5s", "5s", "30s", "30s"]\n'

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(240)]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with an_endpoint() as endpoint:
        yield endpoint


def test_no_number_key_or_link_leaves_by_any_of_them(tmp_path: Path, fresh_amqp_url: str, endpoint: Endpoint) -> None:
    up = of_all_platforms(tmp_path, fresh_amqp_url, endpoint)
    emulator = playing_all(up)
    try:
        endpoint.status = 500
        up.start()
        emulator.start()
        emulator.finish()
        up.wait_for(lambda: len(endpoint.posts) > CALLS)
        up.kill()
        refused = {post.id: post.body for post in endpoint.posts}
        endpoint.status = 204
        up.start()
        up.wait_for(lambda: is_settled(up, endpoint))
        told = by_id(told_all(up))
        assert_what_is_rejected_is_found_and_goes_back(up, fresh_amqp_url)
        seen = {name: list(received(fresh_amqp_url, name)) for name in ("masked", "tokens", "none")}
        assert up.terminate() == 0
    finally:
        end(up)
        end(emulator)

    numbers = known_numbers(told.values())
    assert len(numbers) > CALLS
    assert {event["source"] for event in told.values()} == {f"/callstitch/{name}" for name in SOURCES}
    posts = [(dict(post.headers), post.body) for post in endpoint.taken]
    for headers, body in (*seen["masked"], *seen["tokens"], *seen["none"], *posts):
        leaked = [text for text in (*texts(headers), *texts(orjson.loads(body))) if leaks(text, numbers)]
        assert leaked == []
    assert_each_is_told_once(told, seen, endpoint)
    assert {post.id: post.body for post in endpoint.taken} | refused == {p.id: p.body for p in endpoint.taken}, (
        "as ever"
    )


def assert_each_is_told_once(
    told: dict[str, JsonObject], seen: dict[str, list[tuple[JsonObject, bytes]]], endpoint: Endpoint
) -> None:
    """In its own form; and two outlets of one key, which see alike, are told the very same."""
    masked = {headers["cloudEvents_id"]: (headers, orjson.loads(body)) for headers, body in seen["masked"]}
    tokens = {orjson.loads(body)["id"]: body for _, body in seen["tokens"]}
    none = [event for _, body in seen["none"] for event in orjson.loads(body)]
    assert len(masked) == len(tokens) == len({event["id"] for event in none}) == len(told)
    assert tokens == {post.id: post.body for post in endpoint.taken}
    shared = told.keys() & tokens.keys()
    assert len(shared) > CALLS, "an event whose ids hold no number has the id that it has everywhere"
    for event_id in shared:
        headers, data = masked[event_id]
        event = told[event_id]
        assert headers["content-type"] == event["datacontenttype"] == "application/json"
        assert headers["message-id"] == event_id
        said = {f"cloudEvents_{name}": event[name] for name in ("type", "subject", "time", "source", "callid")}
        assert said.items() <= headers.items()
        assert data.keys() == event["data"].keys()
    calls = [one for one in shared if told[one]["data"].get("call", {}).get("caller")]
    callers = {(caller_of(told[one]), caller_of(orjson.loads(tokens[one]))) for one in calls}
    assert len(callers) == len(dict(callers)) == len({token for _, token in callers}) > 1, "a token for each number"
    assert all(not event["data"]["call"]["timeline"] for event in none if "call" in event["data"])


def assert_what_is_rejected_is_found_and_goes_back(up: Up, url: str) -> None:
    """By the call, though the bytes are others, and to that queue alone, as the message that it was."""
    told = by_id(told_all(up))
    for name in ("masked", "tokens"):
        event = rejected(url, name, {one for one, event in told.items() if "call" in event["data"]})
        up.wait_for(lambda: parked(up)["dead"] == 1)
        outlets = json.loads(callstitch(up, "trace", told[event]["subject"], "--json"))["outlets"]
        (outlet,) = [one for one in outlets if one["name"] == name]
        assert {one["id"]: one["state"] for one in outlet["events"]}[event] == "dead"
        callstitch(up, "dead", "replay", "--all")
        up.wait_for(lambda: parked(up)["dead"] == 0)


def rejected(url: str, queue: str, events: Collection[str]) -> str:
    """One of these events, which that queue's consumer rejects; what it was handed before goes back."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        while True:
            method, properties, _ = channel.basic_get(queue)
            assert method is not None
            assert properties is not None
            if properties.message_id in events:
                channel.basic_reject(method.delivery_tag or 0, requeue=False)
                return str(properties.message_id)


def caller_of(event: JsonObject) -> str:
    return canonical(event["data"]["call"]["caller"])


def of_all_platforms(directory: Path, broker: str, endpoint: Endpoint) -> Up:
    """A demo's `up`, with these outlets besides."""
    up = prepared_up(directory, config="#", environ={"E2E_TOKEN_KEY": "0123456789abcdef0123456789abcdef"})
    places = Places(
        directory=directory,
        door=up.listen,
        admin=up.admin,
        recordings=up.recordings,
        tokens=dict.fromkeys(SOURCES, up.token),
        secret=up.secret,
    )
    text = config_text({"broker": broker}, places)
    up.config.write_text(
        text
        + OUTLETS.format(all=ALL, url=endpoint.url)
        + '[retry.fan_out]\nschedule = ["1s", "1s", "1s", "1s", "5s", "5s", "5s", "30s", "30s"]\n'
    )
    return up


def playing_all(up: Up) -> Emulator:
    """All platforms at once."""
    arguments = ["emulate", "--calls", str(CALLS), "--ask", "--messages", str(MESSAGES), "--truth", "sent.jsonl"]
    for source, (platform, _) in SOURCES.items():
        arguments += ["--to", f"{platform}=http://{up.listen}/v1/{source}/{up.token}"]
    return Emulator(
        arguments=[*arguments, "--recordings", up.recordings, "--linger", "-1"],
        directory=up.directory,
        name="emulate",
        environ={"CALLSTITCH_EMULATOR_SECRET": up.secret},
    )


def told_all(up: Up) -> list[JsonObject]:
    path = up.directory / "all.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def by_id(events: Sequence[JsonObject]) -> dict[str, JsonObject]:
    return {event["id"]: event for event in events}


def is_settled(up: Up, endpoint: Endpoint) -> bool:
    """Nothing is wanted any more, and everybody has as much as the one who sees all."""
    told = by_id(told_all(up))
    calls: dict[str, JsonObject] = {}
    for event in told.values():
        if "call" in event["data"] and event["revision"] > calls.get(event["subject"], {"revision": 0})["revision"]:
            calls[event["subject"]] = event["data"]["call"]
    ended = all(row["state"] != "wanted" for call in calls.values() for row in call["recordings"])
    return ended and len(calls) >= CALLS and len({post.id for post in endpoint.taken}) >= len(told)


def received(url: str, queue: str) -> Iterator[tuple[JsonObject, bytes]]:
    """What a consumer is handed: its headers and properties as one, and the bytes."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        while True:
            method, properties, body = channel.basic_get(queue)
            if method is None or properties is None or body is None:
                return
            named = {"content-type": properties.content_type, "message-id": properties.message_id}
            yield {**vars(properties), **(properties.headers or {}), **named}, body
