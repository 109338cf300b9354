"""Ports on loopback for what the tests start."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from typing import Final

# Below every system's ephemeral range (Linux starts at 32768). A port inside that range may be taken by somebody's
# outgoing connection while our server is stopped, or answer its own client: TCP lets a socket connect to itself.
_LOWEST: Final = 20_000
_HIGHEST: Final = 32_000
_SHARES: Final = 8  # a drawn port is listened on only later, so no two workers of a run draw from the same share


def _drawn_once() -> Iterator[int]:
    """Every port of this process's share, in an order of its own: with pytest-xdist its worker's share, gw0, gw1..."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = range(_LOWEST + worker % _SHARES, _HIGHEST, _SHARES)
    yield from random.SystemRandom().sample(share, len(share))


_DRAWN: Final = _drawn_once()


def free_port() -> int:
    """A TCP port that nothing on loopback listens on now, and that was not given out before.

    Raises:
        OSError: there is none left.
    """
    for port in _DRAWN:
        if _bindable(port):
            return port
    raise OSError(f"no free port is left of {_LOWEST} to {_HIGHEST}")


def answers(port: int) -> bool:
    """Whether something on loopback accepts connections on that port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
