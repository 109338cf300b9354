"""The check after a fault: what a consumer could read and what the store counted, against what was answered 200."""

from __future__ import annotations

from collections.abc import Iterator

from console.demo.check import Truth, faults, left_open
from console.reading import ask_store
from schemas.settings.addresses import store_address
from tests.building.reading import all_totals, parked_by_box
from tests.e2e.programs import wait_for
from tests.e2e.running import Up


def wait_until_balanced(up: Up, truth: Truth, seconds: float, *, store: str | None = None) -> None:
    """Return once nothing is missing, wrong, parked or still due; fails with every difference after `seconds`.

    `store` is the URL of the state where that is not in `up`'s directory.
    """

    def why() -> str:
        return "\n".join([*differences(up, truth, store)][:20]) + "\n" + up.tail()

    wait_for(lambda: not any(differences(up, truth, store)), seconds, why=why)


def differences(up: Up, truth: Truth, store: str | None = None) -> Iterator[str]:
    """Everything that does not balance, one sentence each; what is told soonest comes first."""
    assert truth.end is not None
    address = store_address(store or f"sqlite:{up.store}")
    if (due := ask_store(address, lambda reads: reads.due())) > left_open(truth):
        yield f"{due} session(s) are due"
    yield from (f"{count} message(s) in {box}" for box, count in parked(up, store).items() if count)
    counts = ask_store(address, all_totals)
    if counts["receipts"] < truth.end["posts_200"]:
        yield f"{truth.end['posts_200']} posts were answered 200, {counts['receipts']} have a receipt"
    if counts["unique"] + counts["amended"] < truth.end["distinct_items_accepted"]:
        yield f"{truth.end['distinct_items_accepted']} distinct items were accepted, fewer are known"
    if counts["items"] != counts["unique"] + counts["amended"] + counts["duplicate"]:
        yield f"{counts['items']} items are not accounted for one by one"
    events = up.events()
    if undelivered := ask_store(address, lambda reads: reads.event_ids()) - {event["id"] for event in events}:
        yield f"{len(undelivered)} event(s) were made and not delivered"
    yield from faults(truth, events)


def parked(up: Up, store: str | None = None) -> dict[str, int]:
    """How many messages are parked, by box."""
    boxes = ask_store(store_address(store or f"sqlite:{up.store}"), parked_by_box)
    return {box: sum(group["count"] for group in groups) for box, groups in boxes.items()}
