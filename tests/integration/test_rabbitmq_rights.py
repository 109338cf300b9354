"""What `check` learns of its user's rights on RabbitMQ, and that nothing of the trial stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.admission.examination import findings
from runtime.broker.rabbitmq import open_rabbitmq, rights
from schemas.errors import CallstitchError, Misconfigured, Unavailable
from tests.services.rabbitmq import RabbitMQ
from tests.services.rabbitmq_faults import memory_alarm
from workers.config import Config, config_topology

pytestmark = pytest.mark.rabbitmq


@contextmanager
def a_vhost(node: RabbitMQ, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> Iterator[str]:
    """One on which our user may only so much."""
    url = node.make_vhost()
    vhost = url.rpartition("/")[2]
    rights = ", ".join(f'<<"{pattern}">>' for pattern in (configure, write, read))
    node.eval(f"""
        ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{vhost}">>, {rights}, <<"tests">>).""")
    try:
        yield url
    finally:
        node.delete_vhost(url)


async def tried(url: str) -> str:
    async with open_rabbitmq(url) as broker:
        return await broker.try_rights()


async def test_a_user_with_all_rights_passes_and_leaves_no_queue(rabbitmq_node: RabbitMQ) -> None:
    with a_vhost(rabbitmq_node) as url:
        assert await tried(url) == ""
        assert rabbitmq_node.ctl("list_queues", "-p", url.rpartition("/")[2], "name") == ""


@pytest.mark.parametrize("lacking", [{"write": "^$"}, {"read": "^$"}])
async def test_one_that_may_not_publish_or_consume_is_told_which(
    rabbitmq_node: RabbitMQ, lacking: dict[str, str]
) -> None:
    with a_vhost(rabbitmq_node, **lacking) as url, pytest.raises(Misconfigured, match=r"a right is missing: .*refused"):
        await tried(url)


async def test_a_broker_in_an_alarm_says_so_and_keeps_nobody_waiting(
    rabbitmq_node: RabbitMQ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, each question after the first publish waited for an answer that does not come: `away: TimeoutError`."""
    monkeypatch.setattr(rights, "_SECONDS", 3600.0)  # so that nothing but the alarm ends it
    with a_vhost(rabbitmq_node) as url:
        state, objects = f"sqlite:{tmp_path}/state", f"file:{tmp_path}/objects"
        config = Config.model_validate({"broker": url, "store": state, "objects": objects})
        async with open_rabbitmq(url) as broker:
            await broker.declare(config_topology(config))
            with memory_alarm(rabbitmq_node):
                with pytest.raises(Unavailable, match=r"takes no publishes, because of an alarm: low on memory"):
                    await broker.try_rights()
                told = [finding async for finding in findings(config)]
            (fault,) = [one for one in told if isinstance(one, CallstitchError) and "alarm" in str(one)]
            assert isinstance(fault, Unavailable)
            assert "broker: the topology is declared" in told, "what can be seen in an alarm is told all the same"


async def test_one_that_may_not_declare_cannot_be_told(rabbitmq_node: RabbitMQ) -> None:
    with a_vhost(rabbitmq_node, configure="^$") as url:
        assert "cannot be told" in await tried(url)
