"""The topology as data."""

from __future__ import annotations

from schemas.topology import (
    BATCHES,
    CALLS,
    DEFAULT_EVENTS,
    EVENT_TYPES,
    RETRY_DELAYS,
    SINGLY,
    Binding,
    Subscription,
    retry_exchange,
    retry_queue,
    sink_queue,
    topology,
)

ALL = topology([Subscription(queue=sink_queue("crm"), events=("call.completed",), sources=("bj",))], ["bj", "sh"])


def test_every_stage_queue_has_a_delivery_limit_and_a_way_for_its_dead() -> None:
    limits = {queue.name: (queue.delivery_limit, queue.dead_letter_exchange) for queue in ALL.queues}
    for stage in ("received", "unique", "recordings", "sink.crm"):
        assert limits[f"callstitch.{stage}.v1"] == (20, "callstitch.dead"), stage
    for kept in ("quarantine", "dead", "unrouted"):
        assert limits[f"callstitch.{kept}.v1"] == (None, None), kept


def test_a_delay_tier_hands_back_by_routing_key_to_the_default_exchange() -> None:
    for delay, seconds in RETRY_DELAYS.items():
        (queue,) = [queue for queue in ALL.queues if queue.name == retry_queue(delay)]
        assert (queue.ttl_seconds, queue.dead_letter_exchange, queue.dead_letter_key) == (seconds, "", None)
        assert Binding(exchange=retry_exchange(delay), queue=retry_queue(delay)) in ALL.bindings


def test_every_event_but_progress_is_kept_when_nobody_is_bound() -> None:
    kept = {binding.pattern for binding in ALL.bindings if binding.queue == "callstitch.unrouted.v1"}
    assert kept == {f"{event}.#" for event in DEFAULT_EVENTS}
    assert set(EVENT_TYPES) - set(DEFAULT_EVENTS) == {"call.progress"}


def test_a_sink_is_bound_to_what_it_wants_and_unbound_from_every_other_known_type() -> None:
    queue = sink_queue("crm")
    assert [b.pattern for b in ALL.bindings if b.queue == queue] == ["call.completed.bj"]
    unbound = {binding.pattern for binding in ALL.unbound if binding.exchange == CALLS}
    assert {"call.completed.*", "call.completed.sh", "call.amended.*", "call.progress.bj"} <= unbound
    assert "call.completed.bj" not in unbound
    assert Binding(exchange=BATCHES, queue=queue, pattern="call.completed.bj") in ALL.unbound


def test_who_reads_batches_is_bound_to_their_exchange_alone() -> None:
    """Bound to both, it would get every event twice that somebody else wants alone."""
    queue = sink_queue("crm")
    wanted = topology([Subscription(queue=queue, events=("call.completed",), batch=True)])
    assert [(b.exchange, b.pattern) for b in wanted.bindings if b.queue == queue] == [(BATCHES, "call.completed.*")]
    assert Binding(exchange=CALLS, queue=queue, pattern="call.completed.*") in wanted.unbound
    assert [exchange.alternate for exchange in wanted.exchanges if exchange.name == BATCHES] == ["callstitch.unrouted"]


def test_an_event_goes_out_in_the_forms_that_somebody_wants_and_alone_where_nobody_does() -> None:
    forms = topology(
        [
            Subscription(queue="a", events=("call.completed", "call.amended"), batch=True),
            Subscription(queue="b", events=("call.completed",), sources=("bj",)),
            Subscription(queue="c", events=("sms.notified",), sources=("sh",), batch=True),
        ]
    ).forms
    found = {route: forms.of(route) for route in (
        "call.completed.bj", "call.completed.sh", "call.amended.bj", "sms.notified.sh", "sms.notified.bj",
        "call.progress.bj",
    )}  # fmt: skip
    assert found == {
        "call.completed.bj": (True, True),
        "call.completed.sh": (False, True),
        "call.amended.bj": (False, True),
        "sms.notified.sh": (False, True),
        "sms.notified.bj": (True, False),
        "call.progress.bj": (True, False),
    }
    assert SINGLY.of("call.completed.bj") == (True, False)
    assert not SINGLY.any_batch


def test_every_queue_has_a_version() -> None:
    assert all(queue.name.endswith(".v1") for queue in ALL.queues)
