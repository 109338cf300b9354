"""Poison that kills the process: who is suspected how much, who is tried with nothing else in hand, who is dead."""

from __future__ import annotations

import asyncio

from runtime.broker.base import DIED_IN, Delivery, Message
from runtime.poison import REMEMBERED, Sorted, Suspects, Trials
from runtime.wire import SUSPICION, monotonic_message_ids
from schemas.envelope import BUNDLE_CONTENT_TYPE, Envelope, Kind, decode_bundle, encode_bundles
from schemas.topology import DEAD
from tests.building.facts import T0

QUEUE = "q"


def a_delivery(*ids: str, deliveries: int = 1, degree: int = 0) -> Delivery:
    """A bundle; its tag is drawn from its first id."""
    envelopes = [Envelope(id=i, kind=Kind.FACT, source="s", at=T0, body={}) for i in ids]
    ((body, _),) = encode_bundles(envelopes)
    return Delivery(
        tag=ord(ids[0]), generation=1, body=body, content_type=BUNDLE_CONTENT_TYPE, message_id=ids[0],
        routing_key=QUEUE, headers={SUSPICION: degree} if degree else {}, deliveries=deliveries,
    )  # fmt: skip


def some_suspects() -> Suspects:
    return Suspects(queue=QUEUE, message_ids=monotonic_message_ids("t"))


def sorted_out(*deliveries: Delivery) -> Sorted:
    return some_suspects().sort(deliveries, T0)


def goes_on(found: Sorted) -> list[Delivery]:
    """What goes to the handler, where nothing else is to be done."""
    assert (list(found.aside.settle), found.trial) == ([], None)
    return list(found.handle)


def told(message: Message) -> tuple[list[str], object]:
    """Whom a message holds, and how much they are suspected."""
    return [envelope.id for envelope in decode_bundle(message.body)], message.headers.get(SUSPICION, 0)


def test_a_batch_that_nobody_suspects_goes_to_the_handler_as_it_is() -> None:
    batch = [a_delivery("a", "b", deliveries=2), a_delivery("c", degree=1)]
    assert goes_on(sorted_out(*batch)) == batch


def test_a_bundle_delivered_three_times_is_split_and_the_others_go_on() -> None:
    bad, good = a_delivery("a", "b", deliveries=3), a_delivery("c")
    found = sorted_out(bad, good)
    assert (found.handle, found.aside.settle, found.aside.dead, found.trial) == ([good], [bad], [], None)
    assert [told(message) for message in found.aside.messages] == [(["a"], 1), (["b"], 1)]


def test_what_was_split_off_is_handled_like_everything_else_until_it_comes_twice() -> None:
    again, fresh = a_delivery("a", deliveries=2, degree=1), a_delivery("b", degree=1)
    found = sorted_out(again, fresh)
    assert (found.handle, found.trial) == ([fresh], None)
    assert [told(message) for message in found.aside.messages] == [(["a"], 2)]


def test_then_four_are_tried_with_nothing_else_in_hand_and_the_rest_is_put_back_as_suspected_as_it_was() -> None:
    suspects = [a_delivery(name, degree=2) for name in "abcde"]
    other, raised = a_delivery("x", "y"), a_delivery("z", deliveries=2, degree=2)
    found = sorted_out(other, *suspects, raised)
    assert (found.handle, found.trial) == (suspects[:4], (2, 1))
    assert found.aside.settle == [other, suspects[4], raised]
    assert [told(message) for message in found.aside.messages] == [(["x", "y"], 0), (["e"], 2), (["z"], 3)]


def test_then_each_is_tried_alone_and_the_one_that_came_most_often_first() -> None:
    other, poison = (a_delivery(name, deliveries=n, degree=3) for name, n in (("a", 1), ("b", 3)))
    found = sorted_out(other, a_delivery("c", degree=2), poison)
    assert (found.handle, found.trial) == ([poison], (3, 3))
    assert [told(message) for message in found.aside.messages] == [(["a"], 3), (["c"], 2)]


def test_after_three_deliveries_alone_it_alone_is_dead() -> None:
    poison, other = a_delivery("a", deliveries=4, degree=3), a_delivery("b", degree=3)
    found = sorted_out(poison, other)
    assert (found.handle, found.aside.messages) == ([other], [])
    assert [envelope.body["envelope"]["id"] for envelope in found.aside.dead if isinstance(envelope.body, dict)] == [
        "a"
    ]


def test_what_is_put_back_besides_is_judged_by_its_own_count() -> None:
    aside = some_suspects().aside([a_delivery("a"), a_delivery("b", deliveries=2, degree=1)], T0)
    assert [told(message) for message in aside.messages] == [(["a"], 0), (["b"], 2)]


def test_a_delivery_that_this_process_survived_does_not_count() -> None:
    """Lost connections bring the same message again and again; only a death of the process is a sign of poison."""
    suspects = some_suspects()
    for count in range(1, 12):
        again = a_delivery("a", deliveries=count, degree=1)
        assert goes_on(suspects.sort([again], T0)) == [again]


def test_what_this_process_survived_is_remembered_over_all_that_a_lost_connection_brings_back() -> None:
    suspects = some_suspects()
    suspects.sort([a_delivery("a", degree=1)], T0)
    others = a_delivery("b")
    suspects.sort([others._replace(message_id=f"b{n}") for n in range(REMEMBERED)], T0)
    again = a_delivery("a", deliveries=2, degree=1)
    assert goes_on(suspects.sort([again], T0)) == [again]


def test_garbage_that_is_suspected_becomes_a_dead_letter_and_never_work() -> None:
    garbage = a_delivery("a", deliveries=3)._replace(body=b"garbage")
    found = sorted_out(garbage)
    assert (found.handle, found.aside.messages, [envelope.kind for envelope in found.aside.dead]) == (
        [],
        [],
        [Kind.DEAD],
    )


def test_what_the_broker_gave_up_is_no_suspect_for_the_count_of_another_queue() -> None:
    given_up = a_delivery("a", deliveries=21)._replace(headers={DIED_IN: QUEUE})
    found = Suspects(queue=DEAD, message_ids=monotonic_message_ids("t")).sort([given_up, a_delivery("b")], T0)
    assert [told(message)[1] for message in found.aside.messages] == [0]
    assert [delivery.tag for delivery in found.handle] == [ord("b")]


def test_what_comes_back_from_a_delay_tier_is_suspected_as_ever() -> None:
    retried = a_delivery("a", deliveries=3)._replace(headers={DIED_IN: "callstitch.retry.1s.v1"})
    assert [told(message) for message in sorted_out(retried).aside.messages] == [(["a"], 1)]


def test_a_mark_that_we_did_not_make_is_no_more_than_the_greatest_suspicion() -> None:
    strange = [a_delivery("a")._replace(headers={SUSPICION: mark}) for mark in (99, -1, "x")]
    assert [sorted_out(delivery).trial for delivery in strange] == [(3, 1), None, None]


async def test_one_trial_at_a_time_and_the_greatest_suspicion_first() -> None:
    trials = Trials()
    begun = await asyncio.gather(trials.begin((2, 1)), trials.begin((3, 2)), trials.begin((3, 1)))
    assert tuple(begun) == (False, True, False)
    assert not await trials.begin((3, 9)), "the first one is not over"
    trials.end()
    assert await trials.begin((2, 1))
