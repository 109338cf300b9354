"""What the embedded broker's file tells from outside of what its queues hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.broker.embedded import depths, open_embedded
from schemas.errors import Misconfigured
from schemas.topology import Queue, Topology
from tests.contracts.brokers import numbered


async def test_what_is_not_acked_is_held_whether_or_not_its_owner_runs(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    async with open_embedded(path) as broker:
        await broker.declare(Topology(queues=(Queue(name="one"), Queue(name="two"), Queue(name="none"))))
        await broker.publish([*numbered("one", 2), *numbered("two", 3)])
        async with broker.consume("two", prefetch=2) as consumer:
            in_hand = await consumer.batch(2)
            assert depths(path) == {"one": 2, "two": 3, "none": 0}, "what a consumer has in its hands is not done"
            await consumer.ack(in_hand)
            await broker.publish(numbered("one", 1))  # its answer comes after the ack is stored
        assert depths(path) == {"one": 3, "two": 1, "none": 0}
    assert depths(path) == {"one": 3, "two": 1, "none": 0}


def test_where_no_broker_ran_nothing_is_held_and_nothing_is_made(tmp_path: Path) -> None:
    assert depths(tmp_path / "broker.db") == {}
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    path.write_bytes(b"something else " * 1000)
    with pytest.raises(Misconfigured, match=f"cannot read {path}"):
        depths(path)
