"""What one process of workers can play: a stage, or two that are composed, without the hop between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.stage import StageRow
from schemas.topology import STAGES

_COMPOSED: Final = "dedupe,correlate"
_OF_BOTH: Final = tuple(STAGES[name] for name in _COMPOSED.split(","))

ROLES: Final[Mapping[str, tuple[StageRow, ...]]] = {
    **{row.name: (row,) for row in STAGES.values()},
    _COMPOSED: _OF_BOTH,
}
WHOLE: Final = (_COMPOSED, *(row.name for row in STAGES.values() if row not in _OF_BOTH))  # all stages, each once
