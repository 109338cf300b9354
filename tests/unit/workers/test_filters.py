"""What an outlet with `outcomes` or `products` takes, and that nothing else changes for one without."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from console.config_file import load_config
from schemas.envelope import Envelope, Kind
from schemas.errors import Misconfigured
from schemas.topology import BATCHES, CALLS, feed_queue, sink_queue
from workers.config import Config, config_topology, outlets_of
from workers.delivery.filters import filter_of
from workers.fan_out import fan_out
from workers.sinks.jsonl import Jsonl

AT: Final = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
SOURCES: Final = (
    {"name": "bj", "platform": "huawei_privatenumber", "tokens": ["t"]},
    {"name": "sh", "platform": "huawei_privatenumber", "tokens": ["t"]},
    {"name": "jy", "platform": "jiuyun_axb", "tokens": ["t"]},
)


def an_event(
    event_type: str = "call.completed",
    *,
    changed: tuple[str, ...] = (),
    data: dict[str, Any] | None = None,
    **record: Any,
) -> Envelope:
    told = {"call": {"outcome": "answered", "product": "axb", "late": False, **record}, "changed": list(changed)}
    return Envelope(
        id="e",
        kind=Kind.EVENT,
        source="bj",
        at=AT,
        body=orjson.dumps({"id": "e", "data": told if data is None else data}),
        route=f"{event_type}.bj",
    )


def a_config(**keys: Any) -> Config:
    return Config.model_validate({"broker": "amqp://u@h/v", "source": SOURCES, "queue": [{"name": "q", **keys}]})


def takes(event: Envelope, **keys: Any) -> bool:
    wanted = filter_of(a_config(**keys).queue[0])
    assert wanted is not None
    return wanted(event)


TAKEN: Final[dict[str, tuple[Envelope, dict[str, Any], bool]]] = {
    "of an outcome": (an_event(), {"outcomes": ["busy", "answered"]}, True),
    "of another": (an_event(outcome="failed"), {"outcomes": ["busy", "answered"]}, False),
    "of a product": (an_event(), {"products": ["axb"]}, True),
    "of no product": (an_event(product=None), {"products": ["axb"]}, False),
    "of both": (an_event(), {"products": ["axb"], "outcomes": ["answered"]}, True),
    "of one of both": (an_event(), {"products": ["pnp"], "outcomes": ["answered"]}, False),
    "a recording of its call": (an_event("recording.stored"), {"outcomes": ["answered"]}, True),
    "what leaves": (
        an_event("call.amended", changed=("/answered", "/outcome"), outcome="busy"), {"outcomes": ["answered"]}, True,
    ),
    "what left before": (
        an_event("call.amended", changed=("/legs/0",), outcome="busy"), {"outcomes": ["answered"]}, False,
    ),
    "what a CDR within it changed": (
        an_event("call.amended", changed=("/cdrs/0/outcome",), outcome="busy"), {"outcomes": ["answered"]}, False,
    ),
    "what changes, and never was of it": (
        an_event("call.amended", changed=("/outcome",)), {"outcomes": ["answered"], "products": ["pnp"]}, False,
    ),
    "a CDR after all": (an_event(late=True, outcome="busy"), {"outcomes": ["unknown"]}, True),
    "a CDR after all, to whom none was missing": (
        an_event(late=True, outcome="busy"), {"outcomes": ["unknown"], "events": ["call.completed"]}, False,
    ),
    "a later revision of such a call": (
        an_event("recording.failed", late=True, outcome="busy"), {"outcomes": ["unknown"]}, False,
    ),
    "what has no record": (an_event("sms.notified", data={"sms": {}}), {"outcomes": ["answered"]}, False),
}  # fmt: skip


@pytest.mark.parametrize(("event", "keys", "taken"), TAKEN.values(), ids=TAKEN)
def test_an_event_is_taken(event: Envelope, keys: dict[str, Any], taken: bool) -> None:
    assert takes(event, **keys) is taken


def test_without_them_there_is_no_filter_and_no_feed() -> None:
    plain = a_config(platforms=["huawei_privatenumber"]).queue[0]
    assert (filter_of(plain), plain.fed) == (None, False)


def test_a_queue_with_a_filter_is_fed_with_the_types_that_have_what_it_filters_by() -> None:
    bindings = config_topology(a_config(outcomes=["answered"])).bindings
    assert [row for row in bindings if row.queue == "q"] == []
    assert {(row.exchange, row.pattern) for row in bindings if row.queue == feed_queue("q")} == {
        (BATCHES, f"{event}.*")
        for event in ("call.completed", "call.incomplete", "call.amended", "recording.stored", "recording.failed")
    }


def test_platforms_are_bound_as_their_sources_and_counted_as_these() -> None:
    for keys, names in (({}, {"bj", "sh"}), ({"sources": ["sh", "jy"]}, {"sh"})):
        config = a_config(platforms=["huawei_privatenumber"], events=["call.completed"], **keys)
        bindings = config_topology(config).bindings
        assert {(row.exchange, row.pattern) for row in bindings if row.queue == "q"} == {
            (CALLS, f"call.completed.{name}") for name in names
        }
        assert set(outlets_of(config)["q"].sources) == names


RABBITMQ: Final = 'broker = "amqp://u@h/v"\n'
SOURCE: Final = '[[source]]\nname = "huawei"\nplatform = "huawei_privatenumber"\n'
TWO_PLATFORMS: Final = f"""{RABBITMQ}{SOURCE}tokens = ["x"]
[[source]]
name = "jy"
platform = "jiuyun_axb"
tokens = ["y"]
"""
VALUE: Final = "hunter2-value"
FAULTS: Final = {
    "an outcome that nobody knows": (
        f'{RABBITMQ}[[queue]]\nname = "b"\noutcomes = ["{VALUE}"]',
        "queue.0.outcomes.0: Input should be 'answered', 'no_answer', ",
    ),
    "a product that nobody knows": (
        f'[[sink]]\nname = "f"\nkind = "jsonl"\npath = "x"\nproducts = ["{VALUE}"]',
        "sink.0.jsonl.products.0: Input should be 'privatenumber', ",
    ),
    "an outcome of what has none": (
        f'{RABBITMQ}[[queue]]\nname = "b"\noutcomes = ["busy"]\nevents = ["call.completed", "sms.notified"]',
        "queue.0: outcomes and products are of a call's record, which sms.notified never has; the events that have one",
    ),
    "a platform of events that nobody knows": (
        f'{RABBITMQ}[[queue]]\nname = "b"\nplatforms = ["{VALUE}"]',
        "b: its platforms must be among huawei_privatenumber, ",
    ),
    "a platform without a source": (
        f'{RABBITMQ}{SOURCE}tokens = ["x"]\n[[queue]]\nname = "b"\nplatforms = ["jiuyun_axb"]',
        "b names platforms that no source has: jiuyun_axb",
    ),
    "a source of another platform": (
        f'{TWO_PLATFORMS}[[queue]]\nname = "b"\nplatforms = ["jiuyun_axb"]\nsources = ["huawei"]',
        "b names sources of which none is of its platforms",
    ),
}


@pytest.mark.parametrize(("text", "told"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_is_told_with_what_there_is(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(Misconfigured, match=re.escape(told)) as refused:
        load_config(file, {})
    assert VALUE not in str(refused.value)


async def test_a_sink_writes_what_it_wants_and_counts_what_it_does_not(tmp_path: Path) -> None:
    sink = Jsonl.model_validate({"name": "f", "kind": "jsonl", "path": tmp_path / "f", "outcomes": ["answered"]})
    wanted, other = an_event(), an_event(outcome="busy")
    assert isinstance(wanted.body, bytes)
    counted: list[int] = []
    async with sink.open(lambda: AT) as opened:
        handle = fan_out(opened, name="f", wants=filter_of(sink), filtered=counted.append)
        assert [await handle(batch) for batch in ([other, wanted, other], [other], [wanted])] == [[], [], []]
    assert (tmp_path / "f").read_bytes() == b"%b\n" % wanted.body * 2
    assert counted == [2, 1]
    assert sink_queue("f") not in {
        row.queue for row in config_topology(Config(sink=(sink,))).bindings if "sms" in row.pattern
    }
