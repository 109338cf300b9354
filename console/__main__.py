"""The `callstitch` script, and `python -m console`.

`callstitch health` is a program of its own: it runs every few seconds in every container and starts in 0.05 s, where
the rest takes a second of CPU to load.
"""

from __future__ import annotations

import runpy
import sys

from console.health import probe


def main() -> None:
    """Entry point of the `callstitch` script."""
    if sys.argv[1:2] == [probe.NAME]:
        sys.exit(probe.main(sys.argv[2:]))
    runpy.run_module("console.main", run_name="__main__")


if __name__ == "__main__":
    main()
