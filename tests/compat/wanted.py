"""What a config wants declared, told as the recorded run tells it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from console.config_file import load_config
from schemas.topology import BATCHES
from workers.config import config_topology


def topology_of(config: Path) -> dict[str, Any]:
    """Every exchange, queue, binding and no longer wanted binding that the config needs, where no sink has batches.

    What came with batches is left out: their exchange, and that nothing is bound to it.
    """
    loaded = load_config(config, {})
    sinks = tuple(sink.model_copy(update={"batch": False}) for sink in loaded.sink)
    wanted = config_topology(loaded.model_copy(update={"sink": sinks}))
    assert not wanted.forms.any_batch
    exchanges = tuple(row for row in wanted.exchanges if row.name != BATCHES)
    unbound = tuple(row for row in wanted.unbound if row.exchange != BATCHES)
    return dataclasses.asdict(dataclasses.replace(wanted, exchanges=exchanges, unbound=unbound))
