"""Mount rights for anyone: a test that needs them runs again as the root of a user and mount namespace of its own."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, ParamSpec

from tests.services import debian

P = ParamSpec("P")

_ROOT: Final = Path(__file__).parents[2]
_UNSHARE: Final = ("unshare", "--user", "--map-root-user", "--mount", "--")
_PYTEST: Final = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")


def where_mounts_are_allowed(test: Callable[P, None]) -> Callable[P, None]:
    """Run the test here when we are root or in CI (sudo), else in a namespace; where that is refused, here again.

    Its fixtures are made in both places, so it mounts in its body. Inside, a skip fails: CI=true is set.
    """

    @functools.wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        if os.geteuid() == 0 or debian.in_ci() or not _namespaces_are_allowed():
            return test(*args, **kwargs)
        name = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        again = subprocess.run(
            [*_UNSHARE, *_PYTEST, name],
            cwd=_ROOT,
            env={**os.environ, "CI": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert again.returncode == 0, again.stdout[-6000:]
        return None

    return wrapper


def _namespaces_are_allowed() -> bool:
    try:
        return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
