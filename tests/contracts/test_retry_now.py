"""What waits in the delay tiers goes to its queue at a word, on both brokers; what waits for others stays."""

from __future__ import annotations

from runtime.broker.base import Broker
from runtime.consume.retry_now import retry_now
from runtime.wire import retry
from schemas.topology import RECEIVED, UNIQUE, retry_queue
from tests.building.loops import IDS, an_envelope, number, read, until

OURS, OTHERS = range(120), range(1000, 1030)


async def test_what_waits_goes_once_with_its_attempt_and_what_is_anothers_waits_on(stages: Broker) -> None:
    for n in OURS:
        delay = "6h" if n % 2 else "2m"
        await stages.publish([retry(an_envelope(n), queue=RECEIVED, delay=delay, message_id=next(IDS))])
    await stages.publish([retry(an_envelope(n), queue=UNIQUE, delay="6h", message_id=next(IDS)) for n in OTHERS])
    assert await retry_now(stages, RECEIVED, IDS) == len(OURS)
    found = await read(stages, RECEIVED, expected=len(OURS))
    assert sorted(map(number, found)) == list(OURS)
    assert {one.attempt for one in found} == {2}
    assert await retry_now(stages, RECEIVED, IDS) == 0
    left = {retry_queue("6h"): len(OTHERS), retry_queue("2m"): 0, UNIQUE: 0}

    async def all_is_put_back() -> bool:  # RabbitMQ counts what was released a moment later
        return dict(await stages.depths(list(left))) == left

    await until(all_is_put_back)
    assert await retry_now(stages, UNIQUE, IDS) == len(OTHERS)
    assert {one.attempt for one in await read(stages, UNIQUE, expected=len(OTHERS))} == {2}
