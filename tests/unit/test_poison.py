"""Poison that kills the process: who is tried alone, who is put back, who is dead."""

from __future__ import annotations

from dataclasses import replace

from runtime.broker.base import Delivery
from runtime.poison import Sorted, Suspects
from runtime.wire import ISOLATED, SUSPECTED
from schemas.envelope import BUNDLE_CONTENT_TYPE, Envelope, Kind, decode_bundle, encode_bundles, monotonic_message_ids
from tests.building.facts import T0

QUEUE = "q"


def a_delivery(*ids: str, deliveries: int = 1, isolated: bool = False, mark: int = 1) -> Delivery:
    """A bundle; its tag is drawn from its first id."""
    envelopes = [Envelope(id=i, kind=Kind.FACT, source="s", at=T0, body={}) for i in ids]
    ((body, _),) = encode_bundles(envelopes)
    return Delivery(
        tag=ord(ids[0]), generation=1, body=body, content_type=BUNDLE_CONTENT_TYPE, message_id=ids[0],
        routing_key=QUEUE, headers={ISOLATED: mark} if isolated else {}, deliveries=deliveries,
    )  # fmt: skip


def sorted_out(*deliveries: Delivery) -> Sorted:
    return Suspects().sort(deliveries, queue=QUEUE, now=T0, message_ids=monotonic_message_ids("t"))


def test_a_batch_that_nobody_suspects_goes_to_the_handler_as_it_is() -> None:
    batch = (a_delivery("a", "b", deliveries=2), a_delivery("c", isolated=True))
    assert sorted_out(*batch) == Sorted(batch)


def test_a_bundle_delivered_three_times_is_split_into_marked_bundles_of_one() -> None:
    bad, good = a_delivery("a", "b", deliveries=3), a_delivery("c")
    found = sorted_out(bad, good)
    assert (found.handle, found.settle, found.dead) == ([], [bad, good], [])
    ids = [[e.id for e in decode_bundle(m.body)] for m in found.messages]
    assert (ids, [m.headers.get(ISOLATED) for m in found.messages]) == (
        [["a"], ["b"], ["c"]],
        [SUSPECTED, SUSPECTED, None],
    )


def test_what_was_split_off_is_tried_alone_at_once_so_that_a_bundle_of_any_size_costs_the_same_deaths() -> None:
    first, second = (a_delivery(name, isolated=True, mark=SUSPECTED) for name in "ab")
    found = sorted_out(first, second)
    assert (found.handle, found.settle, found.alone) == ([first], [second], 1)
    assert [m.headers for m in found.messages] == [{ISOLATED: SUSPECTED}]


def test_the_one_that_was_there_at_most_deaths_is_tried_first() -> None:
    other = a_delivery("a", deliveries=2, isolated=True, mark=SUSPECTED)
    poison = a_delivery("b", deliveries=3, isolated=True, mark=SUSPECTED)
    assert sorted_out(other, poison).handle == [poison]


def test_an_isolated_one_that_comes_again_is_tried_alone_and_the_others_are_put_back() -> None:
    suspect = a_delivery("a", deliveries=2, isolated=True)
    others = [a_delivery("b", deliveries=2, isolated=True), a_delivery("c")]
    found = sorted_out(suspect, *others)
    assert (found.handle, found.settle) == ([suspect], others)
    assert [[e.id for e in decode_bundle(m.body)] for m in found.messages] == [["b"], ["c"]]


def test_after_three_deliveries_alone_it_alone_is_dead() -> None:
    suspect, other = a_delivery("a", deliveries=4, isolated=True), a_delivery("b", deliveries=4, isolated=True)
    found = sorted_out(suspect, other)
    assert found.handle == []
    assert [envelope.body["envelope"]["id"] for envelope in found.dead if isinstance(envelope.body, dict)] == ["a"]
    assert [[e.id for e in decode_bundle(m.body)] for m in found.messages] == [["b"]]


def test_a_delivery_that_this_process_survived_does_not_count() -> None:
    """Lost connections bring the same message again and again; only a death of the process is a sign of poison."""
    suspects = Suspects()
    for count in range(1, 12):
        again = a_delivery("a", deliveries=count, isolated=True)
        assert suspects.sort([again], queue=QUEUE, now=T0, message_ids=monotonic_message_ids("t")) == Sorted([again])


def test_garbage_that_is_suspected_becomes_a_dead_letter_and_never_work() -> None:
    garbage = replace(a_delivery("a", deliveries=3), body=b"garbage")
    found = sorted_out(garbage)
    assert (found.handle, found.messages, [envelope.kind for envelope in found.dead]) == ([], [], [Kind.DEAD])
