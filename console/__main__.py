"""The `callstitch` script, and `python -m console`.

`callstitch health` is a program of its own: it runs every few seconds in every container and starts in 0.05 s, where
the rest takes a second of CPU to load.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from types import FrameType

from console.health import probe


def main() -> None:
    """Entry point of the `callstitch` script."""
    if os.getpid() == 1:  # of a container: the kernel spares it every signal that it does not handle
        signal.signal(signal.SIGTERM, _end)
    if sys.argv[1:2] == [probe.NAME]:
        sys.exit(probe.main(sys.argv[2:]))
    runpy.run_module("console.main", run_name="__main__")


def _end(number: int, _: FrameType | None) -> None:
    """As the system would; roles put their drain in its place."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
