"""`callstitch sink`: an operator lets a sink rest and go on, in all its processes and over restarts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.e2e.programs import end, request
from tests.e2e.roles import running_roles
from tests.e2e.running import Up, callstitch, prepared_up, running_up
from tests.e2e.test_questions import a_callin
from tests.e2e.test_reload import FIRST, reloaded, webhook
from tests.services.endpoint import Endpoint, an_endpoint

EVENTS: Final = 40
SECRET: Final = f'secret = "{FIRST}"'
PRODUCED: Final = f'callstitch_outputs_total{{kind="event",stage="correlate"}} {EVENTS + 1}.0'.encode()
PATIENT: Final = '[retry.fan_out]\nschedule = ["6h"]\n'
NOTHING: Final = "nothing waits in a delay tier for crm\n"
RAMPED: Final = 20  # no more of them go in the first second and a half, at 5 to 6 a second
RAMP_SECONDS: Final = 1.5
WORKERS: Final = {
    "dedupe": ("dedupe",),
    "correlate": ("correlate",),
    "fan_out": ("fan_out", "--sink", "crm", "--processes", "2"),
}


def status(up: Up) -> dict[str, Any]:
    (found,) = [row for row in json.loads(callstitch(up, "sink", "status", "--json")) if row["sink"] == "crm"]
    return dict(found)


def resting(role: Any) -> list[str]:
    """What /readyz names as paused; it stays ready."""
    answer = request(role.admin, "GET", "/readyz")
    assert answer.status == 200, answer
    return list(orjson.loads(answer.body).get("paused", []))


def away(up: Up) -> list[str]:
    """What /readyz names as away; it stays ready."""
    answer = request(up.admin, "GET", "/readyz")
    assert answer.status == 200, answer
    return list(orjson.loads(answer.body).get("away", []))


def pushed(up: Up, prefix: str, count: int = EVENTS) -> set[str]:
    """So many calls that begin."""
    assert {up.post(a_callin(f"{prefix}-{n}")) for n in range(count)} == {200}
    return {f"huawei:{prefix}-{n}" for n in range(count)}


def subjects(customer: Endpoint) -> list[str]:
    return [orjson.loads(post.body)["subject"] for post in customer.taken]


def test_a_paused_sink_holds_what_comes_over_a_restart_and_goes_on_slowly(tmp_path: Path) -> None:
    with an_endpoint() as customer, running_up(tmp_path, extra=webhook(customer, SECRET)) as up:
        pushed(up, "before", 1)
        up.wait_for(lambda: customer.taken)
        up.wait_for(lambda: status(up)["outcome"] == "written")
        assert "rests within" in callstitch(up, "sink", "pause", "crm", "--by", "kim")
        up.wait_for(lambda: resting(up) == ["fan_out.crm"])
        assert 'callstitch_paused{stage="fan_out.crm"} 1.0' in request(up.admin, "GET", "/metrics").body.decode()
        expected = pushed(up, "held")
        up.wait_for(lambda: PRODUCED in request(up.admin, "GET", "/metrics").body)
        held = status(up)["held"]
        assert 1 <= held <= EVENTS, "messages, which hold one event or more"
        assert status(up).items() >= {"paused": True, "paused_by": "kim"}.items()
        assert up.terminate() == 0
        up.start()
        assert resting(up) == ["fan_out.crm"]
        assert (len(customer.posts), status(up)["held"]) == (1, held)
        assert "goes on" in callstitch(up, "sink", "resume", "crm")
        up.wait_for(lambda: expected <= set(subjects(customer)))
        assert len(customer.posts) == 1 + EVENTS, "held, not sent twice"
        times = [post.at for post in customer.posts[1:]]
        assert times[RAMPED] - times[0] > RAMP_SECONDS
        assert (resting(up), status(up)["paused"]) == ([], False)
        assert up.terminate() == 0


def test_a_sink_that_rests_because_of_a_410_goes_on_at_the_word(tmp_path: Path) -> None:
    with an_endpoint() as customer, running_up(tmp_path, extra=webhook(customer, SECRET)) as up:
        customer.status = 410
        expected = pushed(up, "gone", 3)
        up.wait_for(lambda: resting(up) == ["fan_out.crm"])
        up.wait_for(lambda: "410" in (status(up)["outcome"] or ""))
        customer.status = 204
        assert customer.taken == []
        callstitch(up, "sink", "resume", "crm")
        up.wait_for(lambda: expected <= set(subjects(customer)))
        assert resting(up) == []


def test_an_endpoint_that_is_down_for_a_while_gets_everything_once_it_is_back(tmp_path: Path) -> None:
    """12 s of 500 delayed events by two minutes: each was sent down the delay tiers."""
    quick = f'{SECRET}\nbreak_after = 3\nprobe_after = "200ms"\nprobe_longest = "500ms"'
    with an_endpoint() as customer, running_up(tmp_path, extra=webhook(customer, quick)) as up:
        customer.status = 500
        expected = pushed(up, "down")
        up.wait_for(lambda: away(up) == ["fan_out.crm"])
        up.wait_for(lambda: status(up)["away"])
        assert "its far end is away since" in callstitch(up, "sink", "status", "crm")
        assert 'callstitch_away{stage="fan_out.crm"} 1.0' in request(up.admin, "GET", "/metrics").body.decode()
        expected |= pushed(up, "meanwhile")
        probes = len(customer.posts)
        up.wait_for(lambda: len(customer.posts) >= probes + 3)
        customer.status = 204
        up.wait_for(lambda: expected <= set(subjects(customer)))
        up.wait_for(lambda: not status(up)["away"])
        assert away(up) == []
        assert "there are no dead letters" in callstitch(up, "dead", "list")
        log = up.log_file.read_text()
        assert (log.count("stage.away"), log.count("stage.back")) == (1, 1)
        assert up.terminate() == 0


def refused_and_retried(up: Up, customer: Endpoint, prefix: str) -> None:
    """What an endpoint refused for itself waits for hours, but for the word."""
    assert "nothing waits in a delay tier" in callstitch(up, "sink", "retry", "crm")
    customer.status = 422
    expected = pushed(up, prefix, 3)
    up.wait_for(lambda: "422" in (status(up)["outcome"] or ""))
    up.wait_for(lambda: len([post for post in customer.posts if post.status == 422]) == len(expected))
    customer.status = 204
    went = 0

    def all_went() -> bool:
        nonlocal went
        went += int(callstitch(up, "sink", "retry", "crm").partition(" message(s) went")[0].replace(NOTHING, "0"))
        return went == len(expected)

    up.wait_for(all_went)
    up.wait_for(lambda: expected <= set(subjects(customer)))
    assert len(customer.taken) - len({post.id for post in customer.taken}) == 0, "once each"


def test_what_failed_is_tried_again_at_the_word(tmp_path: Path) -> None:
    with an_endpoint() as customer, running_up(tmp_path, extra=PATIENT + webhook(customer, SECRET)) as up:
        refused_and_retried(up, customer, "refused")


@pytest.mark.rabbitmq
def test_one_word_reaches_all_processes_on_rabbitmq_and_postgresql(
    tmp_path: Path, fresh_amqp_url: str, postgres_dsn: str
) -> None:
    with an_endpoint() as customer:
        extra, workers = PATIENT + webhook(customer, f"{SECRET}\nbatch = false"), WORKERS
        with running_roles(tmp_path, fresh_amqp_url, extra=extra, workers=workers, store=postgres_dsn) as (door, roles):
            callstitch(door, "sink", "pause", "crm")
            door.wait_for(lambda: resting(roles["fan_out"]) == ["1.fan_out.crm", "2.fan_out.crm"])
            expected = pushed(door, "held")
            door.wait_for(lambda: status(door)["held"] == EVENTS)
            assert customer.posts == []
            callstitch(door, "sink", "resume", "crm")
            door.wait_for(lambda: expected <= set(subjects(customer)))
            assert len(customer.posts) == EVENTS
            assert resting(roles["fan_out"]) == []
            refused_and_retried(door, customer, "refused")


def test_an_event_that_nobody_wanted_goes_to_a_sink_that_wants_it_later(tmp_path: Path) -> None:
    up = prepared_up(tmp_path)
    only = '\nevents = ["call.completed"]\n'
    up.config.write_text(up.config.read_text().rstrip() + only)
    try:
        up.start()
        assert up.post("ax-sms-notify.json", "/sms-notify") == 200
        up.wait_for(lambda: "1 message(s) in 1 group(s)" in callstitch(up, "unrouted", "list"))
        assert up.events() == []
        up.config.write_text(up.config.read_text().replace(only, ""))
        reloaded(up)
        assert "1 message(s) go back" in callstitch(up, "unrouted", "replay", "--all")
        up.wait_for(lambda: [event["type"] for event in up.events()] == ["callstitch.sms.notified.v1"])
        up.wait_for(lambda: "every event found a queue" in callstitch(up, "unrouted", "list"))
    finally:
        end(up)
