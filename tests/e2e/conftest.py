"""What is too heavy for CI is collected when its own variable asks for it: with CI=true a skip would be a failure."""

from __future__ import annotations

import os

collect_ignore = [] if "CALLSTITCH_FROZEN_SECONDS" in os.environ else ["test_frozen.py"]
