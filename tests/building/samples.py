"""Where the platforms' own published samples lie: they are shipped, for `callstitch sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SAMPLES_OF_ALL: Final = Path(__file__).parents[2] / "console" / "samples"
