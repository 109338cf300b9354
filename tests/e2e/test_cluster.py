"""A RabbitMQ cluster of three: the node that leads is killed and stopped under load, and nothing is lost or wrong.

`make cluster` runs longer and faster. A file of its own, so that another worker plays it beside the fault kit's minute.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.test_chaos import ALL_IS_WELL, chaos, install
from tests.services import postgresql, rabbitmq

pytestmark = pytest.mark.rabbitmq


def test_whichever_node_leads_is_killed_and_stopped_and_work_flows_on(tmp_path: Path) -> None:
    install(rabbitmq.install, postgresql.install)

    code, told = chaos(tmp_path, "--cluster", "--faults", "broker", "--seconds", "30", "--seed", "2", "--rate", "100")

    assert code == 0, told
    assert ALL_IS_WELL in told
    for hit in ("broker kill", "broker stop"):
        (row,) = (line for line in told.splitlines() if line.strip().startswith(hit))
        assert not row.rstrip().endswith("-"), f"no work flowed after it: {row}"
